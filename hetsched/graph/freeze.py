"""Turns the user's graph into a `FrozenGraph`: checked, ordered, pruned to what is asked for, with specs and costs."""

from __future__ import annotations

import difflib
import heapq
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import networkx as nx

import hetsched.graph.library  # noqa: F401 -- fills the registry of ops
from hetsched.errors import GraphError
from hetsched.graph.edges import Use, uses_of
from hetsched.graph.frozen import FrozenGraph, NodeOptions, Operand, Task, Value
from hetsched.graph.infer import Inference, infer
from hetsched.graph.ops import Op, resolve
from hetsched.graph.options import NO_OPTIONS, check_attributes, declared_spec, keep_on_of, params_of, task_options
from hetsched.graph.values import ObjectSpec, Spec, TensorSpec, TupleSpec, spec_of


def freeze(
    graph: nx.DiGraph,
    inputs: Mapping[Hashable, object] | None = None,
    outputs: Iterable[Hashable] | None = None,
    bound: Mapping[Hashable, tuple[str, ...]] | None = None,
) -> FrozenGraph:
    """Check a graph and freeze it.

    Args:
        graph: any `networkx.DiGraph`; see `TaskGraph` for what nodes and edges may say.
        inputs: values (or their specs) of this run by node key; a constant named here becomes an input.
        outputs: keys of the nodes whose values are asked for; the sinks when left out. Tasks and sources that none of
            them needs are left out.
        bound: sources that cannot leave some hosts or memories, by node key; as if ``keep_on=`` said so.

    Raises:
        GraphError: the graph is malformed, or an op cannot take its operands; names the node and the cure.
        CostError: a given time is not a finite number >= 0.
    """
    _check_type(graph)
    given = _given(graph, inputs or {})
    nodes = _read(graph, given)
    order = _topological_order(graph, nodes)
    requested = _requested(graph, nodes, outputs)
    needed = _needed(nodes, order, requested)
    builder = _Builder(nodes, given, bound or {})
    for key in nodes:
        if key in needed and not nodes[key].is_task:
            builder.add_source(key)
    slots = _used_slots(nodes, needed, requested)
    for key in order:
        if key in needed and nodes[key].is_task:
            builder.add_task(key, slots[key])
    return builder.frozen(requested, graph.name or "graph")


def input_keys(graph: nx.DiGraph) -> tuple[Hashable, ...]:
    """Keys of the nodes that every run is given, in the order they were added, needed or not."""
    _check_type(graph)
    return tuple(
        key
        for key, attributes in graph.nodes.items()
        if "op" not in attributes and "value" not in attributes and not graph.pred[key]
    )


@dataclass(frozen=True, slots=True)
class _Node:
    """What the graph says of one node; ``op`` is None for sources."""

    name: str
    attributes: Mapping[str, Any]
    op: Op | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    uses: tuple[Use, ...] = ()
    options: NodeOptions = NO_OPTIONS

    @property
    def is_task(self) -> bool:
        return self.op is not None


def _check_type(graph: object) -> None:
    if not isinstance(graph, nx.DiGraph):
        raise GraphError(f"the graph is a {type(graph).__name__}; it must be a networkx.DiGraph or a TaskGraph")
    if isinstance(graph, nx.MultiDiGraph):
        raise GraphError(
            "the graph is a multigraph; use a networkx.DiGraph, and arg=(0, 1) on one edge where a value is used twice"
        )


def _given(graph: nx.DiGraph, inputs: Mapping[Hashable, object]) -> dict[Hashable, Spec | None]:
    """The specs of the values that this run is given."""
    for key in inputs:
        if key not in graph:
            raise GraphError(
                f"input {key!r} is no node of the graph; {_similar(key, input_keys(graph) or tuple(graph))}"
            )
        if "op" in graph.nodes[key]:
            raise GraphError(f"input {key!r} is the node of a task; give the values of inputs or constants only")
    return {
        key: value if isinstance(value, (TensorSpec, TupleSpec, ObjectSpec)) else spec_of(value)
        for key, value in inputs.items()
    }


def _read(graph: nx.DiGraph, given: Mapping[Hashable, Spec | None]) -> dict[Hashable, _Node]:
    """Check every node by itself, in the order they were added."""
    nodes: dict[Hashable, _Node] = {}
    keys: dict[str, Hashable] = {}
    predecessors = graph.pred
    for key, attributes in graph.nodes.items():
        name = str(key)
        if name in keys:
            raise GraphError(f"nodes {keys[name]!r} and {key!r} are both called {name!r}; rename one")
        keys[name] = key
        check_attributes(name, attributes)
        edges = predecessors[key]
        if "op" in attributes:
            nodes[key] = _read_task(name, attributes, edges)
        else:
            _check_source(name, attributes, edges, key in given)
            nodes[key] = _Node(name, attributes)
    return nodes


