from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from tutor.tui.app import TutorApp
from tutor.tui.commands import COMMANDS, completions, find, help_text


def test_every_command_has_a_method_a_name_of_its_own_and_a_key_of_its_own() -> None:
    assert all(hasattr(TutorApp, f"command_{c.name}") for c in COMMANDS)
    keys = [c.key for c in COMMANDS if c.key]
    assert len({c.name for c in COMMANDS}) == len(COMMANDS) and len(set(keys)) == len(keys)
    assert all(c.usage in help_text() for c in COMMANDS)


@given(st.text(st.sampled_from("/ademo nxt"), max_size=12).map(lambda text: f"/{text}"))
def test_a_completion_goes_on_from_what_stands_there_and_is_a_command(text: str) -> None:
    for found in completions(text):
        assert found.startswith(text)
        assert find(found[1:].partition(" ")[0])
