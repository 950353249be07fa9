from __future__ import annotations

import os
import shutil
import signal
import sqlite3
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from tests.permissions import bound
from tutor.sessions.store import Store, StoreError


def test_a_conversation_comes_back_after_closing(tmp_path: Path) -> None:
    first = Store(tmp_path / "s.sqlite3")
    conversation = first.begin()
    first.add(conversation, "user", "What is a token?")
    first.close()
    again = Store(tmp_path / "s.sqlite3")
    assert [m.text for m in again.messages(conversation)] == ["What is a token?"]
    again.close()


def test_the_first_question_becomes_the_title(store: Store) -> None:
    conversation = store.begin()
    store.add(conversation, "user", "What is\na token?")
    store.add(conversation, "user", "And a word?")
    assert store.conversation(conversation).title == "What is a token?"


def test_a_growing_answer_replaces_its_text(store: Store) -> None:
    conversation = store.begin()
    message = store.add(conversation, "assistant", "", state="streaming")
    store.update(message, "A tok", state="streaming")
    store.update(message, "A token", answer="{}", state="done")
    (stored,) = store.messages(conversation)
    assert (stored.text, stored.answer, stored.state) == ("A token", "{}", "done")


def test_search_finds_titles_and_texts(store: Store) -> None:
    one, two = store.begin("Logits"), store.begin("Other")
    store.add(two, "user", "about Softmax")
    assert [c.id for c in store.conversations("LOGIT")] == [one]
    assert [c.id for c in store.conversations("softmax")] == [two]


def test_deleting_a_conversation_deletes_its_messages(store: Store) -> None:
    conversation = store.begin()
    store.add(conversation, "user", "x")
    store.delete(conversation)
    assert store.messages(conversation) == []


def test_an_unknown_conversation_is_named_in_the_error(store: Store) -> None:
    with pytest.raises(StoreError, match="no conversation 99"):
        store.rename(99, "x")


def test_removing_from_a_message_keeps_what_stands_before(store: Store) -> None:
    conversation, other = store.begin(), store.begin()
    store.add(conversation, "user", "a")
    second = store.add(conversation, "assistant", "b")
    store.add(other, "user", "kept")
    store.add(conversation, "user", "c")
    store.remove_from(second)
    assert [m.text for m in store.messages(conversation)] == ["a"]
    assert [m.text for m in store.messages(other)] == ["kept"]


def test_the_file_is_readable_by_its_owner_only(store: Store) -> None:
    assert stat.S_IMODE(store.path.stat().st_mode) == 0o600