def _read_task(name: str, attributes: Mapping[str, Any], edges: Mapping[Hashable, Mapping[str, Any]]) -> _Node:
    if "value" in attributes:
        raise GraphError(f"node {name!r} has both op and value; drop one: a constant has a value, a task has an op")
    params = params_of(name, attributes)
    uses = uses_of(name, edges, params)
    return _Node(name, attributes, resolve(attributes["op"], name), params, uses, task_options(name, attributes))


def _check_source(name: str, attributes: Mapping[str, Any], edges: Mapping[Hashable, Any], is_given: bool) -> None:
    if edges:
        what = "a value" if "value" in attributes else "no op"
        before = ", ".join(repr(str(key)) for key in edges)
        raise GraphError(f"node {name!r} has {what} but reads {before}; give it an op, or remove the edges")
    for option in ("device", "devices", "seconds", "parts"):
        if option in attributes:
            raise GraphError(
                f"node {name!r} has {option}= but no op; put it on the tasks that read it, or use keep_on= to hold it"
            )
    if is_given or "value" not in attributes:
        declared_spec(name, attributes)
    keep_on_of(name, attributes)


def _topological_order(graph: nx.DiGraph, nodes: Mapping[Hashable, _Node]) -> list[Hashable]:
    """Every node after those it reads; of those that are ready, the one that was added first."""
    keys = list(nodes)
    rank = {key: number for number, key in enumerate(keys)}
    waiting = [len(graph.pred[key]) for key in keys]
    ready = [number for number, n_before in enumerate(waiting) if n_before == 0]
    order: list[Hashable] = []
    while ready:
        number = heapq.heappop(ready)
        order.append(keys[number])
        for successor in graph.succ[keys[number]]:
            after = rank[successor]
            waiting[after] -= 1
            if waiting[after] == 0:
                heapq.heappush(ready, after)
    if len(order) < len(keys):
        late = [key for key, n_before in zip(keys, waiting, strict=True) if n_before]
        cycle = nx.find_cycle(nx.induced_subgraph(graph, late))
        path = " -> ".join(nodes[key].name for key in [*(source for source, _ in cycle), cycle[0][0]])
        raise GraphError(f"the graph has a cycle, {path}; remove one of its edges (`loop` repeats a graph)")
    return order


def _requested(
    graph: nx.DiGraph, nodes: Mapping[Hashable, _Node], outputs: Iterable[Hashable] | None
) -> dict[Hashable, None]:
    if outputs is None:
        has_tasks = any(node.is_task for node in nodes.values())
        return {key: None for key in nodes if not graph.succ[key] and nodes[key].is_task == has_tasks}
    asked = tuple(outputs) if isinstance(outputs, Iterable) and not isinstance(outputs, str) else (outputs,)
    for key in asked:
        if not isinstance(key, Hashable) or key not in nodes:
            raise GraphError(f"requested output {key!r} is no node of the graph; {_similar(key, nodes)}")
    return dict.fromkeys(asked)


def _similar(key: object, known: Iterable[Hashable]) -> str:
    names = list(map(str, known))
    close = difflib.get_close_matches(str(key), names, n=3)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    shown = ", ".join(names[:10]) + (", ..." if len(names) > 10 else "")
    return f"it has: {shown or 'no nodes'}"


def _needed(nodes: Mapping[Hashable, _Node], order: Sequence[Hashable], requested: Iterable[Hashable]) -> set[Hashable]:
    needed = set(requested)
    for key in reversed(order):
        if key in needed:
            needed.update(use.key for use in nodes[key].uses)
    return needed


def _used_slots(
    nodes: Mapping[Hashable, _Node], needed: Iterable[Hashable], requested: Iterable[Hashable]
) -> dict[Hashable, set[int | None]]:
    """By node, the output slots that are used; None for the whole."""
    slots: dict[Hashable, set[int | None]] = {key: set() for key in needed}
    for key in requested:
        slots[key].add(None)
    for key in needed:
        for use in nodes[key].uses:
            slots[use.key].add(use.slot)
    return slots


