"""Softmax and normalization."""

import torch

from hetsched.graph.library.define import Params, Specs, define, floating, same_dtype
from hetsched.graph.library.formulas import per_output
from hetsched.graph.values import TensorSpec


def _softmax(x: torch.Tensor, dim: int = -1) -> torch.Tensor:
    return torch.softmax(x, dim)


def _log_softmax(x: torch.Tensor, dim: int = -1) -> torch.Tensor:
    return torch.log_softmax(x, dim)


def _softmaxed(operands: Specs, params: Params) -> str | None:
    """Check dtype and dimension, which meta tensors are lax about."""
    spec, dim = operands[0] if operands else None, params.get("dim", -1)
    if isinstance(spec, TensorSpec) and isinstance(dim, int):
        rank = max(1, len(spec.shape))
        if not -rank <= dim < rank:
            return f"dim is {dim}; it must be at least {-rank} and less than {rank}"
    return floating(operands, params)


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


define("softmax", _softmax, 1, "normalize", per_output(7), checks=_softmaxed)
define("log_softmax", _log_softmax, 1, "normalize", per_output(7), checks=_softmaxed)
define("layer_norm", _layer_norm, (1, 3), "normalize", per_output(8), checks=same_dtype)
define("batch_norm", _batch_norm, (3, 5), "normalize", per_output(4))
