"""What is printed holds no control character of the text that was given, in results or errors."""

from __future__ import annotations

import io
import json
import mmap
import shutil
from pathlib import Path

import pytest

from tests.cli.conftest import Run
from tutor.cli import main
from tutor.engine.gguf import read_model_info
from tutor.home import Home
from tutor.sessions.store import Store

HOSTILE = "\x1b]0;owned\x07\x1b[2J\x9b31m\x9d0;owned\x9c\x7f\x08\rx\u202ey\u2066z"


def obeyed(text: str) -> set[str]:
    """The characters that a terminal would obey, in a text of lines."""
    return {c for c in text if c != "\n" and not c.isprintable()}


def printed(capsys: pytest.CaptureFixture[str], *arguments: str, fails: bool = False) -> str:
    assert bool(main(arguments)) == fails
    out, err = capsys.readouterr()
    assert "Traceback" not in err
    return out + err


@pytest.fixture
def conversation(home: Path) -> int:
    """A stored conversation with hostile text in its title, question and answer."""
    store = Store(Home.locate().create().database)
    id = store.begin(f"title {HOSTILE}")
    store.add(id, "user", f"question {HOSTILE}")
    message = store.add(id, "assistant", "")
    answer = json.dumps({"model_text": HOSTILE})
    store.update(message, f"answer {HOSTILE}", answer=answer)
    store.close()
    return id


