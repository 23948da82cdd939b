"""Ops and their registry: what kinds of computation there are, and which device kinds have a kernel for them."""

from __future__ import annotations

import difflib
import functools
import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from types import BuiltinFunctionType
from typing import Any, overload

import torch

from hetsched.errors import GraphError
from hetsched.graph.torch_random import seeded
from hetsched.graph.values import Spec, TensorSpec

Kernel = Callable[..., Any]
"""One Op's implementation for one device kind: ``kernel(*operands, **params)``; operands stay as they are."""

Formula = Callable[[Sequence[Spec | None], Spec | None, Mapping[str, Any]], float | None]
"""``formula(operand_specs, output_spec, params)``: FLOPs or bytes of one use of an op, None when it cannot tell.

Called when all operands are known; the output may still be unknown. A keyword operand is in ``params``, as its spec.
"""

Rule = Callable[[Sequence[Spec], Mapping[str, Any]], Spec | None]
"""``rule(operand_specs, params)``: the output's spec without calling a kernel; None leaves it to tracing."""

ANY_KIND = "any"
"""Kernel kind of code that runs wherever its tensors are, as torch's own functions do."""


@dataclass(slots=True, eq=False)
class Op:
    """A kind of computation: kernels per device kind, formulas for its cost, and what may be assumed of it.

    Attributes:
        name: registered name, or the qualified name of the user's function.
        kernels: by device kind; ``any`` serves every kind that has none of its own.
        flops: floating-point operations of one use; None when there is no formula.
        n_bytes: bytes read and written by one use; None means operands plus outputs.
        family: what measured times and hidden truths of similar ops are grouped by.
        arity: least and greatest number of operands; None leaves it unchecked.
        pure: equal operands give equal results and nothing else happens; inference may call it with fake tensors.
        random: the kernel takes ``generator=`` and draws from it.
        split: how the op may be cut into parts.
        checks: called with operand specs and params before a run; returns what is wrong, or None.
        infer: a quick rule for the output's spec.
        strict: operands that its kernel cannot be traced with are an error; otherwise its output stays unknown.
    """

    name: str
    kernels: dict[str, Kernel] = field(default_factory=dict)
    flops: Formula | None = None
    n_bytes: Formula | None = None
    family: str = "opaque"
    arity: tuple[int, int] | None = None
    pure: bool = False
    random: bool = False
    split: object = None
    checks: Callable[[Sequence[Spec | None], Mapping[str, Any]], str | None] | None = None
    infer: Rule | None = None
    strict: bool = False

    def __call__(self, *operands: Any, **params: Any) -> Any:
        """Run the op right here, as the undecorated function would."""
        return self.kernel_for("cpu")(*operands, **params)

    def runs_on(self, kind: str) -> bool:
        """Whether there is a kernel for this device kind."""
        return kind in self.kernels or ANY_KIND in self.kernels

    def kernel_for(self, kind: str) -> Kernel:
        """The kernel for this device kind.

        Raises:
            GraphError: there is none.
        """
        kernel = self.kernels.get(kind) or self.kernels.get(ANY_KIND)
        if kernel is None:
            raise GraphError(
                f"op {self.name!r} has no kernel for {kind!r}, only for {', '.join(sorted(self.kernels))}; "
                f"add one with @{self.name}.kernel({kind!r})"
            )
        return kernel

    def kernel(self, kind: str) -> Callable[[Kernel], Kernel]:
        """Decorator that adds a kernel for one device kind."""

        def add(function: Kernel) -> Kernel:
            self.kernels[kind] = function
            return function

        return add


OPS: dict[str, Op] = {}
"""Every registered op by name; a pipeline file may name these and no others."""


@dataclass(frozen=True, slots=True)
class Cost:
    """Family, formulas and rule that a torch function is given by its name; see `Op`."""

    family: str
    flops: Formula | None = None
    n_bytes: Formula | None = None
    infer: Rule | None = None


TORCH_COSTS: dict[str, Cost] = {}
"""By the short name of a torch function or aten operator (``mm``); the library fills it."""


def register(op: Op) -> Op:
    """Add an op to the registry.

    Raises:
        GraphError: another op has that name.
    """
    if op.name in OPS:
        raise GraphError(f"op {op.name!r} is registered already; choose another name")
    OPS[op.name] = op
    return op


@overload
def op(function: Kernel, /) -> Op: ...
@overload
def op(
    *,
    name: str | None = None,
    kinds: Sequence[str] = ("cpu",),
    pure: bool = False,
    random: bool = False,
    split: object = None,
    flops: Formula | None = None,
    n_bytes: Formula | None = None,
    family: str | None = None,
    arity: int | tuple[int, int] | None = None,
    infer: Rule | None = None,
) -> Callable[[Kernel], Op]: ...
def op(function: Kernel | None = None, /, **settings: Any) -> Op | Callable[[Kernel], Op]:
    """Make a function an Op; ``@op`` or ``@op(kinds=("cpu", "cuda"), pure=True, ...)``.

    Args:
        function: of the bare form; nothing else is said of it then.
        settings: the following keywords.
        name: how messages and traces call it; a name given here also registers it for pipeline files.
        kinds: device kinds that this very function runs on; ``("any",)`` for code that follows its tensors.
        pure: see `Op`; needed before inference may call it.
        random: the function takes ``generator=``.
        split: how the op may be cut into parts.
        flops: see `Op`.
        n_bytes: see `Op`.
        family: see `Op`; the name when left out.
        arity: number of operands, or least and greatest.
        infer: see `Op`.

    Raises:
        GraphError: the name is taken.
    """
    if function is not None:
        return _op_of(function)

    def decorate(wrapped: Kernel) -> Op:
        return _op_of(wrapped, **settings)

    return decorate


