"""Reductions over all elements, or over ``dim``.

``max`` and ``min`` give values only, as ``amax`` does; positions come from ``argmax`` and ``argmin``.
"""

from typing import Any

import torch

from hetsched.graph.library.define import define
from hetsched.graph.library.formulas import per_operand, sorting


def _max(x: torch.Tensor, dim: Any = (), keepdim: bool = False) -> torch.Tensor:
    return torch.amax(x, dim, keepdim)


def _min(x: torch.Tensor, dim: Any = (), keepdim: bool = False) -> torch.Tensor:
    return torch.amin(x, dim, keepdim)


define("sum", torch.sum, 1, "reduction", per_operand(1))
define("mean", torch.mean, 1, "reduction", per_operand(1))
define("max", _max, 1, "reduction", per_operand(1))
define("min", _min, 1, "reduction", per_operand(1))
define("argmax", torch.argmax, 1, "reduction", per_operand(1))
define("argmin", torch.argmin, 1, "reduction", per_operand(1))
define("norm", torch.linalg.norm, 1, "reduction", per_operand(2))
define("topk", torch.topk, 1, "reduction", sorting)