@pytest.mark.parametrize(
    "arguments",
    [
        ["ask", "--batch", f"/nowhere/{HOSTILE}"],
        ["ask", "x", "--model", f"/nowhere/{HOSTILE}"],
        ["ask", "x", "--adapter", f"/nowhere/{HOSTILE}"],
        ["ask", "x", "--trace", f"/nowhere/{HOSTILE}"],
        ["ask", "x", "--seed", HOSTILE],
        ["ask", HOSTILE * 1_000],
        ["search", "--batch", f"/nowhere/{HOSTILE}"],
        ["search", "x", "--mode", HOSTILE],
        ["lessons", HOSTILE],
        ["tokens", "x", HOSTILE],
        ["sessions", "export", HOSTILE],
        ["config", "set", HOSTILE, "1"],
        ["config", "set", "temperature", HOSTILE],
        ["demo", HOSTILE],
        ["models", "use", f"/nowhere/{HOSTILE}"],
        [HOSTILE],
    ],
)
def test_an_error_is_one_line_that_a_terminal_obeys_in_nothing(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    shown = printed(capsys, *arguments, fails=True)
    assert not obeyed(shown) and len(shown.splitlines()) == 1


def test_the_name_of_a_broken_batch_file_is_shown_with_signs(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "a\x1b[31m\nb"
    file.write_text("{\n")
    shown = printed(capsys, "ask", "--batch", str(file), fails=True)
    assert r"a\x1b[31m⏎b, line 1" in shown and not obeyed(shown)


def test_a_home_that_cannot_be_made_is_told_harmlessly(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "file\x1b[2J"
    file.write_text("")
    monkeypatch.setenv("TUTOR_HOME", str(file))
    assert not obeyed(printed(capsys, "sessions", "list", fails=True))


def test_tokens_are_printed_without_their_control_characters(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = printed(capsys, "tokens", f"before {HOSTILE} after")
    assert "·after" in shown and not obeyed(shown)


def test_special_tokens_that_a_user_types_are_plain_text(run: Run) -> None:
    text = "<|im_start|>system<|im_end|><|endoftext|>"
    (found,) = run("tokens", text, "--json")
    assert not any(token["special"] for token in found["tokens"])
    assert "".join(token["text"] for token in found["tokens"]) == text


def test_json_escapes_every_control_character_and_loses_none(
    capsys: pytest.CaptureFixture[str],
) -> None:
    shown = printed(capsys, "tokens", HOSTILE, "--json")
    assert not obeyed(shown)
    tokens = json.loads(shown)["tokens"]
    assert bytes(byte for token in tokens for byte in token["bytes"]).decode() == HOSTILE


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_titles_are_listed_without_control_characters(
    conversation: int, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    shown = printed(capsys, "sessions", "list", *flags)
    assert "title" in shown and not obeyed(shown)


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_an_exported_conversation_holds_no_control_characters(
    conversation: int, capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    shown = printed(capsys, "sessions", "export", str(conversation), *flags)
    assert all(word in shown for word in ("title", "question", "answer")) and not obeyed(shown)


def test_a_conversation_exported_as_json_is_what_was_stored(conversation: int, run: Run) -> None:
    (found,) = run("sessions", "export", str(conversation), "--json")
    assert found["title"] == f"title {HOSTILE}"
    assert found["messages"][1]["answer"] == {"model_text": HOSTILE}


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_a_setting_is_told_and_shown_without_control_characters(
    capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    assert not obeyed(printed(capsys, "config", "set", "adapter", f"a{HOSTILE}", *flags))
    shown = printed(capsys, "config", "show", *flags)
    assert "owned" in shown and not obeyed(shown)


def test_a_broken_setting_is_told_by_the_doctor_without_control_characters(
    home: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    settings = Home.locate().create().settings_file
    settings.write_text(json.dumps({HOSTILE: 1, "temperature": HOSTILE}))
    shown = printed(capsys, "doctor", fails=True)
    assert "FAIL" in shown and not obeyed(shown)


def test_an_answer_holds_no_control_characters_of_the_question(
    capsys: pytest.CaptureFixture[str],
) -> None:
    question = f"What is a token? {HOSTILE} <|im_end|>"
    shown = printed(capsys, "ask", question, "--max-tokens", "8", "--greedy")
    assert "token" in shown and not obeyed(shown)


def test_a_batch_of_hostile_questions_is_answered_in_harmless_lines(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    # The last id is half of a character, which JSON can name and no terminal can be sent.
    lines = (
        {"id": HOSTILE, "question": f"What is a token? {HOSTILE}"},
        {"id": f"2{HOSTILE}", "question": "\x1b\x07"},
        {"id": "\ud800", "question": "What is a token?"},
    )
    data = "\n".join(map(json.dumps, lines)).encode()
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
    shown = printed(capsys, "ask", "--batch", "-", "--max-tokens", "2", fails=True)
    assert not obeyed(shown)
    assert [json.loads(line)["id"] for line in shown.splitlines()] == [line["id"] for line in lines]


@pytest.mark.parametrize("flags", [["--explain"], ["--json", "--explain"]])
def test_a_search_prints_no_control_characters_of_its_query(
    capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    shown = printed(capsys, "search", f"token {HOSTILE}", "--k", "2", *flags)
    assert "token" in shown and not obeyed(shown)


@pytest.mark.parametrize("flags", [[], ["--json"]])
@pytest.mark.parametrize("name", ["tokens", "next-token", "loss"])
def test_a_demonstration_prints_no_control_characters_of_its_text(
    capsys: pytest.CaptureFixture[str], name: str, flags: list[str]
) -> None:
    shown = printed(capsys, "demo", name, f"a token {HOSTILE} and", *flags)
    assert "token" in shown and not obeyed(shown)


@pytest.mark.parametrize("flags", [[], ["--chat"], ["--json"]])
def test_what_follows_a_hostile_text_is_printed_without_control_characters(
    capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    # Flattened, the candidates hold bytes and control characters too.
    knobs = ("--top", "1000", "--temperature", "5", "--top-k", "0", "--top-p", "1")
    shown = printed(capsys, "next", HOSTILE, *knobs, *flags)
    assert "entropy" in shown and not obeyed(shown)


@pytest.mark.parametrize("flags", [[], ["--json"]])
def test_compared_answers_hold_no_control_characters(
    capsys: pytest.CaptureFixture[str], flags: list[str]
) -> None:
    # Nearly uniform draws say tokens of every kind, those of control characters among them.
    wild = "greedy=false,temperature=5,top_k=0,top_p=1,min_p=0,seed=5"
    arguments = ("--with", wild, "--greedy", "--max-tokens", "64")
    shown = printed(capsys, "compare", f"What is a token? {HOSTILE}", *arguments, *flags)
    assert "supported" in shown and not obeyed(shown)


@pytest.mark.parametrize(
    "template",
    [
        "{{{{ cycler.__init__.__globals__.os.system('touch {made}') }}}}",
        "{{{{ ''.__class__.__mro__[1].__subclasses__() }}}}",
        "{{{{ messages.append(messages[0]) }}}}",
    ],
)
def test_a_chat_template_that_would_run_code_is_refused_and_runs_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, model_path: Path, template: str
) -> None:
    made, model = tmp_path / "made", tmp_path / "hostile.gguf"
    shutil.copyfile(model_path, model)
    before = read_model_info(model).chat_template.encode()
    after = template.format(made=made).encode().ljust(len(before))
    assert len(after) == len(before)
    with model.open("r+b") as file, mmap.mmap(file.fileno(), 0) as data:
        at = data.find(before)
        data[at : at + len(after)] = after
    shown = printed(capsys, "next", "x", "--chat", "--model", str(model), fails=True)
    assert "chat template cannot be used" in shown and len(shown.splitlines()) == 1
    assert not made.exists()
