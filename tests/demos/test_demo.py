from __future__ import annotations

import threading
from typing import Annotated, ClassVar

import pytest
from pydantic import Field

from tutor.demos.demo import (
    Demo,
    DemoCancelled,
    DemoError,
    DemoInput,
    Prediction,
    Provenance,
    Run,
    Shown,
    spoken,
)
from tutor.demos.workbench import Workbench
from tutor.engine.cancel import Cancel


class ProbeInput(DemoInput):
    text: str = Field("", max_length=5)
    texts: tuple[Annotated[str, Field(max_length=5)], ...] = ()


class Probe(Demo[ProbeInput]):
    """Counts how many of it run at the same time."""

    name: ClassVar[str] = "probe"
    lesson: ClassVar[int] = 1
    title: ClassVar[str] = "Probe"
    about: ClassVar[str] = "Counts."
    input = ProbeInput

    def __init__(self) -> None:
        self.inside = self.most = 0
        self.began = threading.Event()
        self.go_on = threading.Event()

    def predict(self, inputs: ProbeInput) -> Prediction:
        return Prediction("How many?", ("1", "2"))

    def run(self, bench: Workbench, inputs: ProbeInput, run: Run) -> Shown:
        self.inside += 1
        self.most = max(self.most, self.inside)
        self.began.set()
        self.go_on.wait(10)
        self.inside -= 1
        return self.shown(inputs, 0, {}, (), "Seen.", (), Provenance("none", "none"))


def test_one_demonstration_runs_at_a_time(bench: Workbench) -> None:
    probe = Probe()
    waits = threading.Event()

    def second(stage: str, done: float) -> None:
        waits.set()

    threads = [
        threading.Thread(target=probe.run_alone, args=(bench, ProbeInput(), run))
        for run in (Run(), Run(second))
    ]
    threads[0].start()
    assert probe.began.wait(10)
    threads[1].start()
    assert waits.wait(10)
    probe.go_on.set()
    for thread in threads:
        thread.join(10)
    assert (probe.most, probe.inside, bench.turn.locked()) == (1, 0, False)


def test_waiting_for_another_demonstration_can_be_stopped(bench: Workbench) -> None:
    stopped = Cancel()
    stopped.set()
    with bench.turn, pytest.raises(DemoCancelled):
        Probe().run_alone(bench, ProbeInput(), Run(cancel=stopped))


def test_the_turn_is_given_back_when_a_demonstration_fails(bench: Workbench) -> None:
    class Failing(Probe):
        def run(self, bench: Workbench, inputs: ProbeInput, run: Run) -> Shown:
            raise DemoError("no")

    with pytest.raises(DemoError):
        Failing().run_alone(bench, ProbeInput(), Run())
    assert not bench.turn.locked()


def test_one_that_was_stopped_and_ended_all_the_same_is_not_shown(bench: Workbench) -> None:
    probe, stopped = Probe(), Cancel()
    probe.go_on.set()
    stopped.set()
    with pytest.raises(DemoCancelled):
        probe.run_alone(bench, ProbeInput(), Run(cancel=stopped))
    assert probe.most == 1 and not bench.turn.locked()


@pytest.mark.parametrize(
    ("values", "field"),
    [({"text": "sixsix"}, "text"), ({"texts": ("", "sixsix")}, "texts"), ({"other": "1"}, "")],
)
def test_a_refused_value_names_its_field(values: dict[str, object], field: str) -> None:
    with pytest.raises(DemoError) as refused:
        Probe().parse(values)
    assert refused.value.field == field


def test_a_part_of_a_field_is_named_in_the_message() -> None:
    with pytest.raises(DemoError, match=r"^texts\.1: "):
        Probe().parse({"texts": ("", "sixsix")})


@pytest.mark.parametrize("text", ["", "  ", "\n\t"])
def test_a_text_of_nothing_but_spaces_is_refused_as_text(text: str) -> None:
    with pytest.raises(DemoError, match=r"^text: give at least one character") as refused:
        spoken(text)
    assert refused.value.field == "text"


@pytest.mark.parametrize("values", [{"text": "x" * 60_000}, {"y" * 60_000: "1"}])
def test_a_message_echoes_only_the_beginning_of_a_long_input(values: dict[str, str]) -> None:
    with pytest.raises(DemoError, match=r"(xxxx|yyyy)…'") as refused:
        Probe().parse(values)
    assert len(str(refused.value)) < 160


def test_a_short_bad_value_is_echoed_whole() -> None:
    with pytest.raises(DemoError, match=r"not 'sixsix'$"):
        Probe().parse({"text": "sixsix"})


def test_the_origin_of_the_numbers_is_told_in_lines() -> None:
    told = Provenance("m", "e", measured=("a", "b"), illustration=("c",), seed=0)
    assert told.lines == ("m, e, seed 0", "measured: a, b", "illustration: c")
