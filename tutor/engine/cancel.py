"""A stop that native code sees by itself."""

from __future__ import annotations

import ctypes
import threading


class Cancel(threading.Event):
    """An event; from the moment that it is set, the C string at `address` is no longer empty."""

    def __init__(self) -> None:
        super().__init__()
        self._text = ctypes.create_string_buffer(2)

    @property
    def address(self) -> int:
        """Valid as long as this object lives."""
        return ctypes.addressof(self._text)

    def set(self) -> None:
        self._text.value = b"x"
        super().set()

    def clear(self) -> None:
        super().clear()
        self._text.value = b""