def _op_of(
    function: Kernel,
    *,
    name: str | None = None,
    kinds: Sequence[str] = ("cpu",),
    arity: int | tuple[int, int] | None = None,
    family: str | None = None,
    **settings: Any,
) -> Op:
    made = Op(
        name=name or callable_name(function),
        kernels=dict.fromkeys(kinds, function),
        family=family or name or callable_name(function),
        arity=(arity, arity) if isinstance(arity, int) else arity,
        **settings,
    )
    return register(made) if name else made


def resolve(reference: object, node: str) -> Op:
    """The Op that a node's ``op`` attribute means: an Op, a registered name, or any callable.

    torch's own functions run on every kind and are pure; other callables are opaque and CPU-only.

    Raises:
        GraphError: the name is not registered, or the attribute is neither a name nor callable.
    """
    if isinstance(reference, Op):
        return reference
    if isinstance(reference, str):
        return _registered(reference, node)
    if not callable(reference):
        raise GraphError(
            f"node {node!r}: op is a {type(reference).__name__}; it must be a registered name or a callable"
        )
    if is_torch_function(reference):
        return _torch_op(reference)
    name = callable_name(reference)
    return Op(name, {"cpu": reference}, family=name)


@functools.lru_cache(maxsize=4096)
def _torch_op(function: Kernel) -> Op:
    """The same Op for every use of a torch function, so that what is inferred for one use serves the next."""
    name = callable_name(function)
    short = name.removeprefix("aten.")
    cost = TORCH_COSTS.get(short) or (_POINTWISE if _is_pointwise(short) else Cost(short))
    draw = seeded(short, function)
    return Op(
        name,
        {ANY_KIND: draw or function},
        cost.flops,
        cost.n_bytes,
        cost.family,
        pure=True,
        random=draw is not None,
        infer=cost.infer,
    )


def _is_pointwise(short: str) -> bool:
    packet = getattr(torch.ops.aten, short, None) if short.isidentifier() else None
    if packet is None:
        return False
    return any(torch.Tag.pointwise in getattr(packet, overload).tags for overload in packet.overloads())


def _one_per_output(_operands: Sequence[Spec | None], output: Spec | None, _params: Mapping[str, Any]) -> float | None:
    return float(math.prod(output.shape)) if isinstance(output, TensorSpec) else None


_POINTWISE = Cost("elementwise", _one_per_output)
"""A guess for functions that torch calls pointwise: one operation an element."""


def _registered(name: str, node: str) -> Op:
    if name in OPS:
        return OPS[name]
    close = difflib.get_close_matches(name, OPS, n=3)
    hint = f"did you mean {' or '.join(map(repr, close))}?" if close else f"known are: {', '.join(sorted(OPS))}"
    raise GraphError(f"node {node!r}: unknown op {name!r}; {hint}")


def callable_name(function: object) -> str:
    """A readable name of any callable: ``matmul``, ``aten.mm``, ``Net.forward``, ``<lambda>``."""
    if isinstance(function, torch._ops.OpOverload):
        return f"aten.{function.overloadpacket.__name__}"
    if isinstance(function, torch._ops.OpOverloadPacket):
        return f"aten.{function.__name__}"
    if isinstance(function, functools.partial):
        return callable_name(function.func)
    name = getattr(function, "__qualname__", None) or getattr(function, "__name__", None) or type(function).__name__
    return str(name).removeprefix("_VariableFunctionsClass.").removeprefix("TensorBase.")


def is_torch_function(function: object) -> bool:
    """Whether torch itself wrote this callable, so that it runs wherever its tensors are."""
    if isinstance(function, (torch._ops.OpOverload, torch._ops.OpOverloadPacket)):
        return True
    if isinstance(function, functools.partial):
        return is_torch_function(function.func)
    if isinstance(function, (type, torch.nn.Module)):
        return False
    module = getattr(function, "__module__", None) or ""
    if module.split(".")[0] == "torch":
        return True
    owner = getattr(function, "__self__", None) or getattr(function, "__objclass__", None)
    return isinstance(function, BuiltinFunctionType | type(torch.Tensor.add)) and _is_from_torch(owner)


def _is_from_torch(owner: object) -> bool:
    name = getattr(owner, "__module__", None) or getattr(owner, "__name__", "") or ""
    return str(name).split(".")[0] == "torch"
