"""Ops that draw from the generator that a run gives them; shapes and dtypes as in torch."""

from collections.abc import Sequence

import torch

from hetsched.graph.library.define import define, floating
from hetsched.graph.library.formulas import only_output, per_output
from hetsched.graph.values import torch_dtype


def _rand(
    size: Sequence[int], dtype: str | torch.dtype = "float32", *, generator: torch.Generator | None
) -> torch.Tensor:
    return torch.rand(tuple(size), dtype=_dtype(dtype), generator=generator, device=_device(generator))


def _randn(
    size: Sequence[int], dtype: str | torch.dtype = "float32", *, generator: torch.Generator | None
) -> torch.Tensor:
    return torch.randn(tuple(size), dtype=_dtype(dtype), generator=generator, device=_device(generator))


def _dropout(x: torch.Tensor, p: float = 0.5, *, generator: torch.Generator | None) -> torch.Tensor:
    """Zero each element with probability ``p`` and scale the others by 1 / (1 - p)."""
    if not 0 <= p < 1:
        raise ValueError(f"p is {p}; it must be at least 0 and less than 1")
    kept = torch.rand(x.shape, generator=generator, device=_device(generator)) >= p
    return x * kept.to(x.device) / (1 - p)


def _dtype(dtype: str | torch.dtype) -> torch.dtype:
    return torch_dtype(dtype) if isinstance(dtype, str) else dtype


def _device(generator: torch.Generator | None) -> torch.device | None:
    return None if generator is None else generator.device


define("rand", _rand, 0, "random", per_output(10), only_output, random=True)
define("randn", _randn, 0, "random", per_output(20), only_output, random=True)
define("dropout", _dropout, 1, "random", per_output(12), checks=floating, random=True)
