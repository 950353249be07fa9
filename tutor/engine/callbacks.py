"""What llama.cpp calls back, by functions of C: one in Python would wait for the interpreter each
time, which the screen holds for long."""

from __future__ import annotations

import ctypes
import os

import llama_cpp

_C = ctypes.CDLL("msvcrt" if os.name == "nt" else None)

# Asked at every node of a graph: the length of the string at a cancel's address.
IS_SET = ctypes.cast(_C.strlen, llama_cpp.ggml_abort_callback)
"""Whether to abort, as the bytes at the given address say."""
NEVER = llama_cpp.ggml_abort_callback()

# Given a level first, which it makes positive; the text after that it does not look at.
DROP = ctypes.cast(_C.abs, llama_cpp.llama_log_callback)
"""Drops a line of the log."""
