"""The store: conversations, their messages, and how far each lesson has been read.

Every write is its own transaction in WAL mode, so that a killed process loses at most the text
that it had not yet handed over. Times are Unix seconds. One `Store` may be used from several
threads; a lock keeps their statements apart.
"""

from __future__ import annotations

import itertools
import os
import sqlite3
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tutor.sessions.migrations import migrate


class StoreError(Exception):
    """What could not be stored or found; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation as lists show it."""

    id: int
    title: str
    created: float
    updated: float
    messages: int


@dataclass(frozen=True, slots=True)
class StoredMessage:
    """One message. `answer` is the finished turn as JSON; empty for a question or a cut answer."""

    id: int
    conversation: int
    role: str
    text: str
    answer: str
    state: str
    """`done`, `streaming` (found so after a crash), or `stopped`."""
    created: float
    parent: int | None
    """The answer that this one is a branch of."""
    fork: int | None
    """The index of the token at which they part."""


_CONVERSATION = (
    "SELECT c.id, c.title, c.created, c.updated,"
    " (SELECT count(*) FROM message m WHERE m.conversation = c.id AND m.active)"
    " FROM conversation c"
)
_MESSAGE = "id, conversation, role, text, answer, state, created, parent, fork"


class Store:
    """Conversations in one SQLite file, readable by its owner only."""

    def __init__(self, path: Path) -> None:
        """Opens or creates the file; a damaged one is kept aside and a fresh one begun.

        `notice` then says where the old file is. Raises StoreError, and leaves the file as it is,
        where the folder is not writable, the disk full or the file locked.
        """
        self.path = path
        self.notice = ""
        self._lock = threading.RLock()
        try:
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            self._db = self._open()
        # These are faults of the machine, not of the file.
        except sqlite3.OperationalError as error:
            if "lock" in str(error):
                raise StoreError(f"{path} is locked by another program: close it first") from error
            raise StoreError(f"{path} cannot be opened: {error}") from error
        except sqlite3.DatabaseError as error:
            self._db = self._begin_afresh(error)
        except OSError as error:
            raise StoreError(f"{path} cannot be opened: {error.strerror}") from error

    def _open(self) -> sqlite3.Connection:
        if not self.path.exists():
            os.close(os.open(self.path, os.O_CREAT | os.O_WRONLY, 0o600))
        db = sqlite3.connect(self.path, timeout=10, check_same_thread=False, isolation_level=None)
        try:
            db.execute("PRAGMA journal_mode=WAL")
            db.execute("PRAGMA foreign_keys=ON")
            db.execute("PRAGMA secure_delete=ON")
            if (state := db.execute("PRAGMA quick_check(1)").fetchone()[0]) != "ok":
                raise sqlite3.DatabaseError(state)
            migrate(db)
        except BaseException:
            db.close()
            raise
        return db

    def _begin_afresh(self, error: sqlite3.DatabaseError) -> sqlite3.Connection:
        names = (f".damaged-{int(time.time()) + n}{self.path.suffix}" for n in itertools.count())
        aside = next(file for file in map(self.path.with_suffix, names) if not file.exists())
        try:
            os.replace(self.path, aside)
            # Where another app has it open, the newest messages stand in the log alone.
            for suffix in ("-wal", "-shm"):
                if (log := self.path.with_name(self.path.name + suffix)).exists():
                    os.replace(log, aside.with_name(aside.name + suffix))
            db = self._open()
        except (OSError, sqlite3.DatabaseError) as again:
            raise StoreError(f"{self.path} cannot be opened: {error}") from again
        self.notice = (
            f"The store was damaged ({error}); it is kept as {aside}, a new one was begun."
        )
        return db

    def close(self) -> None:
        with self._lock:
            self._db.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """One thread at a time; what SQLite refuses is told with the file's name."""
        with self._lock:
            try:
                yield
            # Every row hangs on its conversation.
            except sqlite3.IntegrityError as error:
                raise StoreError(
                    "this conversation was deleted in the meantime: begin a new one (Ctrl+N)"
                ) from error
            except sqlite3.Error as error:
                if "lock" in str(error):
                    raise StoreError(
                        f"{self.path} is locked by another program: close it, then try again"
                    ) from error
                raise StoreError(f"{self.path}: {error}") from error

    def _rows(self, sql: str, values: Iterable[Any] = ()) -> list[Any]:
        with self._alone():
            return self._db.execute(sql, tuple(values)).fetchall()

    def _write(self, sql: str, values: Iterable[Any]) -> int:
        """The id of the row, where one was inserted."""
        with self._alone():
            return int(self._db.execute(sql, tuple(values)).lastrowid or 0)

    # Conversations

    def begin(self, title: str = "") -> int:
        """A new conversation's id."""
        now = time.time()
        return self._write(
            "INSERT INTO conversation (title, created, updated) VALUES (?, ?, ?)",
            (title, now, now),
        )

    def conversations(self, search: str = "") -> list[Conversation]:
        """All conversations, or those whose title or text contains `search`: the one that was added
        to last comes first, whatever the clock said, and before it those that were only begun."""
        rows = self._rows(
            _CONVERSATION
            + """
               WHERE ?1 = '' OR instr(lower(c.title), lower(?1)) > 0 OR EXISTS (
                   SELECT 1 FROM message m
                   WHERE m.conversation = c.id AND instr(lower(m.text), lower(?1)) > 0)
               ORDER BY coalesce(
                   (SELECT max(m.id) FROM message m WHERE m.conversation = c.id),
                   (SELECT max(m.id) + 1 FROM message m)) DESC, c.id DESC""",
            (search,),
        )
        return [Conversation(*row) for row in rows]

    def conversation(self, id: int) -> Conversation:
        """One conversation. Raises StoreError for an unknown id."""
        for row in self._rows(f"{_CONVERSATION} WHERE c.id = ?", (id,)):
            return Conversation(*row)
        raise StoreError(f"there is no conversation {id}: see `tutor sessions list`")

    def rename(self, id: int, title: str) -> None:
        self.conversation(id)
        self._write("UPDATE conversation SET title = ? WHERE id = ?", (title, id))

    def delete(self, id: int) -> None:
        """Removes a conversation, and its text from the file. Raises StoreError for an unknown id."""
        self.conversation(id)
        self._write("DELETE FROM conversation WHERE id = ?", (id,))
        # The log holds the old pages until it is written back.
        self._rows("PRAGMA wal_checkpoint(TRUNCATE)")

    # Messages

    def add(self, conversation: int, role: str, text: str, *, state: str = "done") -> int:
        """Appends a message and returns its id; the first question titles the conversation."""
        now = time.time()
        message = self._write(
            "INSERT INTO message (conversation, role, text, state, created) VALUES (?, ?, ?, ?, ?)",
            (conversation, role, text, state, now),
        )
        title = " ".join(text.split())[:60] if role == "user" else ""
        self._write(
            "UPDATE conversation SET updated = ?, title = CASE title WHEN '' THEN ? ELSE title END"
            " WHERE id = ?",
            (now, title, conversation),
        )
        return message

    def update(self, message: int, text: str, *, answer: str = "", state: str = "done") -> None:
        """Replaces a message's text, as an answer grows."""
        self._write(
            "UPDATE message SET text = ?, answer = ?, state = ? WHERE id = ?",
            (text, answer, state, message),
        )

    def remove_from(self, message: int) -> None:
        """Removes a message and all that follow it in its conversation (edit, ask again)."""
        self._write(
            "DELETE FROM message WHERE coalesce(root, id) >= ?1 AND conversation ="
            " (SELECT conversation FROM message WHERE id = ?1)",
            (message,),
        )

    def messages(self, conversation: int, newest: int | None = None) -> list[StoredMessage]:
        """The messages of a conversation in order, of every answer the branch that is shown.

        With `newest` only so many of the last ones: reading thousands takes a tenth of a second.
        """
        rows = self._rows(
            f"SELECT {_MESSAGE} FROM message WHERE conversation = ? AND active"
            " ORDER BY coalesce(root, id) DESC LIMIT ?",
            (conversation, -1 if newest is None else newest),
        )
        return [StoredMessage(*row) for row in reversed(rows)]

    # Branches and traces

    def branch(self, message: int, fork: int) -> int:
        """A new answer beside `message`, shown in its place; they part at token `fork`."""
        branch = self._write(
            "INSERT INTO message"
            " (conversation, role, text, state, created, root, parent, fork, active)"
            " SELECT conversation, role, '', 'streaming', ?2, coalesce(root, id), id, ?3, 0"
            " FROM message WHERE id = ?1",
            (message, time.time(), fork),
        )
        self.show_branch(branch)
        return branch

    def branches(self, message: int) -> list[StoredMessage]:
        """All answers of the turn of `message`, the first one first."""
        rows = self._rows(
            f"SELECT {_MESSAGE} FROM message WHERE coalesce(root, id) ="
            " (SELECT coalesce(root, id) FROM message WHERE id = ?) ORDER BY id",
            (message,),
        )
        return [StoredMessage(*row) for row in rows]

    def show_branch(self, message: int) -> None:
        """Lets `message` be the answer of its turn that is shown."""
        self._write(
            "UPDATE message SET active = (id = ?1) WHERE coalesce(root, id) ="
            " (SELECT coalesce(root, id) FROM message WHERE id = ?1)",
            (message,),
        )

    def keep_trace(self, message: int, data: bytes) -> None:
        """Keeps the packed trace of an answer."""
        self._write(
            "INSERT INTO trace (message, data) VALUES (?1, ?2)"
            " ON CONFLICT (message) DO UPDATE SET data = ?2",
            (message, data),
        )

    def trace(self, message: int) -> bytes | None:
        """The packed trace of an answer, if one was kept."""
        rows = self._rows("SELECT data FROM trace WHERE message = ?", (message,))
        return rows[0][0] if rows else None

    # Reading progress

    def mark_read(self, passage_id: str) -> None:
        """Remembers that a section was seen in the reader."""
        self._write(
            "INSERT INTO read_section (passage_id, at) VALUES (?, ?) ON CONFLICT DO NOTHING",
            (passage_id, time.time()),
        )

    def read_sections(self) -> set[str]:
        """The passage ids of all sections that were read."""
        return {row[0] for row in self._rows("SELECT passage_id FROM read_section")}
