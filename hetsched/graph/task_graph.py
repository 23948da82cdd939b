"""The user's mutable DAG: a `networkx.DiGraph` with a comfortable way to add ops."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Any

import networkx as nx
import numpy as np
import torch

from hetsched.errors import GraphError
from hetsched.graph.ops import Op, callable_name
from hetsched.graph.values import dtype_name

NODE_OPTIONS = ("device", "devices", "keep_on", "release", "seconds", "splittable", "parts")
"""Keywords of `TaskGraph.add` (and node attributes) that speak to hetsched and never reach the op."""


@dataclass(frozen=True, slots=True)
class Ref:
    """A use of a node's value, or of one output slot of it, as an operand or as a keyword parameter."""

    key: Hashable
    slot: int | None = None


class TaskGraph(nx.DiGraph):
    """A `networkx.DiGraph` whose nodes are inputs, constants and tasks.

    All of networkx works on it, and any plain ``DiGraph`` with the same attributes is taken by `hetsched.run` as well:
    a node has ``op`` (a registered name or any callable) or ``value``, and ``params`` for the op's keyword parameters;
    a node with neither and without predecessors is an input. Operands are the predecessors in the order the edges were
    added, or by edge attribute ``arg``: a position, a keyword, or a tuple of them. Edge attribute ``slot`` picks one
    output of several. `add` always sets ``arg``; do so too in a plain graph that may be copied, as networkx copies
    edges in the order of their source nodes.
    """

    def input(
        self,
        name: Hashable,
        *,
        shape: tuple[int, ...] | None = None,
        dtype: torch.dtype | str = "float32",
        **options: Any,
    ) -> Hashable:
        """Add a value that every run is given; returns its key.

        Args:
            name: the key to give it by.
            shape: of the tensor, where known before the run.
            dtype: of the tensor; means nothing without ``shape``.
            options: node options; see `NODE_OPTIONS`.
        """
        attributes: dict[str, Any] = {"input": True}
        if shape is not None:
            attributes |= {"shape": tuple(shape), "dtype": dtype_name(dtype)}
        return self._add(name, attributes | options)

    def constant(self, value: object, name: Hashable | None = None, **options: Any) -> Hashable:
        """Add a value that is the same in every run, such as a weight; returns its key."""
        return self._add(self._fresh("constant") if name is None else name, {"value": value} | options)

    def add(
        self, op: str | Op | Callable[..., Any], *operands: Any, name: Hashable | None = None, **params: Any
    ) -> Hashable:
        """Add a task; returns its key.

        Args:
            op: a registered name, an `Op`, or any callable.
            operands: keys of nodes, `ref(key, slot)`, or tensors and arrays (they become constants).
            name: the key; made from the op's name when left out.
            params: keyword parameters of the op, `ref(...)` where one is another node's value, and node options.

        Raises:
            GraphError: an operand is not a node of this graph, or the name is taken.
        """
        options = {option: params.pop(option) for option in NODE_OPTIONS if option in params}
        made = self._fresh(_stem(op)) if name is None else name
        used: dict[Hashable, list[tuple[int | str, int | None]]] = {}
        for position, operand in enumerate(operands):
            ref = self._as_ref(operand, made, position, takes_tensors=isinstance(op, str))
            used.setdefault(ref.key, []).append((position, ref.slot))
        for keyword in [keyword for keyword, value in params.items() if isinstance(value, Ref)]:
            ref = self._as_ref(params.pop(keyword), made, keyword, takes_tensors=isinstance(op, str))
            used.setdefault(ref.key, []).append((keyword, ref.slot))
        self._add(made, {"op": op, "params": params} | options)
        for key, uses in used.items():
            args, slots = tuple(arg for arg, _ in uses), tuple(slot for _, slot in uses)
            edge: dict[str, Any] = {"arg": args[0] if len(args) == 1 else args}
            if any(slot is not None for slot in slots):
                edge["slot"] = slots[0] if len(slots) == 1 else slots
            self.add_edge(key, made, **edge)
        return made

    def ref(self, key: Hashable, slot: int | None = None) -> Ref:
        """An operand that is one output slot of a task, or a node's value used as a keyword parameter."""
        return Ref(key, slot)

    def _as_ref(self, operand: Any, task: Hashable, place: int | str, *, takes_tensors: bool) -> Ref:
        if isinstance(operand, Ref):
            ref = operand
        elif isinstance(operand, torch.Tensor | np.ndarray):
            ref = Ref(self.constant(torch.as_tensor(operand) if takes_tensors else operand))
        else:
            ref = Ref(operand)
        try:
            known = ref.key in self
        except TypeError:
            known = False
        if not known:
            raise GraphError(
                f"node {task!r}: operand {place!r} is {ref.key!r}, which is no node of this graph; "
                "add it first, or wrap a plain value in constant(...)"
            )
        return ref

    def _add(self, key: Hashable, attributes: dict[str, Any]) -> Hashable:
        if key in self:
            raise GraphError(f"node {key!r} exists already; choose another name")
        self.add_node(key, **attributes)
        return key

    def _fresh(self, stem: str) -> str:
        number = len(self)
        while f"{stem}_{number}" in self:
            number += 1
        return f"{stem}_{number}"


def _stem(op: str | Op | Callable[..., Any]) -> str:
    if isinstance(op, str):
        return op
    name = op.name if isinstance(op, Op) else callable_name(op)
    return name.rpartition(".")[2].strip("<>")
