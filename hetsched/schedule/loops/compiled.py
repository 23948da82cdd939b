"""One source, two speeds: a loop runs as the Python it is written in, or compiled by numba, with equal results.

A loop reads and writes numbers by index only, and gets its scratch room from its caller, so that it takes lists and
arrays alike: lists are faster uncompiled, compiled code needs arrays. Compiled code is kept on disk beside the source
file of the loop that is called; numba looks at no other file to see whether it is stale, so the helpers of a loop stand
in its own file.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
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
    """Mark a function that loops of its file call, so that they can be compiled with it."""
    _HELPERS.setdefault(function.__module__, []).append(function)
    return function


_HELPERS: dict[str, list[Callable[..., Any]]] = {}


@cache
def _compiled(loop: Callable[..., Any]) -> Callable[..., Any]:
    from numba import njit
    from numba.extending import register_jitable

    for function in _HELPERS.pop(loop.__module__, []):
        register_jitable(function)
    return njit(cache=True, error_model="numpy")(loop)
