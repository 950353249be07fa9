"""What the model has read: the tokens whose keys and values its context holds."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from tutor.engine.model import Aborted, Logits, Model


class Memory:
    """The token ids in the context's first sequence, in step with llama.cpp's own memory."""

    def __init__(self, model: Model) -> None:
        self._model = model
        self.ids: list[int] = []
        # The prompt that was read last, while all of it is in memory, and the logits after it.
        self._prompt: list[int] = []
        self._after = np.empty(0, dtype=np.float32)

    def __len__(self) -> int:
        return len(self.ids)

    def read(self, ids: Sequence[int]) -> None:
        """Reads tokens after those in memory; on an abort it is cut back to what it was."""
        known = len(self.ids)
        try:
            self._model.decode(ids)
        except Aborted:
            self.forget(known)
            raise
        self.ids += ids

    def read_rows(self, ids: Sequence[int]) -> None:
        """As `read`, of one batch at most, with the logits after each token."""
        known = len(self.ids)
        if len(ids) == 1:
            self._model.decode(ids)  # its logits are given anyway, and no batch need be made
        else:
            self._model.decode_rows([(id, known + n, 0) for n, id in enumerate(ids)])
        self.ids += ids

    def read_prompt(self, prompt: Sequence[int]) -> tuple[int, Logits]:
        """Reads what of `prompt` is not in memory; gives how much of it was, and the logits after it.

        Of the prompt that was read last nothing is read again: a token that is read by itself is
        rounded otherwise than among others, and the same seed would not always say the same.
        """
        if list(prompt) == self._prompt:
            self.forget(len(prompt))
            return len(prompt), self._after
        known = self.keep(prompt)
        self.read(prompt[known:])
        self._prompt, self._after = list(prompt), self._model.logits().copy()
        return known, self._after

    def keep(self, prompt: Sequence[int]) -> int:
        """Forgets what `prompt` does not begin with, and gives how much of it is in memory."""
        # The last token is read again: its logits are needed.
        known = common_prefix(self.ids, prompt[:-1])
        self.forget(known)
        return known

    def save(self, file: Path) -> bool:
        """Writes the keys and values of all that is in memory; gives whether it could."""
        return self._model.save_state(file, self.ids)

    def restore(self, file: Path, ids: Sequence[int]) -> bool:
        """Takes over what was saved, if it is of `ids`; otherwise the memory is empty."""
        if self._model.load_state(file, len(ids)) == list(ids):
            self.ids = list(ids)
            return True
        self.forget(0)
        return False

    def forget(self, length: int) -> None:
        """Forgets everything after the first `length` tokens."""
        self._model.keep(length)
        del self.ids[length:]
        if length < len(self._prompt):
            self._prompt = []


def common_prefix(a: Sequence[int], b: Sequence[int]) -> int:
    """How many tokens two sequences share at their beginning."""
    length = 0
    for x, y in zip(a, b):  # noqa: B905 (the shorter one decides)
        if x != y:
            break
        length += 1
    return length
