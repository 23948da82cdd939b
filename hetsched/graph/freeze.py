"""Turns the user's graph into a `FrozenGraph`: checked, ordered, pruned to what is asked for, with specs and costs."""

from __future__ import annotations

import difflib
import gc
from collections import defaultdict
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import networkx as nx

import hetsched.graph.library  # noqa: F401 -- fills the registry of ops
from hetsched.errors import GraphError
from hetsched.graph.edges import Edges, Uses, incoming, topological_order, uses_of
from hetsched.graph.frozen import FrozenGraph, NodeOptions, Operand, Task, Value, maker
from hetsched.graph.infer import Inference, infer, params_key
from hetsched.graph.ops import Op, resolve
from hetsched.graph.options import NO_OPTIONS, check_attributes, declared_spec, keep_on_of, params_of, task_options
from hetsched.graph.values import ObjectSpec, Spec, TensorSpec, TupleSpec, spec_of

_WHOLE = (None,)
_make_operand, _make_value, _make_task = maker(Operand), maker(Value), maker(Task)


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
    with _collector_paused():
        return _frozen(graph, given, outputs, bound or {})


def _frozen(
    graph: nx.DiGraph,
    given: Mapping[Hashable, Spec | None],
    outputs: Iterable[Hashable] | None,
    bound: Mapping[Hashable, tuple[str, ...]],
) -> FrozenGraph:
    edges = incoming(graph)
    nodes = _read(graph, edges, given)
    successors = dict(graph.adjacency())
    order = topological_order(graph, edges, successors)
    requested = _requested(nodes, successors, outputs)
    wholes, slots = _used(nodes, order, requested)
    builder = _Builder(nodes, given, bound)
    for key, node in nodes.items():
        if node.op is None and (key in wholes or key in slots):
            builder.add_source(key, node)
    for key in order:
        node = nodes[key]
        if node.op is None:
            continue
        if key in slots:
            used = sorted(slots[key])
            builder.add_task(key, node, node.op, [None, *used] if key in wholes else used)
        elif key in wholes:
            builder.add_task(key, node, node.op, _WHOLE)
    return builder.frozen(requested, graph.name or "graph")


@contextmanager
def _collector_paused() -> Iterator[None]:
    """Look for no garbage: all that is made here is kept, and to go through it time and again would double the time."""
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


def input_keys(graph: nx.DiGraph) -> tuple[Hashable, ...]:
    """Keys of the nodes that every run is given, in the order they were added, needed or not."""
    _check_type(graph)
    return tuple(
        key
        for key, attributes in graph.nodes.items()
        if "op" not in attributes and "value" not in attributes and not graph.pred[key]
    )


@dataclass(slots=True)  # not frozen, which takes twice as long to make
class _Node:
    """What the graph says of one node; ``op`` is None for sources."""

    name: str
    attributes: Mapping[str, Any]
    op: Op | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    uses: Uses = ()
    options: NodeOptions = NO_OPTIONS


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


def _read(
    graph: nx.DiGraph, edges: Mapping[Hashable, Edges], given: Mapping[Hashable, Spec | None]
) -> dict[Hashable, _Node]:
    """Check every node by itself, in the order they were added."""
    nodes: dict[Hashable, _Node] = {}
    keys: dict[str, Hashable] = {}
    ops: dict[int, Op] = {}
    for key, attributes in graph.nodes(data=True):
        name = str(key)
        if keys.setdefault(name, key) is not key:
            raise GraphError(f"nodes {keys[name]!r} and {key!r} are both called {name!r}; rename one")
        check_attributes(name, attributes)
        if "op" in attributes:
            nodes[key] = _read_task(name, attributes, edges[key], ops)
        else:
            _check_source(name, attributes, edges[key], key in given)
            nodes[key] = _Node(name, attributes)
    return nodes


def _read_task(name: str, attributes: Mapping[str, Any], edges: Edges, ops: dict[int, Op]) -> _Node:
    """Read a task; ``ops`` are those met so far, by the identity of what means them: one callable is one op."""
    if "value" in attributes:
        raise GraphError(f"node {name!r} has both op and value; drop one: a constant has a value, a task has an op")
    params = params_of(name, attributes)
    uses = uses_of(name, edges, params)
    reference = attributes["op"]
    op = ops.get(id(reference))
    if op is None:
        op = ops[id(reference)] = resolve(reference, name)
    return _Node(name, attributes, op, params, uses, task_options(name, attributes))


def _check_source(name: str, attributes: Mapping[str, Any], edges: Edges, is_given: bool) -> None:
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


def _requested(
    nodes: Mapping[Hashable, _Node],
    successors: Mapping[Hashable, Iterable[Hashable]],
    outputs: Iterable[Hashable] | None,
) -> dict[Hashable, None]:
    if outputs is None:
        has_tasks = any(node.op is not None for node in nodes.values())
        return {key: None for key, node in nodes.items() if not successors[key] and (node.op is not None) == has_tasks}
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


