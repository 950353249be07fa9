from __future__ import annotations

import pytest

from tutor.agent.perform import Asked, perform
from tutor.agent.router import Route
from tutor.agent.turn import Acted, Answer, Done, Exchange, Performed
from tutor.agent.tutor import Tutor
from tutor.engine.cancel import Cancel
from tutor.engine.settings import PRESETS, Sampling

BEFORE = Exchange("What is a token?", "A token is a piece of text.", "4/what-is-a-token")


def asked(
    tutor: Tutor, text: str, history: tuple[Exchange, ...] = (), sampling: Sampling | None = None
) -> tuple[Performed, Answer]:
    acted, done = tutor.ask(text, history, sampling=lambda: sampling or Sampling())
    assert isinstance(acted, Acted) and isinstance(done, Done)
    return acted.performed, done.answer


def test_cutting_a_sentence_shows_the_models_own_tokens(tutor: Tutor) -> None:
    performed, answer = asked(tutor, "cut this sentence the way you read it: strawberries melt")
    ids = [str(token.id) for token in tutor.engine.tokens("strawberries melt")]
    assert answer.demo == answer.intent == "tokens"
    assert all(id in performed.text for id in ids)


def test_what_could_follow_is_told_with_the_engines_own_probabilities(tutor: Tutor) -> None:
    performed, _ = asked(tutor, "what could follow 'once upon a'?")
    prompt = tutor.engine.tokenize("once upon a")
    likeliest = tutor.engine.next(prompt, Sampling(), 1).step.candidates[0]
    assert performed.shown is not None
    best = performed.shown.result["candidates"][0]
    assert (best["id"], best["p_full"]) == (likeliest.id, pytest.approx(likeliest.p_full))


def test_a_demonstration_is_stopped_also_while_it_waits_for_another(tutor: Tutor) -> None:
    text, stopped = "cut this sentence the way you read it: strawberries melt", Cancel()
    route = tutor.router.route(text)
    asked = Asked(text, route.payload, tutor.bench, Sampling(), (), stopped)
    stopped.set()
    with tutor.bench.turn:
        assert perform(route, asked) == Performed("Stopped.", "tokens")


def test_a_knob_is_set_in_plain_words(tutor: Tutor) -> None:
    performed, answer = asked(tutor, "please set the temperature to 1.2")
    assert performed.sampling is not None and performed.sampling.temperature == 1.2
    assert "temperature 0.7 → 1.2" in performed.text and answer.settings.temperature == 1.2


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("please set the temperature to -1", "greater than or equal to 0"),
        ("please set top_p to 1.5", "less than or equal to 1"),
    ],
)
def test_a_value_out_of_range_is_told_and_changes_nothing(
    tutor: Tutor, text: str, told: str
) -> None:
    performed, _ = asked(tutor, text)
    assert performed.sampling is None and told in performed.text


def test_being_deterministic_turns_greedy_on(tutor: Tutor) -> None:
    performed, _ = asked(tutor, "be fully deterministic from here on")
    assert performed.sampling == Sampling(greedy=True)


def test_a_wilder_mood_takes_the_preset_and_keeps_the_seed(tutor: Tutor) -> None:
    performed, _ = asked(tutor, "be wilder, take bold settings", sampling=Sampling(seed=7))
    assert performed.sampling == PRESETS["wild"].model_copy(update={"seed": 7})


def test_the_settings_are_told_as_they_are(tutor: Tutor) -> None:
    performed, _ = asked(
        tutor, "which knobs are set how right now?", sampling=Sampling(temperature=1.3)
    )
    assert "| temperature | 1.3 | default 0.7 |" in performed.text


def test_what_was_sent_can_be_read_once_there_is_an_answer(tutor: Tutor) -> None:
    text = "let me read what was really sent"
    assert asked(tutor, text)[0].screen is None
    assert asked(tutor, text, (BEFORE,))[0].screen == "prompt"


def test_comparing_needs_no_answer_before_it(tutor: Tutor) -> None:
    asked = Asked("side by side, please", None, tutor.bench, Sampling(), ())
    assert perform(Route("compare", None, 1.0), asked).screen == "compare"


def test_a_question_about_a_knob_is_answered_from_the_lessons(tutor: Tutor) -> None:
    *_, done = tutor.ask("what does top_p mean?", sampling=lambda: Sampling(max_tokens=4))
    assert isinstance(done, Done)
    assert done.answer.intent == "answer" and done.answer.sources[0].lesson == 6


@pytest.mark.parametrize(
    ("text", "lesson"),
    [("give me a quiz about softmax", "6/"), ("quiz me on overfitting", "2/"), ("quiz me", "4/")],
)
def test_a_quiz_asks_about_its_topic_or_the_last_answers(
    tutor: Tutor, text: str, lesson: str
) -> None:
    performed, answer = asked(tutor, text, (BEFORE,))
    assert answer.intent == "quiz"
    assert performed.passage_id is not None and performed.passage_id.startswith(lesson)
