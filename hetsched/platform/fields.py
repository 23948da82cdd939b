"""Typed reading of one YAML mapping: every wrong field is an error with file, line and cure, and none is overlooked."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from typing import Any, TypeVar

from hetsched.errors import HetschedError
from hetsched.platform.units import Unit, quantity
from hetsched.yaml_source import Place, YamlDocument, did_you_mean

MAX_COUNT = 4096
"""The most entries that one ``count:`` may stand for."""

T = TypeVar("T", str, int, bool)
_NAMES = {str: "text", int: "a whole number", bool: "true or false", dict: "a mapping", list: "a list"}


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of one mapping of a document, as far as ``known`` names them.

    Raises:
        HetschedError: it is not a mapping, or has a field that is not known.
    """

    document: YamlDocument
    place: Place
    data: Any
    known: Collection[str] | None

    def __post_init__(self) -> None:
        if not isinstance(self.data, dict):
            raise self.document.error(self.place, f"is {self.data!r}; it must be a mapping, `field: value`")
        for name in self.data:
            if self.known is not None and name not in self.known:
                raise self.error(name, f"unknown field; {did_you_mean(name, self.known)}")

    def __contains__(self, name: str) -> bool:
        return self.data.get(name) is not None

    def error(self, name: str, problem: str) -> HetschedError:
        """An error about one field; about the mapping itself where the field is missing."""
        return self.document.error((*self.place, name), problem)

    def take(self, name: str, kind: type[T], default: T | None = None) -> T:
        """A text, whole number or boolean; needed where there is no default."""
        value = self.data.get(name)
        if value is None:
            if default is None:
                raise self.error(name, f"is missing; give {_NAMES[kind]}")
            return default
        if kind is str and isinstance(value, int | float) and not isinstance(value, bool):
            return kind(value)
        if not isinstance(value, kind) or (kind is int and isinstance(value, bool)):
            raise self.error(name, f"is {value!r}; it must be {_NAMES[kind]}")
        return value

    def number(self, name: str, unit: Unit | None, default: float | None = None, *, positive: bool = False) -> float:
        """A number, zero or more, in the base unit; infinite only for bytes and bandwidths."""
        written = self.data.get(name)
        if written is None:
            if default is None:
                raise self.error(name, "is missing; give a number" + (f" in {unit}" if unit else ""))
            return default
        try:
            number = quantity(written, unit or "s")
        except ValueError as reason:
            problem = str(reason) if unit else f"is {written!r}; write a plain number"
            raise self.error(name, problem) from None
        if unit is None and isinstance(written, str):
            raise self.error(name, f"is {written!r}; write a plain number")
        too_small = number <= 0 if positive else number < 0
        if math.isnan(number) or too_small or (math.isinf(number) and unit not in ("B", "B/s")):
            least = "more than zero" if positive else "zero or more"
            raise self.error(name, f"is {written!r}; it must be a finite number, {least}")
        return number

    def one_of(self, name: str, known: Collection[str], what: str, default: str | None = None) -> str:
        """A text that must be one of the known names."""
        value = self.take(name, str, default)
        if value not in known:
            raise self.error(name, f"no {what} is called {value!r}; {did_you_mean(value, known)}")
        return value

    def section(self, name: str, known: Collection[str] | None = None) -> Fields:
        """A mapping inside this one; empty where it is left out."""
        value = self.data.get(name)
        return Fields(self.document, (*self.place, name), {} if value is None else value, known)

    def texts(self, name: str) -> tuple[tuple[Place, str], ...]:
        """A list of texts with their places; empty where it is left out."""
        value = self.data.get(name)
        if value is None:
            return ()
        if not isinstance(value, list):
            raise self.error(name, f"is {value!r}; it must be a list, `- item` or `[item, item]`")
        for index, item in enumerate(value):
            if not isinstance(item, str):
                raise self.document.error((*self.place, name, index), f"is {item!r}; it must be text")
        return tuple(((*self.place, name, index), item) for index, item in enumerate(value))

    def mappings(self, name: str, known: Collection[str]) -> Iterator[Fields]:
        """A list of mappings; empty where it is left out."""
        value = self.data.get(name)
        if value is not None and not isinstance(value, list):
            raise self.error(name, f"is {value!r}; it must be a list of mappings, `- field: value`")
        for index, item in enumerate(value or ()):
            yield Fields(self.document, (*self.place, name, index), item, known)

    def entries(self, name: str, known: Collection[str], short: str | None = None) -> Iterator[tuple[str, Fields]]:
        """The named mappings of a section, those with ``count: n`` n times with 0 to n-1 for every ``*`` in them.

        Args:
            name: of the section.
            known: fields of each entry besides ``count``.
            short: the field that an entry means when it is a single value.
        """
        for key, data in self.section(name).data.items():
            place = (*self.place, name, key)
            if short is not None and not isinstance(data, dict):
                data = {short: data}
            counted = Fields(self.document, place, data, (*known, "count"))
            if "count" not in counted:
                if "*" in key:
                    raise self.document.error(place, "has a * in its name but no `count`; give one")
                yield key, counted
                continue
            count = counted.take("count", int)
            if not 1 <= count <= MAX_COUNT:
                raise counted.error("count", f"is {count}; it must be from 1 to {MAX_COUNT}")
            if "*" not in key:
                raise counted.error("count", f"the name {key!r} has no *; write one where the number goes")
            for number in range(count):
                yield (
                    key.replace("*", str(number)),
                    Fields(self.document, place, _numbered(data, number), (*known, "count")),
                )


def _numbered(data: Any, number: int) -> Any:
    if isinstance(data, str):
        return data.replace("*", str(number))
    if isinstance(data, dict):
        return {key: _numbered(value, number) for key, value in data.items()}
    return [_numbered(item, number) for item in data] if isinstance(data, list) else data
