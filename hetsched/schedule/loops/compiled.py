"""One source, two speeds: a loop runs as the Python it is written in, or compiled by numba, with equal results.

A loop reads and writes numbers by index only, and gets its scratch room from its caller, so that it takes lists and
arrays alike: lists are faster uncompiled, compiled code needs arrays. Compiled code is kept on disk.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

UNCOMPILED_TASKS = 200
"""Problems of up to so many tasks run uncompiled: they are done before numba is imported."""

Numbers = Any
"""A list, or a numpy array of one dimension: what a loop indexes."""


class Room(NamedTuple):
    """Makes what a loop indexes, in the form that it is fastest with."""

    compiled: bool

    def of(self, array: NDArray[Any]) -> Numbers:
        """The numbers of an array, row by row."""
        return np.ascontiguousarray(array).reshape(-1) if self.compiled else array.reshape(-1).tolist()

    def floats(self, n: int, fill: float = 0.0) -> Numbers:
        """So many floats."""
        return np.full(n, fill, dtype=np.float64) if self.compiled else [fill] * n

    def ints(self, n: int, fill: int = 0) -> Numbers:
        """So many integers."""
        return np.full(n, fill, dtype=np.int32) if self.compiled else [fill] * n

    def call(self, loop: Callable[..., Any], *arguments: Any) -> Any:
        """Run a loop."""
        return (_compiled(loop) if self.compiled else loop)(*arguments)


def room_for(n_tasks: int) -> Room:
    """Compiled for problems that are worth the wait, which their size alone decides."""
    return Room(n_tasks > UNCOMPILED_TASKS)


def helper(function: Callable[..., Any]) -> Callable[..., Any]:
    """Mark a function that loops call, so that they can be compiled with it."""
    _HELPERS.append(function)
    return function


_HELPERS: list[Callable[..., Any]] = []


@cache
def _compiled(loop: Callable[..., Any]) -> Callable[..., Any]:
    from numba import njit
    from numba.extending import register_jitable

    while _HELPERS:
        register_jitable(_HELPERS.pop())
    try:
        fast = njit(cache=True)(loop)
    except RuntimeError:  # there is no folder that it could be kept in
        return njit(loop)
    _forget_stale(str(fast.stats.cache_path), loop)
    return fast


def _forget_stale(folder: str, loop: Callable[..., Any]) -> None:
    """Remove what is kept of a loop if any loop's source is newer: numba looks at the loop's own file only."""
    loops = Path(__file__).parent
    sources = [*loops.glob("*.py"), loops.parent / "flat.py", loops.parent / "objective.py"]
    newest = max(source.stat().st_mtime for source in sources)
    module = loop.__module__.rpartition(".")[2]
    for index in Path(folder).glob(f"{module}.{loop.__name__}-*.nbi"):
        if index.stat().st_mtime < newest:
            index.unlink(missing_ok=True)
