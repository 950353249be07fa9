"""The store's schema as named steps, applied once each, in order, never edited afterwards."""

from __future__ import annotations

import sqlite3


def m001_initial(db: sqlite3.Connection) -> None:
    """Conversations, messages, sections read."""
    db.execute(
        "CREATE TABLE conversation (id INTEGER PRIMARY KEY AUTOINCREMENT, title TEXT NOT NULL,"
        " created REAL NOT NULL, updated REAL NOT NULL)"
    )
    db.execute(
        "CREATE TABLE message (id INTEGER PRIMARY KEY AUTOINCREMENT, conversation INTEGER NOT NULL"
        " REFERENCES conversation (id) ON DELETE CASCADE, role TEXT NOT NULL, text TEXT NOT NULL,"
        " answer TEXT NOT NULL DEFAULT '', state TEXT NOT NULL, created REAL NOT NULL)"
    )
    db.execute("CREATE INDEX message_conversation ON message (conversation, id)")
    db.execute("CREATE TABLE read_section (passage_id TEXT PRIMARY KEY, at REAL NOT NULL)")


def m002_branches_and_traces(db: sqlite3.Connection) -> None:
    """An answer may have branches, of which one is shown; every answer may have its trace.

    `root` is the first answer of the turn, `parent` the one branched from, `fork` the index of the
    token at which they part.
    """
    db.execute("ALTER TABLE message ADD COLUMN root INTEGER")
    db.execute("ALTER TABLE message ADD COLUMN parent INTEGER")
    db.execute("ALTER TABLE message ADD COLUMN fork INTEGER")
    db.execute("ALTER TABLE message ADD COLUMN active INTEGER NOT NULL DEFAULT 1")
    db.execute(
        "CREATE TABLE trace (message INTEGER PRIMARY KEY REFERENCES message (id)"
        " ON DELETE CASCADE, data BLOB NOT NULL)"
    )


def m003_order(db: sqlite3.Connection) -> None:
    """The newest messages are found without sorting the conversation."""
    db.execute(
        "CREATE INDEX message_order ON message (conversation, coalesce(root, id)) WHERE active"
    )


MIGRATIONS = (m001_initial, m002_branches_and_traces, m003_order)


def migrate(db: sqlite3.Connection) -> None:
    """Brings a connection's database to the newest schema; each step whole or not at all."""
    db.execute("BEGIN IMMEDIATE")
    try:
        db.execute("CREATE TABLE IF NOT EXISTS migration (name TEXT PRIMARY KEY)")
        done = {row[0] for row in db.execute("SELECT name FROM migration")}
        for step in MIGRATIONS:
            if step.__name__ not in done:
                step(db)
                db.execute("INSERT INTO migration (name) VALUES (?)", (step.__name__,))
        db.execute("COMMIT")
    except BaseException:
        # SQLite has rolled back by itself where the disk is full.
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise
