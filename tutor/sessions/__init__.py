"""Conversations, reading progress: kept in SQLite as they happen."""
