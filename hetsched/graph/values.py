"""Specs: what is known of a value before it exists."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch


@dataclass(frozen=True, slots=True)
class TensorSpec:
    """Shape and dtype of a tensor; ``dtype`` is torch's name without the prefix (``float32``)."""

    shape: tuple[int, ...]
    dtype: str

    @property
    def n_bytes(self) -> int:
        """Size of the tensor when compact."""
        return math.prod(self.shape) * torch_dtype(self.dtype).itemsize

    def __str__(self) -> str:
        return f"{self.dtype}[{', '.join(map(str, self.shape))}]"


@dataclass(frozen=True, slots=True)
class ObjectSpec:
    """A value that is not a tensor; ``size`` is its bytes where they can be counted, else None."""

    type_name: str
    size: int | None

    @property
    def n_bytes(self) -> int | None:
        """Size of the object, or None when it is unknown."""
        return self.size

    def __str__(self) -> str:
        return self.type_name


@dataclass(frozen=True, slots=True)
class TupleSpec:
    """A tuple or list of values."""

    items: tuple[Spec | None, ...]

    @property
    def n_bytes(self) -> int | None:
        """Sum over the items, or None when one is unknown."""
        sizes = [None if item is None else item.n_bytes for item in self.items]
        return None if None in sizes else sum(size for size in sizes if size is not None)

    def __str__(self) -> str:
        return f"({', '.join('unknown' if item is None else str(item) for item in self.items)})"


Spec = TensorSpec | ObjectSpec | TupleSpec
"""None stands for an unknown spec wherever a ``Spec | None`` is asked for."""


@functools.lru_cache(maxsize=256)
def torch_dtype(name: str) -> torch.dtype:
    """``float32`` -> ``torch.float32``."""
    dtype = getattr(torch, name, None)
    if not isinstance(dtype, torch.dtype):
        raise TypeError(f"{name!r} is not a torch dtype")
    return dtype


@functools.lru_cache(maxsize=256, typed=True)
def dtype_name(dtype: torch.dtype | np.dtype | str) -> str:
    """``torch.float32`` -> ``float32``; numpy dtypes and names pass through."""
    return str(dtype).removeprefix("torch.")


def is_reference(value: object) -> bool:
    """Whether a value is a Ray ObjectRef: something that stands for a value elsewhere."""
    return type(value).__name__ == "ObjectRef" and type(value).__module__.partition(".")[0] == "ray"


def spec_of(value: object) -> Spec | None:
    """The spec of a value at hand; None for references, whose value is elsewhere."""
    if isinstance(value, torch.Tensor):
        return TensorSpec(tuple(value.shape), dtype_name(value.dtype))
    if is_reference(value):
        return None
    if isinstance(value, (tuple, list)):
        return TupleSpec(tuple(spec_of(item) for item in value))
    return ObjectSpec(type(value).__name__, _object_bytes(value))


def describe(value: object) -> str:
    """A short description for messages: ``float32[4, 4]``, ``dict``, ``(int64[3], str)``."""
    return str(spec_of(value))


def _object_bytes(value: object) -> int | None:
    match value:
        case np.ndarray():
            return int(value.nbytes)
        case str() | bytes() | bytearray():
            return len(value)
        case bool() | int() | float() | complex() | None:
            return 8
        case Mapping():
            sizes = [spec.n_bytes if (spec := spec_of(item)) else None for item in value.values()]
            return None if None in sizes else sum(size for size in sizes if size is not None)
        case _:
            return None
