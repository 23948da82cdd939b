"""The checked, immutable form of a graph that everything after `freeze` works on."""

from __future__ import annotations

from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field, fields, make_dataclass
from typing import Any, TypeVar

from hetsched.graph.ops import Op
from hetsched.graph.values import Spec

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class NodeOptions:
    """What the user asked of one node; see ``NODE_OPTIONS`` of the task graph.

    Attributes:
        allowed: device names, kinds, memories, hosts or labels it may run on; empty means any.
        keep_on: hosts or memories that its value, and what derives from it, may never leave; empty means any.
        release: its output is free again although its operands are kept.
        seconds: given time for every device, or by device name or kind.
        splittable: whether it may be cut into parts.
        parts: how many parts to cut it into; None lets hetsched choose.
    """

    allowed: tuple[str, ...] = ()
    keep_on: tuple[str, ...] = ()
    release: bool = False
    seconds: float | Mapping[str, float] | None = None
    splittable: bool = True
    parts: int | None = None


@dataclass(frozen=True, slots=True)
class Operand:
    """One argument of a task: the value ``value`` goes to position or keyword ``arg``."""

    arg: int | str
    value: int


@dataclass(frozen=True, slots=True)
class Value:
    """One output slot of a task, or a source (an input or a constant).

    Attributes:
        name: unique; the node's name, with ``#slot`` for one slot of several.
        key: of the node.
        producer: index of the task that makes it; None for a source.
        slot: which output of the producer; None is the whole.
        spec: what is known of it.
        alias: index of the value whose storage it shares when computed: the operand that it views, or the whole that it
            is a slot of, which may share another's in turn; None when it has its own.
        is_input: every run is given it.
        data: the constant; None for inputs and task outputs.
        keep_on: hosts or memories that it may never leave; empty means any.
    """

    name: str
    key: Hashable
    producer: int | None
    slot: int | None = None
    spec: Spec | None = None
    alias: int | None = None
    is_input: bool = False
    data: object = None
    keep_on: tuple[str, ...] = ()

    @property
    def n_bytes(self) -> int | None:
        """Compact size; None when unknown."""
        return None if self.spec is None else self.spec.n_bytes

    @property
    def is_constant(self) -> bool:
        """Whether it is the same in every run."""
        return self.producer is None and not self.is_input


@dataclass(frozen=True, slots=True)
class Task:
    """One use of an Op.

    Attributes:
        operands: positional ones first, by position, then keywords by name.
        outputs: indices of the values it makes, one for each slot that is used.
        flops: floating-point operations; None when unknown.
        n_bytes: bytes read and written; None when unknown.
        dtype: name of the dtype it computes in.
    """

    name: str
    key: Hashable
    op: Op
    operands: tuple[Operand, ...]
    outputs: tuple[int, ...]
    params: Mapping[str, Any] = field(default_factory=dict)
    options: NodeOptions = NodeOptions()
    flops: float | None = None
    n_bytes: float | None = None
    dtype: str = "float32"


@dataclass(frozen=True, slots=True)
class FrozenGraph:
    """Tasks in a deterministic topological order, and all values; sources first.

    Attributes:
        requested: value index by node key, in the order results are shown.
    """

    tasks: tuple[Task, ...]
    values: tuple[Value, ...]
    requested: Mapping[Hashable, int]
    name: str = "graph"

    @property
    def inputs(self) -> tuple[Value, ...]:
        """The values that every run is given, in the order they were added."""
        return tuple(value for value in self.values if value.is_input)

    @property
    def constants(self) -> tuple[Value, ...]:
        """The values that are the same in every run."""
        return tuple(value for value in self.values if value.is_constant)


def maker(frozen: type[T]) -> Callable[..., T]:
    """A function that makes objects of a frozen, slotted dataclass from all of its fields in order, and quickly.

    The class must not have a ``__post_init__``.
    The class's own ``__init__`` gets round the lock field by field, which takes three times as long. Here an unlocked
    twin is filled, and then becomes one of the class.
    """
    twin = make_dataclass(frozen.__name__, [each.name for each in fields(frozen)], slots=True)  # type: ignore[arg-type]

    def make(*values: object) -> T:
        made: Any = twin(*values)
        made.__class__ = frozen
        return made  # type: ignore[no-any-return]

    return make
