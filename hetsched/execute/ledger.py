"""Who counts the bytes of a memory: every storage once, however many values view it."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import numpy as np
import torch

from hetsched.errors import OutOfMemoryError


class Ledger:
    """Bytes that the values in one memory take now and took at most; refuses what does not fit."""

    def __init__(self, memory: str, capacity_bytes: float) -> None:
        self._memory = memory
        self._capacity_bytes = capacity_bytes
        self._holds: dict[int, int] = {}
        self._lock = threading.Lock()
        self.n_bytes = 0
        self.peak_bytes = 0

    def hold(self, value: object, name: str) -> None:
        """Count a value.

        Raises:
            OutOfMemoryError: it does not fit; names memory, value and sizes.
        """
        with self._lock:
            for key, n_bytes in _storages(value):
                count = self._holds.get(key, 0)
                if not count:
                    if self.n_bytes + n_bytes > self._capacity_bytes:
                        raise OutOfMemoryError(
                            f"memory {self._memory!r} is full: {name!r} needs {n_bytes} bytes, {self.n_bytes} of "
                            f"{self._capacity_bytes:.0f} are taken; give it more capacity or the graph smaller parts"
                        )
                    self.n_bytes += n_bytes
                    self.peak_bytes = max(self.peak_bytes, self.n_bytes)
                self._holds[key] = count + 1

    def drop(self, value: object) -> None:
        """Stop counting a value that was held."""
        with self._lock:
            for key, n_bytes in _storages(value):
                self._holds[key] -= 1
                if not self._holds[key]:
                    del self._holds[key]
                    self.n_bytes -= n_bytes


def sparse_parts(tensor: torch.Tensor) -> tuple[torch.Tensor, ...]:
    """The dense tensors that a sparse one consists of."""
    if tensor.layout is torch.sparse_coo:
        return tensor._indices(), tensor._values()
    by_rows = tensor.layout in (torch.sparse_csr, torch.sparse_bsr)
    outer, inner = ("crow_indices", "col_indices") if by_rows else ("ccol_indices", "row_indices")
    return getattr(tensor, outer)(), getattr(tensor, inner)(), tensor.values()


def _storages(value: object) -> Iterator[tuple[int, int]]:
    """Identity and size of each storage inside a value."""
    if isinstance(value, torch.Tensor) and value.layout is torch.strided:
        storage = value.untyped_storage()
        yield storage._cdata, storage.nbytes()
    elif isinstance(value, torch.Tensor):
        yield from _storages(sparse_parts(value))
    elif isinstance(value, np.ndarray):
        owner = value.base if isinstance(value.base, np.ndarray) else value
        yield id(owner), owner.nbytes
    elif isinstance(value, tuple | list):
        for item in value:
            yield from _storages(item)
    elif isinstance(value, dict):
        for item in value.values():
            yield from _storages(item)