def test_a_damaged_file_is_kept_aside_and_a_fresh_one_begun(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    path.write_bytes(b"this is not a database, " * 200)
    store = Store(path)
    assert store.conversations() == []
    (aside,) = tmp_path.glob("s.damaged-*")
    assert aside.read_bytes().startswith(b"this is not") and str(aside) in store.notice
    store.close()


def test_what_was_handed_over_survives_kill_9(tmp_path: Path) -> None:
    path = tmp_path / "s.sqlite3"
    code = (
        "import sys; from pathlib import Path; from tutor.sessions.store import Store\n"
        f"s = Store(Path({str(path)!r})); c = s.begin(); m = s.add(c, 'assistant', '')\n"
        "n = 0\n"
        "while True:\n"
        "    n += 1; s.update(m, str(n), state='streaming'); print(n, flush=True)\n"
    )
    writer = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert writer.stdout
    for _ in range(20):
        told = int(writer.stdout.readline())
    os.kill(writer.pid, signal.SIGKILL)
    writer.wait()
    writer.stdout.close()
    store = Store(path)
    (message,) = store.messages(1)
    assert int(message.text) >= told
    store.close()


def test_read_sections_are_remembered_once(store: Store) -> None:
    store.mark_read("6/softmax")
    store.mark_read("6/softmax")
    assert store.read_sections() == {"6/softmax"}


def test_two_apps_may_write_to_one_store_at_once(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite3"
    stores = [Store(path), Store(path)]
    conversation = stores[0].begin()

    def write(store: Store, name: str) -> None:
        for n in range(100):
            store.add(conversation, "user", f"{name} {n}")

    threads = [
        threading.Thread(target=write, args=(store, name))
        for store, name in zip(stores, "ab", strict=True)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    texts = [message.text for message in stores[0].messages(conversation)]
    assert sorted(texts) == sorted(f"{name} {n}" for name in "ab" for n in range(100))
    for store in stores:
        store.close()


def test_what_is_read_while_another_thread_writes_is_whole_and_in_order(store: Store) -> None:
    conversation = store.begin()
    expected = [f"message {n} " + "x" * n for n in range(300)]
    writing = threading.Thread(
        target=lambda: [store.add(conversation, "user", text) for text in expected]
    )
    writing.start()
    seen = [0]
    while writing.is_alive():
        found = [message.text for message in store.messages(conversation)]
        assert found == expected[: len(found)]
        seen.append(len(found))
    writing.join()
    assert seen == sorted(seen) and len(set(seen)) > 2
    assert len(store.messages(conversation)) == len(expected)


def test_a_full_disk_is_told_and_what_was_stored_stays(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite3"
    script = f"""
import resource
from pathlib import Path
from tutor.sessions.store import Store, StoreError
store = Store(Path({str(path)!r}))
conversation = store.begin()
store.add(conversation, "user", "kept")
# No file may grow any more, as on a full disk.
resource.setrlimit(resource.RLIMIT_FSIZE, (64_000, 64_000))
try:
    for _ in range(100):
        store.add(conversation, "user", "x" * 100_000)
except StoreError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0 and str(path) in done.stdout, done.stderr
    store = Store(path)
    assert store.notice == ""
    assert store.messages(1)[0].text == "kept"
    store.close()


def test_a_disk_that_is_full_at_the_start_is_told_and_throws_nothing_aside(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite3"
    first = Store(path)
    first.add(first.begin(), "user", "kept")
    first.close()
    script = f"""
import resource
from pathlib import Path
from tutor.sessions.store import Store, StoreError
resource.setrlimit(resource.RLIMIT_FSIZE, (4_096, 4_096))
try:
    Store(Path({str(path)!r}))
except StoreError as error:
    print(error)
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert f"{path} cannot be opened" in done.stdout, done.stderr
    assert not list(tmp_path.glob("*.damaged-*"))
    again = Store(path)
    assert [m.text for m in again.messages(1)] == ["kept"]
    again.close()


def test_two_files_that_are_damaged_within_one_second_are_both_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("time.time", lambda: 1.0)
    path = tmp_path / "s.sqlite3"
    for damage in (b"first" * 100, b"second" * 100):
        path.write_bytes(damage)
        Store(path).close()
    kept = {file.read_bytes() for file in tmp_path.glob("s.damaged-*.sqlite3")}
    assert kept == {b"first" * 100, b"second" * 100}


def test_the_log_of_a_damaged_file_is_kept_beside_it(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite3"
    first = Store(path)
    conversation = first.begin()
    first.close()
    # Where another app has the file open, the newest messages stand in the log alone.
    other = Store(path)
    other.add(conversation, "user", "only in the log")
    with path.open("r+b") as file:
        file.seek(4096)
        file.write(b"x" * (path.stat().st_size - 4096))
    store = Store(path)
    (log,) = tmp_path.glob("c.damaged-*-wal")
    assert b"only in the log" in log.read_bytes()
    store.close()
    other.close()


def test_where_power_fails_while_the_log_is_written_only_the_newest_messages_are_lost(
    tmp_path: Path,
) -> None:
    store = Store(tmp_path / "c.sqlite3")
    conversation = store.begin()
    expected = [f"message {n} " + "x" * 300 for n in range(30)]
    for text in expected:
        store.add(conversation, "user", text)
    log = tmp_path / "c.sqlite3-wal"
    whole = log.read_bytes()
    found = set()
    for n, length in enumerate(range(len(whole), 0, -len(whole) // 23)):
        after = tmp_path / f"after {n}"
        after.mkdir()
        shutil.copy(tmp_path / "c.sqlite3", after)
        (after / log.name).write_bytes(whole[:length])
        restarted = Store(after / "c.sqlite3")
        assert restarted.notice == ""
        texts = [m.text for c in restarted.conversations() for m in restarted.messages(c.id)]
        restarted.close()
        assert texts == expected[: len(texts)]
        found.add(len(texts))
    store.close()
    assert max(found) == len(expected) and len(found) > 10


def test_the_text_of_a_deleted_conversation_is_in_no_file_any_more(store: Store) -> None:
    kept = store.begin()
    conversation = store.begin()
    for n in range(50):
        store.add(kept, "user", f"an answer of another conversation {n} " * 20)
        store.add(conversation, "user", f"a secret that was deleted {n} " * 20)
    store.delete(conversation)
    left = b"".join(path.read_bytes() for path in store.path.parent.glob(f"{store.path.name}*"))
    assert b"of another conversation" in left and b"secret" not in left


def test_branches_that_are_not_shown_are_not_counted(store: Store) -> None:
    conversation = store.begin()
    store.add(conversation, "user", "a")
    store.branch(store.add(conversation, "assistant", "b"), 3)
    assert store.conversation(conversation).messages == 2


def test_a_clock_that_was_set_back_harms_no_order(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    older, newer = store.begin(), store.begin()
    store.add(older, "user", "first")
    store.add(newer, "user", "of another one")
    monkeypatch.setattr("time.time", lambda: 1.0)
    store.add(older, "assistant", "second")
    assert [m.text for m in store.messages(older)] == ["first", "second"]
    assert [found.id for found in store.conversations()] == [older, newer]
    begun = store.begin()
    assert [found.id for found in store.conversations()] == [begun, older, newer]


def test_a_store_that_another_program_locks_is_told_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite3"
    first = Store(path)
    first.add(first.begin(), "user", "kept")
    first.close()
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    with pytest.raises(StoreError, match=r"c\.sqlite3 is locked by another program: close it"):
        Store(path)
    other.close()
    again = Store(path)
    assert again.notice == "" and [m.text for m in again.messages(1)] == ["kept"]
    again.close()


def test_a_store_that_is_locked_while_it_is_written_says_so(store: Store) -> None:
    other = sqlite3.connect(store.path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(StoreError, match="is locked by another program: close it, then try again"):
        store.begin()
    other.close()
    assert store.begin()


def opened(path: Path) -> subprocess.CompletedProcess[str]:
    """Opens the store as somebody to whom permissions apply; prints what that one is told."""
    script = (
        "import sys; from pathlib import Path; from tutor.sessions.store import Store, StoreError\n"
        "try: Store(Path(sys.argv[1])).begin()\n"
        "except StoreError as error: print(error)"
    )
    return subprocess.run(
        [*bound(), sys.executable, "-c", script, str(path)], capture_output=True, text=True
    )


@pytest.mark.parametrize("mode", [0o000, 0o400])
def test_a_store_that_may_not_be_opened_or_written_is_told_and_left_alone(
    tmp_path: Path, mode: int
) -> None:
    path = tmp_path / "c.sqlite3"
    first = Store(path)
    first.add(first.begin(), "user", "kept")
    first.close()
    path.chmod(mode)
    done = opened(path)
    path.chmod(0o600)
    (told,) = done.stdout.splitlines()
    assert told.startswith(str(path)) and "damaged" not in told
    again = Store(path)
    assert [m.text for m in again.messages(1)] == ["kept"]
    again.close()


def test_a_folder_in_the_way_of_the_store_is_told_and_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "c.sqlite3"
    path.mkdir()
    with pytest.raises(StoreError, match=r"c\.sqlite3 cannot be opened: "):
        Store(path)
    assert path.is_dir()


def test_a_conversation_that_another_app_deleted_is_told_to_be_gone(store: Store) -> None:
    conversation = store.begin()
    other = Store(store.path)
    other.delete(conversation)
    with pytest.raises(StoreError, match="was deleted in the meantime: begin a new one"):
        store.add(conversation, "user", "x")
    other.close()


def test_the_newest_messages_alone_come_in_order_and_of_every_answer_its_branch(
    store: Store,
) -> None:
    conversation = store.begin()
    for n in range(4):
        store.add(conversation, "user", f"question {n}")
        answer = store.add(conversation, "assistant", f"answer {n}")
    branch = store.branch(answer, 2)
    store.update(branch, "another answer", state="done")
    texts = [m.text for m in store.messages(conversation, newest=3)]
    assert texts == ["answer 2", "question 3", "another answer"]
    assert store.messages(conversation)[-3:] == store.messages(conversation, newest=3)