def _used(
    nodes: Mapping[Hashable, _Node], order: Sequence[Hashable], requested: Iterable[Hashable]
) -> tuple[set[Hashable], Mapping[Hashable, set[int]]]:
    """The nodes whose whole value is needed, and the slots that are needed of others or of the same ones."""
    wholes = set(requested)
    slots: dict[Hashable, set[int]] = defaultdict(set)
    for key in reversed(order):
        if key in wholes or key in slots:
            for _, source, slot in nodes[key].uses:
                if slot is None:
                    wholes.add(source)
                else:
                    slots[source].add(slot)
    return wholes, slots


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
        self._wholes: dict[Hashable, int] = {}
        self._slots: dict[tuple[Hashable, int], int] = {}
        self._names: dict[str, Hashable] = {}
        self._specs: dict[Spec | None, Spec | None] = {}
        self._spec_ids: list[int] = []
        self._inferred: dict[tuple[object, ...], Inference] = {}
        self._is_any_kept = False

    def add_source(self, key: Hashable, node: _Node) -> None:
        """Add an input or a constant."""
        keep_on = self._bound.get(key) or keep_on_of(node.name, node.attributes)
        is_input = key in self._given or "value" not in node.attributes
        data = None if is_input else node.attributes["value"]
        spec = _input_spec(node, self._given.get(key), key in self._given) if is_input else spec_of(data)
        self._add(_make_value(node.name, key, None, None, self._unique(spec), None, is_input, data, keep_on))

    def add_task(self, key: Hashable, node: _Node, op: Op, slots: Sequence[int | None]) -> None:
        """Add a task and the values of those of its output slots that are used, the whole first."""
        wholes, spec_ids = self._wholes, self._spec_ids
        operands, specs = [], []
        for arg, source, slot in node.uses:
            value = wholes[source] if slot is None else self._slot(node, source, slot)
            operands.append(_make_operand(arg, value))
            specs.append(spec_ids[value])
        inferred = self._infer(node, op, operands, specs)
        keep_on = self._keep_on(node, operands) if self._is_any_kept else node.options.keep_on
        producer = len(self._tasks)
        outputs = []
        for slot in slots:
            name = node.name if slot is None else f"{node.name}#{slot}"
            spec = inferred.spec if slot is None else _slot_spec(node, inferred.spec, slot)
            alias = self._alias(key, slot, inferred, operands) if inferred.views or slot is not None else None
            outputs.append(self._add(_make_value(name, key, producer, slot, spec, alias, False, None, keep_on)))
        cost = inferred.flops, inferred.n_bytes, inferred.dtype
        self._tasks.append(
            _make_task(node.name, key, op, tuple(operands), tuple(outputs), node.params, node.options, *cost)
        )

    def frozen(self, requested: Iterable[Hashable], name: str) -> FrozenGraph:
        """The graph of all that was added."""
        wanted = {key: self._wholes[key] for key in requested}
        return FrozenGraph(tuple(self._tasks), tuple(self._values), wanted, name)

    def _add(self, value: Value) -> int:
        key, index = value.key, len(self._values)
        if self._names.setdefault(value.name, key) is not key:
            raise GraphError(
                f"node {value.name!r} and an output slot have one name "
                f"(nodes {self._names[value.name]!r} and {key!r}); rename the node"
            )
        if value.slot is None:
            self._wholes[key] = index
        else:
            self._slots[key, value.slot] = index
        if value.keep_on:
            self._is_any_kept = True
        self._values.append(value)
        self._spec_ids.append(id(value.spec))
        return index

    def _slot(self, node: _Node, source: Hashable, slot: int) -> int:
        if self._nodes[source].op is None:
            raise GraphError(
                f"node {node.name!r}: it reads slot {slot} of {str(source)!r}, which is no task; "
                "give each item as an input or constant of its own"
            )
        return self._slots[source, slot]

    def _infer(self, node: _Node, op: Op, operands: Sequence[Operand], spec_ids: Sequence[int]) -> Inference:
        """What is known of a task; tasks with the same op, params and specs are inferred once."""
        params = params_key(node.params) if node.params else ""
        if params is None:
            return self._infer_anew(node, op, operands)
        keywords = [operand.arg for operand in operands] if operands and isinstance(operands[-1].arg, str) else ()
        key = (op, params, *spec_ids, *keywords)
        known = self._inferred.get(key)
        if known is None:
            known = self._infer_anew(node, op, operands)
            known = self._inferred[key] = replace(known, spec=self._unique(known.spec))
        return known

    def _unique(self, spec: Spec | None) -> Spec | None:
        """The first of the specs that equal this one; `_infer` tells specs apart by identity, which is quick."""
        return self._specs.setdefault(spec, spec)

    def _infer_anew(self, node: _Node, op: Op, operands: Sequence[Operand]) -> Inference:
        positional = [self._values[use.value].spec for use in operands if isinstance(use.arg, int)]
        keywords = {use.arg: self._values[use.value].spec for use in operands if isinstance(use.arg, str)}
        try:
            return infer(op, positional, node.params, keywords)
        except GraphError as error:
            raise GraphError(f"node {node.name!r}: {error}") from error.__cause__

    def _alias(self, key: Hashable, slot: int | None, inferred: Inference, operands: Sequence[Operand]) -> int | None:
        """The value whose storage this one shares: the whole that it is a slot of, or the operand that it views."""
        if slot is not None and key in self._wholes:
            return self._wholes[key]
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
