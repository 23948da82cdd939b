"""Traces torch code into a `TaskGraph` of aten operators, gradients and optimizer steps included."""

from __future__ import annotations

import inspect
import itertools
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch.utils import _pytree as pytree

from hetsched.errors import GraphError
from hetsched.graph.ops import ANY_KIND, Op, callable_name, resolve
from hetsched.graph.task_graph import Ref, TaskGraph

if TYPE_CHECKING:
    from torch.fx import GraphModule, Node

OUTPUT = "out"
"""Name of the output node, and what the names of several begin with."""

_PLACEMENT = ("device", "layout", "pin_memory")
"""Keywords of aten operators that a trace fixes and that the plan decides."""


def from_function(function: Callable[..., Any], *examples: Any) -> TaskGraph:
    """The DAG of what a torch function computes; running it gives what the function gives.

    The function may use `torch.func.grad` and the like, and take and give nested dicts, lists and tuples of tensors; it
    must be pure, and its control flow must not depend on tensor data.

    Args:
        function: the torch function.
        examples: its arguments. Each tensor in them becomes an input, in order, named by parameter and path
            (``params.w1``); only its shape and dtype are kept. Everything else is fixed in the graph.

    Returns:
        A graph whose sinks are ``out``, or ``out.0``, ``out.loss`` and so on by the path within the result.

    Raises:
        GraphError: the function cannot be traced, draws random numbers, or changes an argument in place.
    """
    leaves, structure = pytree.tree_flatten_with_path(examples)
    parameters = _parameter_names(function, len(examples))
    names = {place: _name(parameters[_step(path[0])], path[1:]) for place, (path, _) in enumerate(leaves)}
    places = [place for place, (_, leaf) in enumerate(leaves) if isinstance(leaf, torch.Tensor)]
    results: list[tuple[str, Any]] = []

    def flat(*tensors: torch.Tensor) -> list[torch.Tensor]:
        filled = [leaf for _, leaf in leaves]
        for place, tensor in zip(places, tensors, strict=True):
            filled[place] = tensor
        made, _ = pytree.tree_flatten_with_path(function(*pytree.tree_unflatten(filled, structure)))
        results[:] = [(_name(OUTPUT, path), leaf) for path, leaf in made]
        return [leaf for _, leaf in results if isinstance(leaf, torch.Tensor)]

    traced = _trace(callable_name(function), flat, [leaves[place][1] for place in places])
    inputs = [(names[place], leaves[place][1]) for place in places]
    return _Translation(callable_name(function), traced, inputs, results).graph


def _trace(name: str, flat: Callable[..., Any], tensors: Sequence[torch.Tensor]) -> GraphModule:
    from torch.fx.experimental.proxy_tensor import make_fx

    try:
        return make_fx(torch.func.functionalize(flat))(*tensors)
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise GraphError(
            f"function {name!r} cannot be traced: {reason}; control flow that depends on data needs torch.where, "
            "or a TaskGraph with that part as an op"
        ) from error


def _parameter_names(function: Callable[..., Any], n_examples: int) -> list[str]:
    """A name for each positional argument."""
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        parameters = ()  # type: ignore[assignment] # a builtin tells nothing, what is no function neither
    names: list[str] = []
    for parameter in parameters:
        if parameter.kind is parameter.VAR_POSITIONAL:
            names += [f"{parameter.name}.{place}" for place in range(n_examples - len(names))]
        elif parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD):
            names.append(parameter.name)
    return names + [f"arg{place}" for place in range(len(names), n_examples)]


def _name(stem: str, path: Sequence[Any]) -> str:
    """``params`` and the path ``["w1"][0]`` give ``params.w1.0``."""
    return ".".join([stem, *(str(_step(key)) for key in path)])


def _step(key: Any) -> Any:
    """The index, key or attribute name in one entry of a pytree's path."""
    return next(getattr(key, field) for field in ("key", "idx", "name") if hasattr(key, field))


