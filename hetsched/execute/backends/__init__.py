"""Backends by device kind; adding one is one file and one row here."""

from __future__ import annotations

from hetsched.execute.backends.backend import Backend, BackendFactory
from hetsched.execute.backends.cpu import CpuBackend
from hetsched.execute.backends.cuda import StreamBackend
from hetsched.execute.backends.emulated import EmulatedBackend

BACKENDS: dict[str, BackendFactory] = {
    "cpu": CpuBackend,
    "cuda": StreamBackend,
    "emulated": EmulatedBackend,
}
"""What drives each device kind; ``emulated`` drives every device of an emulated platform."""

__all__ = ["BACKENDS", "Backend", "BackendFactory"]
