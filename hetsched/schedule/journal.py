"""Journal: how to undo what was tried, so that asking and doing are the same code."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

Undo = Callable[[], object]


class Journal:
    """What undoes every change since it was last forgotten; undone in reverse."""

    def __init__(self) -> None:
        self._undo: list[Undo] = []

    def add(self, *undo: Undo) -> None:
        """Note what undoes a change just made."""
        self._undo += undo

    def mark(self) -> int:
        """Where `undo_to` comes back to."""
        return len(self._undo)

    def undo_to(self, mark: int) -> None:
        """Undo every change since the mark."""
        while len(self._undo) > mark:
            self._undo.pop()()

    def forget(self) -> None:
        """Make all changes final."""
        self._undo.clear()

    @contextmanager
    def rehearsal(self) -> Iterator[None]:
        """Every change made inside is undone at the end."""
        mark = self.mark()
        try:
            yield
        finally:
            self.undo_to(mark)
