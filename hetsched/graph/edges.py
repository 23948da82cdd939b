"""Reads and checks which value goes to which operand of a task."""

from __future__ import annotations

import heapq
import itertools
from collections.abc import Hashable, Iterable, Mapping
from typing import Any

import networkx as nx
import numpy as np

from hetsched.errors import GraphError

Use = tuple[int | str, Hashable, int | None]
"""Operand, node key and output slot (None for the whole): bare tuples, as there are many and they are short-lived."""

Uses = tuple[Use, ...]

Edges = Mapping[Hashable, Mapping[str, Any]]
"""Attributes of a node's incoming edges by predecessor, in the order they were added."""

_WHOLE_NUMBERS = (int, np.integer)


def incoming(graph: nx.DiGraph) -> dict[Hashable, Edges]:
    """The incoming edges of every node: ``graph.pred`` without its views, which are many times slower."""
    same = nx.graphviews.generic_graph_view(graph, create_using=nx.DiGraph)
    return dict(nx.reverse_view(same).adjacency())


def topological_order(
    graph: nx.DiGraph, edges: Mapping[Hashable, Edges], successors: Mapping[Hashable, Iterable[Hashable]]
) -> list[Hashable]:
    """Every node after those it reads; of those that are ready, the one that was added first.

    Raises:
        GraphError: the graph has a cycle; names one.
    """
    keys = list(graph)
    if _is_topological(keys, edges):
        return keys
    rank = {key: number for number, key in enumerate(keys)}
    waiting = [len(edges[key]) for key in keys]
    ready = [number for number, n_before in enumerate(waiting) if n_before == 0]
    order: list[Hashable] = []
    while ready:
        number = heapq.heappop(ready)
        order.append(keys[number])
        for successor in successors[keys[number]]:
            after = rank[successor]
            waiting[after] -= 1
            if waiting[after] == 0:
                heapq.heappush(ready, after)
    if len(order) < len(keys):
        late = [key for key, n_before in zip(keys, waiting, strict=True) if n_before]
        cycle = nx.find_cycle(nx.induced_subgraph(graph, late))
        path = " -> ".join(str(key) for key in [*(source for source, _ in cycle), cycle[0][0]])
        raise GraphError(f"the graph has a cycle, {path}; remove one of its edges (`loop` repeats a graph)")
    return order


def _is_topological(keys: Iterable[Hashable], edges: Mapping[Hashable, Edges]) -> bool:
    """Whether every node was added after those it reads, as is usual."""
    added: set[Hashable] = set()
    for key in keys:
        if not added.issuperset(edges[key]):
            return False
        added.add(key)
    return True


def uses_of(name: str, edges: Edges, params: Mapping[str, Any]) -> Uses:
    """The operands of a node, positional ones first, then keywords by name.

    Args:
        name: of the node.
        edges: its incoming edges.
        params: the op's keyword parameters.

    Raises:
        GraphError: an ``arg`` or ``slot`` is of the wrong type, missing, given twice, or of unlike length.
    """
    plain = _plain_uses(edges)
    if plain is not None:
        return plain
    by_arg: dict[int | str, Use] = {}
    unplaced: list[tuple[Hashable, int | None]] = []
    for key, attributes in edges.items():
        for arg, slot in _uses_of_edge(name, key, attributes):
            if arg is None:
                unplaced.append((key, slot))
            elif arg in by_arg:
                raise GraphError(
                    f"node {name!r}: operand {arg!r} is given twice, by {_named(by_arg[arg][1])} and {_named(key)}"
                )
            elif arg in params:
                raise GraphError(
                    f"node {name!r}: {arg!r} is given both by the edge from {_named(key)} and in params; drop one"
                )
            else:
                by_arg[arg] = (arg, key, slot)
    if unplaced:
        free = (position for position in itertools.count() if position not in by_arg)
        for (key, slot), position in zip(unplaced, list(itertools.islice(free, len(unplaced))), strict=True):
            by_arg[position] = (position, key, slot)
    return _in_order(name, by_arg)


def _plain_uses(edges: Edges) -> Uses | None:
    """Nearly every node's, and quick: each edge has no ``arg``, or it is the next in order; None for other nodes."""
    uses: list[Use] = []
    for position, (key, attributes) in enumerate(edges.items()):
        slot = None
        if attributes:
            arg, slot = attributes.get("arg"), attributes.get("slot")
            if arg is not None and (type(arg) is not int or arg != position):
                return None
            if slot is not None and (type(slot) is not int or slot < 0):
                return None
        uses.append((position, key, slot))
    return tuple(uses)


def _in_order(name: str, by_arg: Mapping[int | str, Use]) -> Uses:
    keywords = sorted([arg for arg in by_arg if isinstance(arg, str)])
    positions = range(len(by_arg) - len(keywords))
    for position in positions:
        if position not in by_arg:
            last = max(arg for arg in by_arg if isinstance(arg, int))
            raise GraphError(f"node {name!r}: operand {position} is missing although {last} is given; add its edge")
    return tuple([by_arg[arg] for arg in (*positions, *keywords)])


def _uses_of_edge(name: str, key: Hashable, attributes: Mapping[str, Any]) -> list[tuple[int | str | None, int | None]]:
    arg, slot = attributes.get("arg"), attributes.get("slot")
    args = tuple(arg) if isinstance(arg, (tuple, list)) else (arg,)
    slots = tuple(slot) if isinstance(slot, (tuple, list)) else (slot,) * len(args)
    if len(args) != len(slots) or not args:
        raise GraphError(f"{_place(name, key)} has arg={arg!r} and slot={slot!r}; give one slot for each arg")
    for one_arg, one_slot in zip(args, slots, strict=True):
        if not (isinstance(one_arg, str) or _is_index(one_arg) or (one_arg is None and len(args) == 1)):
            raise GraphError(
                f"{_place(name, key)} has arg={arg!r}; it must be a position, a keyword, or a tuple of them"
            )
        if not (one_slot is None or _is_index(one_slot)):
            raise GraphError(
                f"{_place(name, key)} has slot={slot!r}; it must be the number of an output, or a tuple of them"
            )
    return [(_plain(one_arg), _plain(one_slot)) for one_arg, one_slot in zip(args, slots, strict=True)]


def _is_index(given: object) -> bool:
    return isinstance(given, _WHOLE_NUMBERS) and not isinstance(given, bool) and bool(given >= 0)


def _plain(given: Any) -> Any:
    """An int for any whole number, such as numpy's."""
    return int(given) if isinstance(given, _WHOLE_NUMBERS) else given


def _place(name: str, key: Hashable) -> str:
    return f"node {name!r}: the edge from {_named(key)}"


def _named(key: Hashable) -> str:
    return repr(str(key))
