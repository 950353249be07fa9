"""LoRA adapters: pairs of thin matrices added to a model's weights, swapped while it is loaded.

A file is read and compared with the model's own tensors before llama.cpp gets it, which ends the
process at some damaged files. Only LoRA of matrices can be used: llama.cpp passes over adapted
norms in silence, and adapted embeddings end the process where they are the model's output too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from math import isfinite
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tutor.engine.errors import AdapterError, ModelFileError
from tutor.engine.events import Adapter
from tutor.engine.gguf import BF16, F16, F32, FLOAT32, Q8_0, Header, TensorInfo, read_header

if TYPE_CHECKING:
    from tutor.engine.model import Model

_State = tuple[Path, int, int, int]
"""A file as it is now: path, inode, bytes, time of change."""
SHIPPED = Path(__file__).parent.parent / "lora" / "adapters" / "tutor.gguf"
_PARTS = (".lora_a", ".lora_b")
# Where the exponents of a tensor type stand, as 16-bit words: the first, the distance to the
# next, the bits. A number whose exponent is all ones is infinite or none.
_EXPONENTS = {
    F32: (1, 2, 0x7F80),
    F16: (0, 1, 0x7C00),
    BF16: (0, 1, 0x7F80),
    Q8_0: (0, 17, 0x7C00),
}


class Adapters:
    """The adapters loaded beside a model, of which one acts or none. For one thread at a time.

    They stay loaded until `close`: swapping back reads no file.
    """

    def __init__(self, model: Model) -> None:
        self._model = model
        # By file and the state it was in: one that was written anew is another adapter.
        self._loaded: dict[_State, tuple[str, Any]] = {}
        self.acting: tuple[_State, float] | None = None
        """The file that acts, in the state that it was read in, and its scale."""
        self.active: Adapter | None = None

    def use(self, path: Path | None, scale: float) -> bool:
        """Lets the adapter of `path` act, or none; gives whether that changes the weights.

        Raises AdapterError, and changes nothing then.
        """
        if not 0 <= scale <= 1:
            raise AdapterError(f"an adapter's scale is 0 to 1, not {scale:g}")
        if path is None:
            return self._act(None, None, None)
        state = _state(path)
        if state not in self._loaded:
            name = read_adapter(path, self._model.header)
            self._loaded[state] = name, self._model.load_adapter(path)
        name, loaded = self._loaded[state]
        return self._act((state, scale), Adapter(name, path, scale), loaded)

    def _act(
        self, wanted: tuple[_State, float] | None, active: Adapter | None, loaded: Any
    ) -> bool:
        if wanted == self.acting:
            return False
        self._model.set_adapter(loaded, active.scale if active else 0.0)
        self.acting, self.active = wanted, active
        return True

    def close(self) -> None:
        """Frees them all; before the model."""
        self._act(None, None, None)
        for _, loaded in self._loaded.values():
            self._model.free_adapter(loaded)
        self._loaded.clear()


def shipped_adapter() -> Path | None:
    """The adapter that comes with the tutor, made for the embedded model; None without one."""
    return SHIPPED if SHIPPED.is_file() else None


def _state(path: Path) -> _State:
    try:
        if path.is_file():
            found = path.stat()
            return path.resolve(), found.st_ino, found.st_size, found.st_mtime_ns
    except OSError as error:
        raise AdapterError(f"{path} cannot be read: {error.strerror}") from error
    raise AdapterError(f"there is no adapter file {path}")


def read_adapter(path: Path, base: Header) -> str:
    """The name of the adapter, once it is sure to fit the model of `base`. Raises AdapterError."""
    try:
        header = read_header(path)
        fault = misfit(path, header, base)
    except ModelFileError as error:
        raise AdapterError(str(error)) from error
    if fault:
        raise AdapterError(f"{path} {fault}")
    name = header.metadata.get("general.name")
    return _shown(name) if isinstance(name, str) and _shown(name) else path.stem


def misfit(path: Path, header: Header, base: Header) -> str | None:
    """Why the adapter of this header cannot act on the model of `base`: "is...", "holds..."."""
    return _foreign(header, base) or _unequal(header, base) or _not_finite(path, header)


def _foreign(header: Header, base: Header) -> str | None:
    meta = header.metadata
    for key, expected in (("general.type", "adapter"), ("adapter.type", "lora")):
        if meta.get(key) != expected:
            found = _shown(meta.get(key, "missing"))
            return f"is no LoRA adapter: its {key} is {found}, not {expected}"
    arch = base.metadata["general.architecture"]
    if meta.get("general.architecture") != arch:
        found = _shown(meta.get("general.architecture", "missing"))
        return f"was made for another model: its architecture is {found}, this model's is {arch}"
    # Without an alpha llama.cpp scales by 1.
    alpha = "adapter.lora.alpha"
    if header.kinds.get(alpha, FLOAT32) != FLOAT32 or not isfinite(meta.get(alpha, 0.0)):
        return f"is damaged: its {alpha} is no finite 32-bit number"
    adapted, layers = _layers(header.tensors), _layers(base.tensors)
    if adapted > layers:
        return f"was made for another model: it adapts layer {adapted}, this model has {layers}"
    return None


def _unequal(header: Header, base: Header) -> str | None:
    pairs: dict[str, dict[str, TensorInfo]] = {}
    for name, tensor in header.tensors.items():
        weight, part = name[:-7], name[-7:]
        if part not in _PARTS or weight.endswith("token_embd.weight"):
            return f"holds {_shown(name)}, which cannot be used: only LoRA of matrices can"
        if tensor.kind not in _EXPONENTS:
            return f"holds {_shown(name)} in a type that is not F32, F16, BF16 or Q8_0"
        pairs.setdefault(weight, {})[part] = tensor
    if not pairs:
        return "is empty: it adapts nothing"
    for weight, pair in pairs.items():
        if weight not in base.tensors:
            return f"was made for another model: it adapts {_shown(weight)}, which this one lacks"
        if len(pair) != len(_PARTS):
            return f"is damaged: of {weight} it has only {next(iter(pair))[1:]}"
        a, b = (_four(pair[part]) for part in _PARTS)
        n_in, n_out, *experts = _four(base.tensors[weight])
        if (a[0], b[1]) != (n_in, n_out):
            return (
                f"was made for another model: its {weight} is {b[1]} x {a[0]}, "
                f"this model's {n_out} x {n_in}"
            )
        if [a[1], *a[2:]] != [b[0], *experts] or b[2:] != a[2:]:
            return f"is damaged: the matrices of {weight} do not multiply"
    return None


def _not_finite(path: Path, header: Header) -> str | None:
    # The start of the app, which only names adapters, need not wait for it.
    import numpy as np

    data = np.memmap(path, dtype=np.uint8, mode="r")
    for name, tensor in header.tensors.items():
        first, step, ones = _EXPONENTS[tensor.kind]
        words = data[tensor.start : tensor.start + tensor.size].view("<u2")[first::step]
        if ((words & ones) == ones).any():
            return f"is damaged: {name} holds numbers that are not finite"
    return None


def _layers(names: Iterable[str]) -> int:
    """The highest layer that is named, counted from 1; 0 where none is."""
    found = (re.match(r"blk\.(\d{1,6})\.", name) for name in names)
    return max((int(match[1]) + 1 for match in found if match), default=0)


def _four(tensor: TensorInfo) -> tuple[int, ...]:
    return (*tensor.shape, 1, 1, 1, 1)[:4]


def _shown(found: Any) -> str:
    """Words of a foreign file, short and without what a terminal would obey."""
    return "".join(c for c in str(found)[:60] if c.isprintable()).strip()
