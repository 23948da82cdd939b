"""Executors by name; adding one is one file and one row here."""

from __future__ import annotations

from collections.abc import Callable

from hetsched.execute.executor import Executor
from hetsched.execute.local import LocalExecutor

EXECUTORS: dict[str, Callable[[], Executor]] = {"local": LocalExecutor}

__all__ = ["EXECUTORS", "Executor", "LocalExecutor"]
