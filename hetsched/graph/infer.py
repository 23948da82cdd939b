"""What is known of a task before it runs: spec and views of its output, FLOPs, bytes and dtype.

An output's spec comes from the op's own rule, else from calling its kernel with meta tensors: no storage, no
arithmetic, a fraction of what fake tensors cost. Only ops declared pure are ever called. What cannot be told is None.
"""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch

from hetsched.errors import CostError, GraphError
from hetsched.graph.ops import ANY_KIND, Formula, Op
from hetsched.graph.values import ObjectSpec, Spec, TensorSpec, TupleSpec, spec_of, torch_dtype


@dataclass(frozen=True, slots=True)
class Inference:
    """What is known of one use of an op.

    Attributes:
        spec: of the output; None when unknown.
        views: for each output slot (one for a single tensor) the operand whose storage it shares, else None; operands
            are counted positional ones first, then keywords in the order given.
        flops: floating-point operations; None when unknown.
        n_bytes: bytes read and written; None when unknown.
        dtype: name of the dtype it computes in.
    """

    spec: Spec | None = None
    views: tuple[int | None, ...] = ()
    flops: float | None = None
    n_bytes: float | None = None
    dtype: str = "float32"

    @property
    def whole_view(self) -> int | None:
        """The operand that all output slots share the storage of, if there is one."""
        return self.views[0] if self.views and len(set(self.views)) == 1 else None


def infer(
    op: Op,
    operands: Sequence[Spec | None],
    params: Mapping[str, Any] | None = None,
    keywords: Mapping[str, Spec | None] | None = None,
) -> Inference:
    """Infer one use of an op; equal uses are inferred once.

    Args:
        op: its kernels are called only if it is pure.
        operands: specs of the positional operands.
        params: keyword parameters.
        keywords: specs of the operands that are given by keyword.

    Raises:
        GraphError: wrong number of operands, or operands and params that the op cannot take; names the op and them.
        CostError: a formula's answer is negative, infinite or not a number.
    """
    use = _Use(tuple(operands), tuple((keywords or {}).items()), params or {}, params_key(params))
    if use.key is None or not (op.pure or op.infer or op.flops or op.n_bytes):
        return _infer(op, use, torch.get_default_dtype())
    return _infer_cached(op, use, torch.get_default_dtype())


@dataclass(frozen=True, slots=True)
class _Use:
    """The operands and params of one task; ``key`` stands for the params when two uses are compared."""

    operands: tuple[Spec | None, ...]
    keywords: tuple[tuple[str, Spec | None], ...]
    params: Mapping[str, Any] = field(compare=False)
    key: str | None

    @property
    def specs(self) -> tuple[Spec | None, ...]:
        return (*self.operands, *(spec for _, spec in self.keywords))

    @property
    def named(self) -> Mapping[str, Any]:
        """Params with the specs of keyword operands among them, as formulas, rules and checks see them."""
        return {**self.params, **dict(self.keywords)} if self.keywords else self.params

    def __str__(self) -> str:
        shown = [_shown(spec) for spec in self.operands]
        shown += [f"{name}={_shown(spec)}" for name, spec in self.keywords]
        given = f" and params {dict(self.params)}" if self.params else ""
        return f"operands ({', '.join(shown)}){given}"


def _infer(op: Op, use: _Use, _default_dtype: torch.dtype) -> Inference:
    _check(op, use)
    if None in use.specs:
        return Inference(dtype=_compute_dtype(use.specs, None))
    spec, views = _output(op, use)
    flops = n_bytes = 0.0 if views and None not in views else None
    if flops is None:
        flops = _evaluate(op, "flops", op.flops, use, spec)
        n_bytes = _evaluate(op, "bytes", op.n_bytes, use, spec) if op.n_bytes else _traffic(use.specs, spec)
    return Inference(spec, views, flops, n_bytes, _compute_dtype(use.specs, spec))


_infer_cached = functools.lru_cache(maxsize=1 << 14)(_infer)


def _check(op: Op, use: _Use) -> None:
    n_operands = len(use.specs)
    if op.arity is not None and not op.arity[0] <= n_operands <= op.arity[1]:
        least, most = op.arity
        wanted = f"{least}" if least == most else f"{least} to {most}" if most < _MANY else f"{least} or more"
        cure = "add the missing edge" if n_operands < least else "remove an edge"
        raise GraphError(
            f"op {op.name!r} takes {wanted} operand{'' if wanted == '1' else 's'} and got {n_operands}; {cure}"
        )
    problem = op.checks(use.operands, use.named) if op.checks else None
    if problem:
        raise GraphError(f"op {op.name!r} with {use}: {problem}")


