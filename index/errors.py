"""What can go wrong while looking something up."""


class RetrievalError(Exception):
    """A query or an index that cannot be used; the message says what to do."""