class _Builder:
    """Collects values and tasks; everything a task reads is added before it."""

    def __init__(
        self,
        nodes: Mapping[Hashable, _Node],
        given: Mapping[Hashable, Spec | None],
        bound: Mapping[Hashable, tuple[str, ...]],
    ) -> None:
        self._nodes = nodes
        self._given = given
        self._bound = bound
        self._values: list[Value] = []
        self._tasks: list[Task] = []
        self._index: dict[tuple[Hashable, int | None], int] = {}
        self._names: dict[str, Hashable] = {}

    def add_source(self, key: Hashable) -> None:
        """Add an input or a constant."""
        node = self._nodes[key]
        keep_on = self._bound.get(key) or keep_on_of(node.name, node.attributes)
        if key in self._given or "value" not in node.attributes:
            spec = _input_spec(node, self._given.get(key), key in self._given)
            self._add(Value(node.name, key, None, spec=spec, is_input=True, keep_on=keep_on))
        else:
            data = node.attributes["value"]
            self._add(Value(node.name, key, None, spec=spec_of(data), data=data, keep_on=keep_on))

    def add_task(self, key: Hashable, slots: set[int | None]) -> None:
        """Add a task and the values of those of its output slots that are used."""
        node = self._nodes[key]
        assert node.op is not None
        operands = tuple(Operand(use.arg, self._operand(node, use)) for use in node.uses)
        inferred = self._infer(node, operands)
        keep_on = self._keep_on(node, operands)
        producer = len(self._tasks)
        outputs = []
        for slot in sorted(slots, key=lambda slot: -1 if slot is None else slot):
            spec = inferred.spec if slot is None else _slot_spec(node, inferred.spec, slot)
            name = node.name if slot is None else f"{node.name}#{slot}"
            alias = self._alias(key, slot, inferred, operands)
            outputs.append(self._add(Value(name, key, producer, slot, spec, alias, keep_on=keep_on)))
        self._tasks.append(
            Task(
                name=node.name,
                key=key,
                op=node.op,
                operands=operands,
                outputs=tuple(outputs),
                params=node.params,
                options=node.options,
                flops=inferred.flops,
                n_bytes=inferred.n_bytes,
                dtype=inferred.dtype,
            )
        )

    def frozen(self, requested: Iterable[Hashable], name: str) -> FrozenGraph:
        """The graph of all that was added."""
        wanted = {key: self._index[key, None] for key in requested}
        return FrozenGraph(tuple(self._tasks), tuple(self._values), wanted, name)

    def _add(self, value: Value) -> int:
        if value.name in self._names:
            raise GraphError(
                f"node {value.name!r} and an output slot have one name "
                f"(nodes {self._names[value.name]!r} and {value.key!r}); rename the node"
            )
        self._names[value.name] = value.key
        self._index[value.key, value.slot] = len(self._values)
        self._values.append(value)
        return len(self._values) - 1

    def _operand(self, node: _Node, use: Use) -> int:
        if use.slot is not None and not self._nodes[use.key].is_task:
            raise GraphError(
                f"node {node.name!r}: it reads slot {use.slot} of {str(use.key)!r}, which is no task; "
                "give each item as an input or constant of its own"
            )
        return self._index[use.key, use.slot]

    def _infer(self, node: _Node, operands: Sequence[Operand]) -> Inference:
        assert node.op is not None
        positional = [self._values[use.value].spec for use in operands if isinstance(use.arg, int)]
        keywords = {use.arg: self._values[use.value].spec for use in operands if isinstance(use.arg, str)}
        try:
            return infer(node.op, positional, node.params, keywords)
        except GraphError as error:
            raise GraphError(f"node {node.name!r}: {error}") from error.__cause__

    def _alias(self, key: Hashable, slot: int | None, inferred: Inference, operands: Sequence[Operand]) -> int | None:
        """The value whose storage this one shares: the whole that it is a slot of, or the operand that it views."""
        if slot is not None and (key, None) in self._index:
            return self._index[key, None]
        viewed = inferred.whole_view
        if slot is not None:
            viewed = inferred.views[slot] if slot < len(inferred.views) else None
        return None if viewed is None else operands[viewed].value

    def _keep_on(self, node: _Node, operands: Sequence[Operand]) -> tuple[str, ...]:
        kept = node.options.keep_on
        if node.options.release:
            return kept
        for operand in operands:
            limit = self._values[operand.value].keep_on
            both = tuple(place for place in kept if place in limit) if kept and limit else kept or limit
            if not both and limit:
                raise GraphError(
                    f"node {node.name!r} may be nowhere: its value is kept on {', '.join(kept)}, and its operand "
                    f"{self._values[operand.value].name!r} on {', '.join(limit)}; use one place, or release=True"
                )
            kept = both
        return kept


def _input_spec(node: _Node, given: Spec | None, is_given: bool) -> Spec | None:
    declared = declared_spec(node.name, node.attributes)
    if not is_given:
        return declared
    if declared is not None and given != declared:
        cure = "give torch.as_tensor(...)" if isinstance(given, ObjectSpec) else "give one that fits, or declare it so"
        raise GraphError(f"input {node.name!r} is declared {declared} and was given {given}; {cure}")
    return given


def _slot_spec(node: _Node, whole: Spec | None, slot: int) -> Spec | None:
    match whole:
        case None:
            return None
        case TupleSpec(items) if slot < len(items):
            return items[slot]
        case TupleSpec(items):
            raise GraphError(f"node {node.name!r}: slot {slot} is asked for, and its op gives {len(items)} outputs")
        case TensorSpec():
            raise GraphError(
                f"node {node.name!r}: slot {slot} is asked for, and its op gives one {whole}; drop the slot"
            )
    return None
