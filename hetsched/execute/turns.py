"""Turns: what runs one job at a time, and must not be waited for from inside one."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from hetsched.errors import ExecutionError

_thread = threading.local()


@contextmanager
def inside_a_run() -> Iterator[None]:
    """Everything this thread does inside belongs to a run."""
    before = getattr(_thread, "is_inside", False)
    _thread.is_inside = True
    try:
        yield
    finally:
        _thread.is_inside = before


@contextmanager
def turn(lock: threading.Lock, of: str) -> Iterator[None]:
    """Wait for a turn, and have it inside.

    Raises:
        ExecutionError: an op of a run asks for it while it is taken; the run might be waiting for that very op.
    """
    if not lock.acquire(blocking=False):
        if getattr(_thread, "is_inside", False):
            raise ExecutionError(f"an op waits for {of}, which is running; call it outside, or give the op its own")
        lock.acquire()
    try:
        yield
    finally:
        lock.release()
