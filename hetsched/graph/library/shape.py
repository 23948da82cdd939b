"""Ops that move or re-read elements and compute nothing; most give views, which cost nothing at all."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch

from hetsched.graph.library.define import MANY, define
from hetsched.graph.library.formulas import looked_up, nothing
from hetsched.graph.values import Spec, TensorSpec, torch_dtype


def _several(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """The operands themselves, or the items of the one tuple that was given."""
    return tuple(values[0]) if len(values) == 1 and isinstance(values[0], (tuple, list)) else values


def _concat(*values: Any, dim: int = 0) -> torch.Tensor:
    return torch.cat(_several(values), dim)


def _stack(*values: Any, dim: int = 0) -> torch.Tensor:
    return torch.stack(_several(values), dim)


def _split(x: torch.Tensor, size: int | Sequence[int], dim: int = 0) -> tuple[torch.Tensor, ...]:
    """Into pieces of ``size`` (the last may be smaller), or of the sizes listed."""
    return tuple(torch.split(x, size if isinstance(size, int) else list(size), dim))


def _chunk(x: torch.Tensor, chunks: int, dim: int = 0) -> tuple[torch.Tensor, ...]:
    return tuple(torch.chunk(x, chunks, dim))


def _slice(
    x: torch.Tensor, dim: int = 0, start: int | None = None, end: int | None = None, step: int = 1
) -> torch.Tensor:
    return x[(slice(None),) * (dim % x.dim()) + (slice(start, end, step),)]


def _gather(x: torch.Tensor, index: torch.Tensor, dim: int = 0) -> torch.Tensor:
    return torch.gather(x, dim, index)


def _index_select(x: torch.Tensor, index: torch.Tensor, dim: int = 0) -> torch.Tensor:
    return torch.index_select(x, dim, index)


def _cast(x: torch.Tensor, dtype: str | torch.dtype) -> torch.Tensor:
    """To a dtype or its name (``float16``)."""
    return x.to(torch_dtype(dtype) if isinstance(dtype, str) else dtype)


def _identity(x: Any) -> Any:
    return x


def _same_object(operands: Sequence[Spec], _params: Mapping[str, Any]) -> Spec | None:
    """Anything passes; tensors are left to tracing, which sees that they are views."""
    return None if isinstance(operands[0], TensorSpec) else operands[0]


define("identity", _identity, 1, "memory", nothing, infer=_same_object)
define("reshape", torch.reshape, 1, "memory", nothing)
define("transpose", torch.transpose, 1, "memory", nothing)
define("permute", torch.permute, 1, "memory", nothing)
define("squeeze", torch.squeeze, 1, "memory", nothing)
define("unsqueeze", torch.unsqueeze, 1, "memory", nothing)
define("flatten", torch.flatten, 1, "memory", nothing)
define("select", torch.select, 1, "memory", nothing)
define("slice", _slice, 1, "memory", nothing)
define("split", _split, 1, "memory", nothing)
define("chunk", _chunk, 1, "memory", nothing)
define("concat", _concat, (1, MANY), "memory", nothing)
define("stack", _stack, (1, MANY), "memory", nothing)
define("cast", _cast, 1, "memory", nothing)
define("gather", _gather, 2, "memory", nothing, looked_up(1))
define("index_select", _index_select, 2, "memory", nothing, looked_up(1))
define("embedding", torch.nn.functional.embedding, 2, "memory", nothing, looked_up(0))
