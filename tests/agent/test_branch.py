from __future__ import annotations

import pytest

from tutor.agent.branch import branched_record, go_on
from tutor.agent.record import answer_record
from tutor.agent.trace import traced
from tutor.agent.turn import Began, Delta, Done
from tutor.agent.tutor import Tutor
from tutor.engine.events import GenerationStats
from tutor.engine.settings import Sampling
from tutor.settings import NONE, SHIPPED

GREEDY = Sampling(greedy=True, max_tokens=6)


@pytest.mark.parametrize(("speaker", "name", "scale"), [(NONE, None, 0.0), (SHIPPED, "tutor", 0.5)])
def test_a_branch_is_recorded_under_the_one_who_spoke_it(
    tutor: Tutor, speaker: str, name: str | None, scale: float
) -> None:
    with tutor.engine.adapter_kept():
        tutor.use(SHIPPED, 1.0)
        events = list(tutor.ask("What is a token?", sampling=lambda: GREEDY, top=4))
        (prompt,) = (e.prompt for e in events if isinstance(e, Began))
        said = [e.event for e in events if isinstance(e, Delta)]
        assert isinstance(events[-1], Done)
        record = answer_record(events[-1].answer)
        tutor.use(speaker, scale)
        trace = traced(prompt, said, tutor.engine.token_bytes)
        *_, stats = go_on(tutor, trace, said[:2], lambda: GREEDY, limit=1)
        assert isinstance(stats, GenerationStats)
        found = branched_record(tutor, record, said[:2], stats, GREEDY)
    assert (found["adapter"], found["adapter_scale"]) == (name, scale)
    assert (record["adapter"], record["adapter_scale"]) == ("tutor", 1.0)
