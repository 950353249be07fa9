from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tutor.demos.attention import Attention
from tutor.demos.demo import DemoError
from tutor.demos.descent import Descent
from tutor.demos.next_token import NextTokenInput
from tutor.demos.registry import NAMES, demo
from tutor.demos.typed import choices, line_of, takes, usual, values_of

TYPED = st.text(st.sampled_from('a1 ="\\|\n…layer'), max_size=12)


@given(st.fixed_dictionaries({}, optional={"layer": TYPED, "head": TYPED, "text": TYPED}))
def test_a_line_is_read_back_as_the_values_it_was_made_of(values: dict[str, str]) -> None:
    if values.get("text") == "":
        del values["text"]
    assert values_of(Attention(), line_of(Attention(), values)) == values


@pytest.mark.parametrize(
    ("line", "values"),
    [
        ("", {}),
        ("The sky is", {"text": "The sky is"}),
        ("layer=3 The  sky", {"layer": "3", "text": "The  sky"}),
        ("The sky layer=3", {"text": "The sky", "layer": "3"}),
        ("other=3", {"text": "other=3"}),
        ("it's 2*layer=3", {"text": "it's 2*layer=3"}),
        ('text="layer=3"', {"text": "layer=3"}),
        ('layer="3', {"layer": '"3'}),
    ],
)
def test_names_are_fields_and_the_rest_is_text(line: str, values: dict[str, str]) -> None:
    assert values_of(Attention(), line) == values


def test_text_is_refused_where_none_is_taken() -> None:
    with pytest.raises(DemoError, match="takes no text: give learning_rate, steps"):
        values_of(Descent(), "steps=3 downhill")


@pytest.mark.parametrize("name", NAMES)
def test_the_defaults_as_typed_are_the_defaults(name: str) -> None:
    found = demo(name)
    typed = {field: value for field, value in usual(found).items() if value}
    assert found.parse(typed) == found.parse({})


def test_what_a_field_takes_is_told_with_its_range() -> None:
    fields = NextTokenInput.model_fields
    assert takes(fields["temperature"]) == "0 to 5 · 0 is greedy."
    assert takes(fields["top_p"]) == "over 0 to 1 · 1 keeps all."
    assert takes(fields["text"]) == "1 to 2,000 characters · Any beginning."
    # The range stands in the sentence already.
    assert takes(Descent.input.model_fields["learning_rate"]) == "How long a step is; 0 to 100."


def test_a_field_of_a_few_words_gives_them() -> None:
    assert choices(Descent.input.model_fields["surface"]) == ("bowl", "valleys")
    assert choices(Attention.input.model_fields["hide_sink"]) == ("true", "false")
    assert choices(Attention.input.model_fields["layer"]) == ()
