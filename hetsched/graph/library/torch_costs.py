"""What torch's own functions and aten operators cost, by name, in terms of the library's formulas.

Of names that are missing here, pointwise ones are guessed at one operation an element; of others only the traffic is
known.
"""

from __future__ import annotations

import math

from hetsched.graph.library.define import Params, Specs, cost_of
from hetsched.graph.library.formulas import (
    add_contraction,
    contraction,
    convolution,
    copied,
    looked_up,
    nothing,
    numel,
    per_operand,
    per_output,
    pooling,
    product,
    sorting,
)
from hetsched.graph.ops import OPS, TORCH_COSTS, Cost
from hetsched.graph.values import Spec, TensorSpec


def _convolution_backward(operands: Specs, _output: Spec | None, params: Params) -> float | None:
    """One convolution's work for each gradient asked for; operands are the output's gradient, input and weight."""
    gradient, *_ = operands
    weight = operands[2] if len(operands) > 2 else params.get("weight")
    asked = params.get("output_mask", (True, True, False))
    if not isinstance(weight, TensorSpec):
        return None
    n_products, with_bias = sum(map(bool, asked[:2])), bool(asked[2])
    return numel(gradient) * (2.0 * math.prod(weight.shape[1:]) * n_products + with_bias)


def _attention(operands: Specs, _output: Spec | None, params: Params) -> float | None:
    """Two products over queries by keys, and a softmax between."""
    known = [*operands, *(params[name] for name in ("key", "value") if name in params)]
    match known:
        case [TensorSpec(query, _), TensorSpec(key, _), TensorSpec(value, _), *_]:
            scores = math.prod(query[:-1]) * key[-2]
            return scores * (2.0 * query[-1] + 2.0 * value[-1] + 7)
    return None


_PRODUCTS = {"bmm": "gemm", "mv": "gemv", "inner": "gemm"}
_ADDED_PRODUCTS = {"addmm": "gemm", "baddbmm": "gemm", "addmv": "gemv"}
_CONVOLUTIONS = ("conv1d", "conv3d", "convolution", "_convolution", "cudnn_convolution", "mkldnn_convolution")
_REDUCTIONS = ("amax", "amin", "prod", "any", "all", "cumsum", "var", "std", "logsumexp", "count_nonzero", "aminmax")
_COPIES = (
    *("cat", "clone", "contiguous", "_to_copy", "to", "copy", "constant_pad_nd", "pad", "flip", "roll", "repeat"),
    *("full", "full_like", "zeros", "zeros_like", "ones", "ones_like", "new_zeros", "new_full", "empty", "arange"),
    *("scalar_tensor", "eye", "tril", "triu", "select_scatter", "slice_scatter", "select_backward", "slice_backward"),
    *("view", "_unsafe_view", "expand", "t", "alias", "detach", "as_strided", "unbind", "narrow"),
    *("lift_fresh", "lift_fresh_copy"),
)

TORCH_COSTS.update({name: cost_of(made) for name, made in OPS.items()})
TORCH_COSTS.update({name: Cost(family, contraction) for name, family in _PRODUCTS.items()})
TORCH_COSTS["mm"] = Cost("gemm", contraction, infer=product)
TORCH_COSTS.update({name: Cost(family, add_contraction) for name, family in _ADDED_PRODUCTS.items()})
TORCH_COSTS.update({name: Cost("conv", convolution) for name in _CONVOLUTIONS})
TORCH_COSTS.update({name: Cost("reduction", per_operand(1)) for name in _REDUCTIONS})
TORCH_COSTS.update({name: Cost("memory", nothing) for name in _COPIES})
TORCH_COSTS.update(
    {
        "convolution_backward": Cost("conv", _convolution_backward),
        "scaled_dot_product_attention": Cost("gemm", _attention),
        "linalg_cholesky": cost_of(OPS["potrf"]),
        "linalg_cholesky_ex": cost_of(OPS["potrf"]),
        "cholesky": cost_of(OPS["potrf"]),
        "linalg_solve_triangular": cost_of(OPS["trsm"]),
        "linalg_norm": cost_of(OPS["norm"]),
        "linalg_vector_norm": cost_of(OPS["norm"]),
        "_softmax": cost_of(OPS["softmax"]),
        "_log_softmax": cost_of(OPS["log_softmax"]),
        "_softmax_backward_data": Cost("normalize", per_output(4)),
        "_log_softmax_backward_data": Cost("normalize", per_output(6)),
        "native_layer_norm": Cost("normalize", per_operand(8)),
        "native_layer_norm_backward": Cost("normalize", per_operand(14)),
        "native_batch_norm": Cost("normalize", per_operand(8)),
        "_native_batch_norm_legit_no_training": Cost("normalize", per_operand(4)),
        "native_batch_norm_backward": Cost("normalize", per_operand(14)),
        "threshold_backward": Cost("elementwise", per_output(1)),
        "max_pool2d_with_indices": Cost("pool", pooling),
        "max_pool2d_with_indices_backward": Cost("pool", per_operand(1)),
        "avg_pool2d_backward": Cost("pool", per_output(1)),
        "mse_loss_backward": Cost("loss", per_output(3)),
        "binary_cross_entropy_with_logits": cost_of(OPS["bce_with_logits"]),
        "nll_loss": Cost("loss", per_operand(1), copied),
        "nll_loss_forward": Cost("loss", per_operand(1), copied),
        "nll_loss_backward": Cost("loss", nothing),
        "index": Cost("memory", nothing, looked_up(1)),
        "embedding_dense_backward": Cost("memory", per_operand(1)),
        "sort": Cost("reduction", sorting),
        "argsort": Cost("reduction", sorting),
    }
)
