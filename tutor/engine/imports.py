"""Imports that take long, while somebody draws: what they cost is kept from the screen's thread."""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib.util import find_spec
from pathlib import Path


@contextmanager
def made_to_stay() -> Iterator[None]:
    """What is made inside stays until the end: the garbage collector need not look through it.

    It would do so many times while much is made, and later for tens of milliseconds at a time,
    during which no key is answered.
    """
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()


def import_torch() -> None:
    """Imports torch and transformers. Whoever needs them in the app does so by this first."""
    with made_to_stay():
        _map_torch()
        import torch  # noqa: F401
        import transformers  # noqa: F401


def _map_torch() -> None:
    """Maps torch's libraries into memory. An import would do that with the interpreter's lock held,
    for a quarter of a second; a call of C's `dlopen` gives it up."""
    spec = find_spec("torch")
    if os.name == "nt" or spec is None or spec.origin is None:
        return
    for library in (Path(spec.origin).parent / "lib").glob("libtorch_python.*"):
        with suppress(AttributeError):  # where the C library names it otherwise
            dlopen = ctypes.CDLL(None).dlopen
            dlopen.restype = ctypes.c_void_p
            dlopen(os.fsencode(library), ctypes.c_int(os.RTLD_NOW))
