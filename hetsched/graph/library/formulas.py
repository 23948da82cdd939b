"""FLOP and byte formulas that ops share, and quick rules for the specs of the commonest outputs.

A multiply and an add are two operations. Transcendental functions count a few operations each, a rough weight that only
matters where an op is not bound by memory anyway. Formulas answer None when the output is unknown.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import Any

from hetsched.graph.library.define import Params, Specs
from hetsched.graph.ops import Formula, Rule
from hetsched.graph.values import Spec, TensorSpec, TupleSpec, torch_dtype


def numel(spec: Spec | None) -> int:
    """Number of elements, summed over a tuple; 0 for objects."""
    match spec:
        case TensorSpec(shape, _):
            return math.prod(shape)
        case TupleSpec(items):
            return sum(map(numel, items))
    return 0


def per_output(operations: float) -> Formula:
    """So many operations for each element of the output."""
    return lambda _operands, output, _params: None if output is None else operations * numel(output)


def per_operand(operations: float) -> Formula:
    """So many operations for each element of the first operand."""
    return lambda operands, _output, _params: operations * numel(operands[0])


def nothing(_operands: Specs, _output: Spec | None, _params: Params) -> float:
    """No operation, or no traffic."""
    return 0.0


def only_output(_operands: Specs, output: Spec | None, _params: Params) -> float | None:
    """Bytes of ops that only write."""
    return None if output is None else output.n_bytes


def copied(_operands: Specs, output: Spec | None, _params: Params) -> float | None:
    """Bytes of ops that read only what they write: lookups, gathers, copies."""
    return None if output is None or output.n_bytes is None else 2.0 * output.n_bytes


def looked_up(position: int) -> Formula:
    """Bytes of lookups: the index (operand ``position``) is read, the table only where it points."""

    def n_bytes(operands: Specs, output: Spec | None, params: Params) -> float | None:
        index = operands[position] if position < len(operands) else params.get("index")
        moved = copied(operands, output, params)
        return None if moved is None else moved + (getattr(index, "n_bytes", None) or 0)

    return n_bytes


def contraction(operands: Specs, output: Spec | None, _params: Params) -> float | None:
    """Products over the last dimension of the first operand: matmul, matvec, dot."""
    inner = operands[0]
    if output is None or not isinstance(inner, TensorSpec) or not inner.shape:
        return None
    return 2.0 * numel(output) * inner.shape[-1]


def add_contraction(operands: Specs, output: Spec | None, params: Params) -> float | None:
    """A product of the second and third operand added to the first: addmm, baddbmm, a tile's gemm."""
    product = contraction(operands[1:], output, params)
    return None if product is None else product + numel(output)


def affine(operands: Specs, output: Spec | None, params: Params) -> float | None:
    """A product with a weight, plus a bias where there is one."""
    product = contraction(operands, output, params)
    biased = len(operands) > 2 or isinstance(params.get("bias"), TensorSpec)
    return None if product is None else product + (numel(output) if biased else 0)


def convolution(operands: Specs, output: Spec | None, params: Params) -> float | None:
    """Direct convolution; the weight is (out channels, in channels / groups, *kernel)."""
    weight = operands[1] if len(operands) > 1 else params.get("weight")
    if output is None or not isinstance(weight, TensorSpec) or not weight.shape:
        return None
    biased = len(operands) > 2 or isinstance(params.get("bias"), TensorSpec)
    window = math.prod(weight.shape) if params.get("transposed") else math.prod(weight.shape[1:])
    positions = numel(operands[0]) / weight.shape[0] if params.get("transposed") else numel(output)
    return 2.0 * positions * window + (numel(output) if biased else 0)


def pooling(operands: Specs, output: Spec | None, params: Params) -> float | None:
    """One operation for each element of each window."""
    window = params.get("kernel_size", 1)
    area = math.prod(window) if isinstance(window, (tuple, list)) and len(window) > 1 else _side(window) ** 2
    spec = output.items[0] if isinstance(output, TupleSpec) else output
    return None if spec is None else float(numel(spec) * area)


def _side(window: Any) -> int:
    return int(window[0] if isinstance(window, (tuple, list)) else window)


def sorting(operands: Specs, _output: Spec | None, _params: Params) -> float:
    """Comparisons of a sort: n log n."""
    n = numel(operands[0])
    return n * math.log2(max(2, n))


def elementwise(result: str | None = None) -> Rule:
    """Rule of elementwise ops on floating tensors of one dtype: shapes are broadcast; dtype ``result`` or theirs.

    Everything else is left to tracing, which costs a second of torch's own imports the first time.
    """

    def rule(operands: Sequence[Spec], params: Params) -> Spec | None:
        specs = [spec for spec in operands if isinstance(spec, TensorSpec)]
        dtypes = {spec.dtype for spec in specs}
        if params or not specs or len(specs) != len(operands) or len(dtypes) != 1:
            return None
        if not torch_dtype(specs[0].dtype).is_floating_point:
            return None
        shape = _broadcast([spec.shape for spec in specs])
        return None if shape is None else TensorSpec(shape, result or specs[0].dtype)

    return rule


def product(operands: Sequence[Spec], params: Params) -> Spec | None:
    """Rule of ``matmul`` for tensors of one dtype and fitting shapes."""
    match operands:
        case [TensorSpec(left, dtype), TensorSpec(right, other)] if dtype == other and not params and left and right:
            rows, columns = left[-2:-1], right[-1:] if len(right) > 1 else ()
            inner = right[-2] if len(right) > 1 else right[0]
            batch = _broadcast([left[:-2], right[:-2]])
            return None if inner != left[-1] or batch is None else TensorSpec((*batch, *rows, *columns), dtype)
    return None


def _broadcast(shapes: Sequence[tuple[int, ...]]) -> tuple[int, ...] | None:
    """The shape that all are broadcast to; None where they don't fit."""
    if len(set(shapes)) == 1:
        return shapes[0]
    reversed_shape: list[int] = []
    for sizes in itertools.zip_longest(*(shape[::-1] for shape in shapes), fillvalue=1):
        wide = set(sizes) - {1}
        if len(wide) > 1:
            return None
        reversed_shape.append(wide.pop() if wide else 1)
    return tuple(reversed_shape[::-1])
