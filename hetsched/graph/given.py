"""The values that a run is given: matched to the graph's inputs, and checked against what was planned for."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence

from hetsched.errors import GraphError
from hetsched.graph.frozen import FrozenGraph
from hetsched.graph.values import is_reference, spec_of

Inputs = Mapping[Hashable, object] | Sequence[object]
"""Values by node key, or a tuple of them in the order in which the inputs were added."""


def by_key(inputs: Inputs | None, keys: Sequence[Hashable]) -> Mapping[Hashable, object]:
    """Inputs by node key; ``keys`` are the input nodes in order.

    Raises:
        GraphError: a tuple has not as many items as there are inputs.
    """
    if inputs is None:
        return {}
    if isinstance(inputs, Mapping):
        return inputs
    if not isinstance(inputs, tuple | list) or len(inputs) != len(keys):
        got = f"{len(inputs)} values" if isinstance(inputs, tuple | list) else f"a {type(inputs).__name__}"
        raise GraphError(
            f"inputs is {got}; give a mapping by node key, or a tuple of {len(keys)} values for "
            f"{', '.join(map(repr, keys)) or 'no inputs'}"
        )
    return dict(zip(keys, inputs, strict=True))


def checked(given: Mapping[Hashable, object], graph: FrozenGraph, keys: Sequence[Hashable]) -> dict[str, object]:
    """The values of a run by value name; inputs that no requested output needs are left out.

    Raises:
        GraphError: an input is missing, is no input, or is not what was planned for.
    """
    wanted = {value.key: value for value in graph.inputs}
    for key in given:
        if key not in wanted and key not in keys:
            known = ", ".join(map(repr, dict.fromkeys((*wanted, *keys)))) or "none"
            raise GraphError(f"{key!r} is no input of this program; its inputs are {known}")
    values: dict[str, object] = {}
    for key, value in wanted.items():
        if key not in given:
            raise GraphError(f"input {key!r} is missing; give it with inputs={{{key!r}: ...}}")
        spec = spec_of(given[key])
        if value.spec is not None and spec != value.spec and not is_reference(given[key]):
            raise GraphError(f"input {key!r} is {spec}; this program was planned for {value.spec}: compile it again")
        values[value.name] = given[key]
    return values