class _Translation:
    """Builds a TaskGraph from a traced module, only what its outputs need."""

    def __init__(
        self,
        function: str,
        module: GraphModule,
        inputs: Sequence[tuple[str, torch.Tensor]],
        results: Sequence[tuple[str, Any]],
    ) -> None:
        self.graph = TaskGraph(name=function)
        self._function = function
        self._refs: dict[Node, Ref] = {}
        self._reserved = {name for name, _ in (*inputs, *results)}
        if len(self._reserved) < len(inputs) + len(results):
            raise GraphError(f"function {function!r} has a parameter called {OUTPUT!r}, as its result is; rename it")
        nodes = list(module.graph.nodes)
        self._needed = _needed(nodes[-1])
        given = iter(inputs)
        for node in nodes[:-1]:
            if node.op == "placeholder":
                name, example = next(given)
                self._refs[node] = Ref(self.graph.input(name, shape=tuple(example.shape), dtype=example.dtype))
            elif node.op == "get_attr" and node in self._needed:
                value = operator.attrgetter(str(node.target))(module)
                self._refs[node] = Ref(self.graph.constant(value, self._unused(node.name)))
            elif node.op == "call_function":
                self._call(node)
        self._outputs(results, nodes[-1].args[0])

    def _outputs(self, results: Sequence[tuple[str, Any]], traced: Any) -> None:
        computed = iter(traced)
        for name, result in results:
            is_tensor = isinstance(result, torch.Tensor)
            source = self._refs[next(computed)] if is_tensor else self.graph.constant(result, f"{name} value")
            self.graph.add("identity", source, name=name)

    def _call(self, node: Node) -> None:
        target: Any = node.target
        if target is not operator.getitem:
            self._refuse_impure(node, target)
        if node in self._needed:
            self._refs[node] = self._ref(target, node, self._unused(node.name))

    def _ref(self, target: Any, node: Node, name: str) -> Ref:
        """Add what the call means, an output slot, a constant or a task, and refer to it."""
        args: Any = node.args
        if target is operator.getitem:
            return Ref(self._refs[args[0]].key, args[1])
        if not node.all_input_nodes:
            return Ref(self.graph.constant(target(*args, **node.kwargs), name))
        kwargs = {keyword: given for keyword, given in node.kwargs.items() if keyword not in _PLACEMENT}
        n_tensors = next((n for n, given in enumerate(args) if not _is_node(given)), len(args))
        params = {argument.name: given for argument, given in zip(target._schema.arguments, args, strict=False)}
        params = dict(itertools.islice(params.items(), n_tensors, None)) | kwargs
        if n_tensors == 0 or any(_holds_nodes(given) for given in params.values()):
            tensors = [self._refs[tensor] for tensor in _nodes_in([args, kwargs])]
            return Ref(self.graph.add(_nested(target, args, kwargs), *tensors, name=name))
        tensors = [self._refs[tensor] for tensor in args[:n_tensors]]
        plain = {
            keyword: self._refs[given] if _is_node(given) else _mapped(given, lambda leaf: leaf)
            for keyword, given in params.items()
        }
        return Ref(self.graph.add(target, *tensors, name=name, **plain))

    def _refuse_impure(self, node: Node, target: Any) -> None:
        if torch.Tag.nondeterministic_seeded in target.tags and _argument(node, "dropout_p") != 0:
            raise GraphError(
                f"function {self._function!r} draws random numbers ({callable_name(target)}), which a trace cannot "
                "repeat; pass them in as an argument"
            )
        if target is torch.ops.aten.copy_.default:
            changed = node.args[0]
            known = repr(self._refs[changed].key) if changed in self._refs else "a tensor from outside"  # type: ignore[index] # a node
            raise GraphError(f"function {self._function!r} changes {known} in place; return the new value instead")

    def _unused(self, name: str) -> str:
        while name in self.graph or name in self._reserved:
            name += "_"
        return name


def _argument(node: Node, name: str) -> Any:
    """What a call gives for an argument of its operator, by position, by keyword or by default; None without one."""
    target: Any = node.target
    for place, argument in enumerate(target._schema.arguments):
        if argument.name == name:
            by_position = node.args[place] if place < len(node.args) else argument.default_value
            return node.kwargs.get(name, by_position)
    return None


def _needed(output: Node) -> set[Node]:
    found: set[Node] = set()
    waiting = [output]
    while waiting:
        node = waiting.pop()
        if node not in found:
            found.add(node)
            waiting += node.all_input_nodes
    return found


@dataclass(frozen=True, slots=True)
class _Hole:
    """Where tensor number ``place`` goes."""

    place: int


@dataclass(frozen=True, slots=True)
class _Nested:
    """An operator whose tensors stand in lists; it is called with them one after the other."""

    target: Any
    arguments: Any

    def __call__(self, *tensors: torch.Tensor) -> Any:
        args, kwargs = _mapped(self.arguments, lambda leaf: tensors[leaf.place] if isinstance(leaf, _Hole) else leaf)
        return self.target(*args, **kwargs)


def _nested(target: Any, args: Any, kwargs: Mapping[str, Any]) -> Op:
    """An Op that calls, and costs what, ``target`` does."""
    places = itertools.count()
    holes = _mapped([args, kwargs], lambda leaf: _Hole(next(places)) if _is_node(leaf) else leaf)
    alike = resolve(target, callable_name(target))
    return Op(alike.name, {ANY_KIND: _Nested(target, holes)}, alike.flops, alike.n_bytes, alike.family, pure=True)


def _mapped(value: Any, change: Callable[[Any], Any]) -> Any:
    """The same nest of plain lists, tuples and dicts with every leaf changed."""
    if isinstance(value, dict):
        return {key: _mapped(item, change) for key, item in value.items()}
    if isinstance(value, list):
        return [_mapped(item, change) for item in value]
    if isinstance(value, tuple) and not isinstance(value, torch.Size):
        return tuple(_mapped(item, change) for item in value)
    return change(value)


def _nodes_in(value: Any) -> Iterator[Node]:
    if isinstance(value, Mapping):
        value = tuple(value.values())
    if isinstance(value, (list, tuple)):
        for item in value:
            yield from _nodes_in(item)
    elif _is_node(value):
        yield value


def _holds_nodes(given: Any) -> bool:
    return not _is_node(given) and any(True for _ in _nodes_in(given))


def _is_node(given: Any) -> bool:
    return isinstance(given, torch.fx.Node)