def _output(op: Op, use: _Use) -> tuple[Spec | None, tuple[int | None, ...]]:
    """Spec and views of the output, all operands being known."""
    if op.infer is not None and (spec := op.infer(use.operands, use.named)) is not None:  # type: ignore[arg-type] # none is unknown
        return spec, ()
    if not op.pure:
        return None, ()
    try:
        operands = [_meta(spec) for spec in use.operands]
        keywords = {name: _meta(spec) for name, spec in use.keywords}
    except _NoTensorError as error:
        is_number = error.spec.type_name in _NUMBERS and error.spec in use.specs  # a list of numbers is none
        if op.strict and not is_number:
            raise GraphError(f"op {op.name!r} with {use}: it takes tensors; give torch.as_tensor(...)") from None
        return None, ()
    try:
        result = _trace(op, operands, {**use.params, **keywords})
    except NotImplementedError:
        return None, ()  # torch says that the answer depends on data
    except Exception as error:
        if op.strict:
            raise GraphError(f"op {op.name!r} with {use}: {str(error).strip().splitlines()[0]}") from error
        return None, ()
    return spec_of(result), _views(result, [*operands, *keywords.values()])


def _trace(op: Op, operands: Sequence[Any], params: dict[str, Any]) -> Any:
    kernel = op.kernels.get(ANY_KIND) or next(iter(op.kernels.values()))
    if op.random:
        params["generator"] = None
    with torch.no_grad(), torch.device("meta"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the run itself will warn
        return kernel(*operands, **params)


class _NoTensorError(Exception):
    """An operand is an object, so that there is nothing to call a kernel with."""

    def __init__(self, spec: ObjectSpec) -> None:
        self.spec = spec


def _meta(spec: Spec | None) -> Any:
    match spec:
        case TensorSpec(shape, dtype):
            return torch.empty(shape, dtype=torch_dtype(dtype), device="meta")
        case TupleSpec(items) if None not in items:
            return tuple(map(_meta, items))
        case ObjectSpec():
            raise _NoTensorError(spec)
    raise _NoTensorError(ObjectSpec("unknown", None))


def _views(result: Any, operands: Sequence[Any]) -> tuple[int | None, ...]:
    owners = {
        tensor.untyped_storage()._cdata: place for place, operand in enumerate(operands) for tensor in _tensors(operand)
    }
    slots = result if isinstance(result, (tuple, list)) else [result]
    return tuple(
        owners.get(slot.untyped_storage()._cdata) if isinstance(slot, torch.Tensor) else None for slot in slots
    )


def _tensors(value: Any) -> Iterator[torch.Tensor]:
    if isinstance(value, torch.Tensor):
        yield value
    elif isinstance(value, (tuple, list)):
        for item in value:
            yield from _tensors(item)


def _evaluate(op: Op, what: str, formula: Formula | None, use: _Use, output: Spec | None) -> float | None:
    if formula is None:
        return None
    try:
        amount = formula(use.operands, output, use.named)
    except Exception as error:
        raise GraphError(f"op {op.name!r} with {use}: its {what} formula raised {error!r}") from error
    if amount is not None and not (math.isfinite(amount) and amount >= 0):
        raise CostError(f"op {op.name!r} with {use}: its {what} formula gave {amount}; it must be zero or more")
    return None if amount is None else float(amount)


def _traffic(operands: Sequence[Spec | None], output: Spec | None) -> float | None:
    """Every operand read once, every output written once."""
    sizes = [None if spec is None else spec.n_bytes for spec in (*operands, output)]
    return None if None in sizes else float(sum(size for size in sizes if size is not None))


def _compute_dtype(operands: Sequence[Spec | None], output: Spec | None) -> str:
    """The first floating operand's, else the output's, else the first tensor's."""
    found = [spec.dtype for spec in operands if isinstance(spec, TensorSpec)]
    floating = [dtype for dtype in found if torch_dtype(dtype).is_floating_point]
    if isinstance(output, TensorSpec):
        found.insert(0, output.dtype)
    return next(iter([*floating, *found]), "float32")


def _shown(spec: Spec | None) -> str:
    return "unknown" if spec is None else str(spec)


def params_key(params: Mapping[str, Any] | None) -> str | None:
    """The params as text that is equal only for equal params, or None when there is no such text."""
    if not params:
        return ""
    return repr(params) if _is_plain(params) else None


def _is_plain(value: Any) -> bool:
    if type(value) in _PLAIN:
        return True
    if not isinstance(value, (tuple, list, dict)):
        return False
    items = value.values() if type(value) is dict else value
    return _PLAIN.issuperset(map(type, items)) or all(map(_is_plain, items))


_PLAIN = frozenset({type(None), bool, int, float, complex, str, slice, torch.dtype, torch.Size})
_NUMBERS = frozenset({"bool", "int", "float", "complex"})
_MANY = 1 << 20
"""Greatest number of operands of ops that take any number."""
