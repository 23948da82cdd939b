"""Executors by name; adding one is one file and one row here."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hetsched.execute.executor import Executor
from hetsched.execute.local import LocalExecutor


def _ray(**settings: Any) -> Executor:
    from hetsched.execute.ray_cluster.executor import RayExecutor  # importing Ray takes half a second

    return RayExecutor(**settings)


EXECUTORS: dict[str, Callable[..., Executor]] = {"local": LocalExecutor, "ray": _ray}

__all__ = ["EXECUTORS", "Executor", "LocalExecutor"]
