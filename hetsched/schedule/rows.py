"""Rows: a long table kept as arrays, that reads like a tuple of its rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar, overload

import numpy as np
from numpy.typing import NDArray

Row = TypeVar("Row")


class Rows(Sequence[Row], Generic[Row]):
    """Rows that are made when they are looked at; equal to any sequence of the same rows."""

    __slots__ = ("_columns", "_make")

    def __init__(self, make: Callable[..., Row], *columns: NDArray[Any]) -> None:
        """``make`` takes one number of each column."""
        self._make = make
        self._columns = columns

    def __len__(self) -> int:
        return len(self._columns[0])

    @overload
    def __getitem__(self, index: int) -> Row: ...

    @overload
    def __getitem__(self, index: slice) -> tuple[Row, ...]: ...

    def __getitem__(self, index: int | slice) -> Row | tuple[Row, ...]:
        if isinstance(index, slice):
            return tuple(map(self._make, *(column[index].tolist() for column in self._columns)))
        return self._make(*(column[index].item() for column in self._columns))

    def __iter__(self) -> Iterator[Row]:
        return map(self._make, *(column.tolist() for column in self._columns))

    def __eq__(self, other: object) -> bool:
        return (
            isinstance(other, Sequence)
            and len(self) == len(other)
            and all(a == b for a, b in zip(self, other, strict=True))
        )

    __hash__ = None  # type: ignore[assignment]  # like a list's, as its rows may be compared only

    @property
    def latest(self) -> float:
        """The largest number of the last column, 0 where there is no row."""
        return float(np.max(self._columns[-1], initial=0.0))
