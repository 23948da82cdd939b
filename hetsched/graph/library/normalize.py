"""Softmax and normalization."""

import torch

from hetsched.graph.library.define import define, floating, same_dtype
from hetsched.graph.library.formulas import per_output


def _softmax(x: torch.Tensor, dim: int = -1) -> torch.Tensor:
    return torch.softmax(x, dim)


def _log_softmax(x: torch.Tensor, dim: int = -1) -> torch.Tensor:
    return torch.log_softmax(x, dim)


def _layer_norm(
    x: torch.Tensor,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    normalized_shape: tuple[int, ...] | None = None,
    eps: float = 1e-5,
) -> torch.Tensor:
    """Over the dimensions of ``weight``, else over ``normalized_shape``, else over the last."""
    over = normalized_shape or (x.shape[-1:] if weight is None else weight.shape)
    return torch.nn.functional.layer_norm(x, list(over), weight, bias, eps)


def _batch_norm(
    x: torch.Tensor,
    mean: torch.Tensor,
    variance: torch.Tensor,
    weight: torch.Tensor | None = None,
    bias: torch.Tensor | None = None,
    eps: float = 1e-5,
) -> torch.Tensor:
    """With given statistics, as in inference."""
    return torch.nn.functional.batch_norm(x, mean, variance, weight, bias, training=False, eps=eps)


define("softmax", _softmax, 1, "normalize", per_output(7), checks=_checked)
define("log_softmax", _log_softmax, 1, "normalize", per_output(7), checks=_checked)
define("layer_norm", _layer_norm, (1, 3), "normalize", per_output(8), checks=same_dtype)
define("batch_norm", _batch_norm, (3, 5), "normalize", per_output(4))
