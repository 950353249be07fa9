"""N-gram counts with Katz's back-off: what the demonstration of lesson 12 trains."""

from __future__ import annotations

from collections.abc import Sequence

Context = tuple[int, ...]


class BackOff:
    """Counts of n-grams up to an order, and Katz's back-off with absolute discounting.

    A seen n-gram gives up a discount D of its count (Ney's estimate, n1 / (n1 + 2 n2)); what is
    given up in a context goes to the tokens unseen there, as the shorter context would share it.
    Over all `n_vocab` tokens the probabilities sum to 1.
    """

    def __init__(self, order: int, n_vocab: int) -> None:
        self.order, self.n_vocab = order, n_vocab
        self.followers: dict[Context, dict[int, int]] = {}
        self._totals: dict[Context, int] = {}
        self._shares: dict[Context, float] = {}
        self._discounts: list[float] = []

    def count(self, ids: Sequence[int]) -> None:
        """Adds a text; no n-gram reaches from one text into another."""
        for at, id in enumerate(ids):
            for length in range(min(at, self.order - 1) + 1):
                context = tuple(ids[at - length : at])
                counts = self.followers.setdefault(context, {})
                counts[id] = counts.get(id, 0) + 1
                self._totals[context] = self._totals.get(context, 0) + 1

    def finish(self) -> None:
        """After the last text: estimates the discount of each order."""
        once, twice = [0] * self.order, [0] * self.order
        for context, counts in self.followers.items():
            for count in counts.values():
                once[len(context)] += count == 1
                twice[len(context)] += count == 2
        self._discounts = [
            a / (a + 2 * b) if a and b else 0.5 for a, b in zip(once, twice, strict=True)
        ]

    def longest_seen(self, context: Context) -> Context:
        """What back-off comes down to: the longest end of the context that was ever followed."""
        while context not in self.followers:
            context = context[1:]
        return context

    def p(self, id: int, context: Context) -> float:
        """The probability that `id` follows the context of at most order - 1 tokens."""
        context = self.longest_seen(context)
        counts, total = self.followers[context], self._totals[context]
        if id in counts:
            return (counts[id] - self._discounts[len(context)]) / total
        if context:
            return self._share(context) * self.p(id, context[1:])
        given_up = self._discounts[0] * len(counts) / total
        return given_up / (self.n_vocab - len(counts))

    def _share(self, context: Context) -> float:
        """What the context gives up, for each unit of the shorter context's unseen probability."""
        if context not in self._shares:
            counts, total = self.followers[context], self._totals[context]
            seen = sum(self.p(id, context[1:]) for id in counts)
            given_up = self._discounts[len(context)] * len(counts) / total
            self._shares[context] = given_up / (1 - seen)
        return self._shares[context]
