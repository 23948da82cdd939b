"""Losses: predictions first, targets second; ``reduction`` as in torch."""

import torch

from hetsched.graph.library.define import Params, Specs, define
from hetsched.graph.library.formulas import per_operand
from hetsched.graph.values import TensorSpec

_functional = torch.nn.functional


def _same_shape(operands: Specs, _params: Params) -> str | None:
    match operands:
        case [TensorSpec(left, _), TensorSpec(right, _)] if left != right:
            return "predictions and targets must have one shape; reshape one of them"
    return None


define("mse", _functional.mse_loss, 2, "loss", per_operand(3), checks=_same_shape)
define("mse_loss", _functional.mse_loss, 2, "loss", per_operand(3), checks=_same_shape)
define("bce_with_logits", _functional.binary_cross_entropy_with_logits, (2, 3), "loss", per_operand(12))
define("cross_entropy", _functional.cross_entropy, (2, 3), "loss", per_operand(8))
