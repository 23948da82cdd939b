"""Reads and checks what the user asked of one node."""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Iterable, Mapping
from numbers import Real
from typing import Any

from hetsched.errors import CostError, GraphError
from hetsched.graph.frozen import NodeOptions, maker
from hetsched.graph.task_graph import NODE_OPTIONS
from hetsched.graph.values import Spec, TensorSpec, dtype_name, torch_dtype

_OF_TASKS = frozenset({"op", "params", *NODE_OPTIONS})
_OF_SOURCES = frozenset({"value", "shape", "dtype", "input", "keep_on"})
_KNOWN = _OF_TASKS | _OF_SOURCES
_OPTIONS = frozenset(NODE_OPTIONS)
NO_OPTIONS = NodeOptions()
NO_PARAMS: Mapping[str, Any] = {}
_make_options = maker(NodeOptions)


def check_attributes(name: str, attributes: Mapping[str, Any]) -> None:
    """Refuse an unknown attribute whose name is nearly that of one that is missing; others are the user's own.

    Raises:
        GraphError: names the node, the attribute and what it may have meant.
    """
    if _KNOWN.issuperset(attributes):
        return
    expected = _OF_TASKS if "op" in attributes else {"op", "value", "keep_on"}
    for attribute in attributes:
        if attribute in _KNOWN or not isinstance(attribute, str):
            continue
        meant = _nearly(attribute)
        if meant is not None and meant in expected and meant not in attributes:
            raise GraphError(f"node {name!r}: unknown attribute {attribute!r}; did you mean {meant!r}? Rename it")


@functools.lru_cache(maxsize=1024)
def _nearly(attribute: str) -> str | None:
    return next(iter(difflib.get_close_matches(attribute, sorted(_KNOWN), n=1, cutoff=0.8)), None)


def params_of(name: str, attributes: Mapping[str, Any]) -> Mapping[str, Any]:
    """The op's keyword parameters.

    Raises:
        GraphError: they are not a mapping by name.
    """
    params = attributes.get("params") or NO_PARAMS
    if params is NO_PARAMS:
        return params
    if not isinstance(params, (dict, Mapping)) or not all(isinstance(key, str) for key in params):
        raise GraphError(f"node {name!r}: params is {params!r}; it must be a mapping of keyword names to values")
    return params


def task_options(name: str, attributes: Mapping[str, Any]) -> NodeOptions:
    """The options of a task.

    Raises:
        GraphError: an option is of the wrong type.
        CostError: a given time is not a finite number >= 0.
    """
    if _OPTIONS.isdisjoint(attributes):
        return NO_OPTIONS
    device, devices = attributes.get("device"), attributes.get("devices")
    if device is not None and devices is not None:
        raise GraphError(f"node {name!r}: device= pins and devices= allows; give one of them")
    if device is not None and not isinstance(device, str):
        raise GraphError(f"node {name!r}: device is {device!r}; it must be one device's name, kind or host as text")
    parts = attributes.get("parts")
    if parts is not None and (not isinstance(parts, int) or isinstance(parts, bool) or parts < 1):
        raise GraphError(f"node {name!r}: parts is {parts!r}; it must be a whole number of at least 1")
    return _make_options(
        _names(name, "devices", device if devices is None else devices),
        keep_on_of(name, attributes),
        _flag(name, attributes, "release", False),
        _seconds(name, attributes.get("seconds")),
        _flag(name, attributes, "splittable", True),
        parts,
    )


def keep_on_of(name: str, attributes: Mapping[str, Any]) -> tuple[str, ...]:
    """Hosts or memories that the node's value may never leave; empty for any.

    Raises:
        GraphError: it is neither a name nor several.
    """
    return _names(name, "keep_on", attributes["keep_on"]) if "keep_on" in attributes else ()


def declared_spec(name: str, attributes: Mapping[str, Any]) -> Spec | None:
    """What an input's ``shape`` and ``dtype`` say; None without a shape (text is a drawing's shape, not ours).

    Raises:
        GraphError: shape or dtype is none.
    """
    shape = attributes.get("shape")
    if shape is None or isinstance(shape, str):
        return None
    sizes = tuple(shape) if isinstance(shape, Iterable) else (shape,)
    if not all(isinstance(size, int) and not isinstance(size, bool) and size >= 0 for size in sizes):
        raise GraphError(
            f"node {name!r}: shape is {shape!r}; it must be whole numbers >= 0, or be left out when unknown"
        )
    dtype = dtype_name(attributes.get("dtype", "float32"))
    try:
        torch_dtype(dtype)
    except TypeError as error:
        raise GraphError(f"node {name!r}: dtype is {dtype!r}; it must be one of torch's, such as float32") from error
    return TensorSpec(sizes, dtype)


def _names(node: str, option: str, given: object) -> tuple[str, ...]:
    if given is None:
        return ()
    if type(given) is str and given:
        return (given,)
    names = (given,) if isinstance(given, str) else tuple(given) if isinstance(given, Iterable) else (given,)
    for found in names:
        if not isinstance(found, str) or not found:
            raise GraphError(f"node {node!r}: {option} has {found!r}; it must be a name, or several")
    return tuple(dict.fromkeys(map(str, names)))


def _flag(node: str, attributes: Mapping[str, Any], option: str, default: bool) -> bool:
    given = attributes.get(option, default)
    if not isinstance(given, bool):
        raise GraphError(f"node {node!r}: {option} is {given!r}; it must be True or False")
    return given


def _seconds(node: str, given: object) -> float | Mapping[str, float] | None:
    if given is None:
        return None
    if isinstance(given, (dict, Mapping)):
        return {str(device): _number(node, number, device) for device, number in given.items()}
    return _number(node, given)


def _number(node: str, given: object, *device: object) -> float:
    if type(given) is float and 0 <= given < math.inf:  # nearly every one, and quick
        return given
    what = f"seconds[{device[0]!r}]" if device else "seconds"
    if isinstance(given, bool) or not isinstance(given, Real):
        raise CostError(f"node {node!r}: {what} is {given!r}; it must be a number, or numbers by device name or kind")
    number = float(given)
    if not (math.isfinite(number) and number >= 0):
        raise CostError(f"node {node!r}: {what} is {number}; it must be a finite number, zero or more")
    return number
