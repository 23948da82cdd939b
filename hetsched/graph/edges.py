"""Reads and checks which value goes to which operand of a task."""

from __future__ import annotations

import itertools
from collections.abc import Hashable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from hetsched.errors import GraphError


@dataclass(frozen=True, slots=True)
class Use:
    """Output ``slot`` of node ``key`` (None for the whole) is the operand ``arg``."""

    arg: int | str
    key: Hashable
    slot: int | None


def uses_of(name: str, edges: Mapping[Hashable, Mapping[str, Any]], params: Mapping[str, Any]) -> tuple[Use, ...]:
    """The operands of a node, positional ones first, then keywords by name.

    Args:
        name: of the node.
        edges: attributes of its incoming edges by predecessor, in the order they were added.
        params: the op's keyword parameters.

    Raises:
        GraphError: an ``arg`` or ``slot`` is of the wrong type, missing, given twice, or of unlike length.
    """
    if not any(edges.values()):
        return tuple(Use(position, key, None) for position, key in enumerate(edges))
    by_arg: dict[int | str, Use] = {}
    unplaced: list[tuple[Hashable, int | None]] = []
    for key, attributes in edges.items():
        for arg, slot in _uses_of_edge(name, key, attributes):
            if arg is None:
                unplaced.append((key, slot))
            elif arg in by_arg:
                raise GraphError(
                    f"node {name!r}: operand {arg!r} is given twice, by {_named(by_arg[arg].key)} and {_named(key)}"
                )
            elif isinstance(arg, str) and arg in params:
                raise GraphError(
                    f"node {name!r}: {arg!r} is given both by the edge from {_named(key)} and in params; drop one"
                )
            else:
                by_arg[arg] = Use(arg, key, slot)
    free = (position for position in itertools.count() if position not in by_arg)
    for (key, slot), position in zip(unplaced, list(itertools.islice(free, len(unplaced))), strict=True):
        by_arg[position] = Use(position, key, slot)
    keywords = sorted(arg for arg in by_arg if isinstance(arg, str))
    for position in range(len(by_arg) - len(keywords)):
        if position not in by_arg:
            last = max(arg for arg in by_arg if isinstance(arg, int))
            raise GraphError(f"node {name!r}: operand {position} is missing although {last} is given; add its edge")
    return tuple(by_arg[arg] for arg in (*range(len(by_arg) - len(keywords)), *keywords))


def _uses_of_edge(name: str, key: Hashable, attributes: Mapping[str, Any]) -> list[tuple[int | str | None, int | None]]:
    arg, slot = attributes.get("arg"), attributes.get("slot")
    if slot is None and type(arg) is int and arg >= 0:  # nearly every edge, and quick
        return [(arg, None)]
    place = f"node {name!r}: the edge from {_named(key)}"
    args = tuple(arg) if isinstance(arg, (tuple, list)) else (arg,)
    slots = tuple(slot) if isinstance(slot, (tuple, list)) else (slot,) * len(args)
    if len(args) != len(slots) or not args:
        raise GraphError(f"{place} has arg={arg!r} and slot={slot!r}; give one slot for each arg")
    for one_arg, one_slot in zip(args, slots, strict=True):
        if not (isinstance(one_arg, str) or _is_index(one_arg) or (one_arg is None and len(args) == 1)):
            raise GraphError(f"{place} has arg={arg!r}; it must be a position, a keyword, or a tuple of them")
        if not (one_slot is None or _is_index(one_slot)):
            raise GraphError(f"{place} has slot={slot!r}; it must be the number of an output, or a tuple of them")
    return [(_plain(one_arg), _plain(one_slot)) for one_arg, one_slot in zip(args, slots, strict=True)]


def _is_index(given: object) -> bool:
    return isinstance(given, int | np.integer) and not isinstance(given, bool) and bool(given >= 0)


def _plain(given: Any) -> Any:
    """An int for any whole number, such as numpy's."""
    return int(given) if isinstance(given, int | np.integer) else given


def _named(key: Hashable) -> str:
    return repr(str(key))
