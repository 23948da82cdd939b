"""How the library declares an op: one row each."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from hetsched.graph.ops import ANY_KIND, Cost, Formula, Kernel, Op, Rule, register
from hetsched.graph.values import Spec, TensorSpec, torch_dtype

MANY = 1 << 20
"""Greatest number of operands of ops that take any number."""

Specs = Sequence[Spec | None]
Params = Mapping[str, Any]
Check = Callable[[Specs, Params], str | None]


def define(
    name: str,
    kernel: Kernel,
    arity: int | tuple[int, int],
    family: str,
    flops: Formula | None = None,
    n_bytes: Formula | None = None,
    *,
    kind: str = ANY_KIND,
    checks: Check | None = None,
    infer: Rule | None = None,
    pure: bool = True,
    random: bool = False,
) -> Op:
    """Register one op of the library; its kernel takes tensors and never changes one in place."""
    least_most = (arity, arity) if isinstance(arity, int) else arity
    made = Op(name, {kind: kernel}, flops, n_bytes, family, least_most, pure, random, checks=checks, infer=infer)
    made.strict = pure
    return register(made)


def cost_of(made: Op) -> Cost:
    """What a torch function that does the same as this op costs."""
    return Cost(made.family, made.flops, made.n_bytes, made.infer)


def tensors(operands: Sequence[Spec | None], params: Mapping[str, Any]) -> list[TensorSpec]:
    """The operands that are known to be tensors, those given by keyword included."""
    return [spec for spec in (*operands, *params.values()) if isinstance(spec, TensorSpec)]


def same_dtype(operands: Sequence[Spec | None], params: Mapping[str, Any]) -> str | None:
    """Check that all tensors have one dtype, which meta tensors are lax about."""
    dtypes = list(dict.fromkeys(spec.dtype for spec in tensors(operands, params)))
    return f"operands must have one dtype, not {' and '.join(dtypes)}; use cast" if len(dtypes) > 1 else None


def floating(operands: Sequence[Spec | None], params: Mapping[str, Any]) -> str | None:
    """Check that no tensor is of integers, which meta tensors are lax about."""
    for spec in tensors(operands, params):
        if not torch_dtype(spec.dtype).is_floating_point:
            return f"it takes floating-point tensors, not {spec.dtype}; use cast"
    return None


def operand_or(param: str) -> Check:
    """Check that the second operand is there, as an operand or as the parameter ``param``."""

    def check(operands: Sequence[Spec | None], params: Mapping[str, Any]) -> str | None:
        if len(operands) + (param in params) == 2:
            return None
        return f"it takes 2 operands, or one and {param}=; add the missing edge"

    return check
