"""The built-in ops: thin over torch, each with its own formulas.

Importing this package fills the registry, which is handed on from here so that whoever asks for it finds it filled.
"""

from hetsched.graph.library import (
    convolution,
    elementwise,
    image,
    linear,
    losses,
    normalize,
    random,
    reduction,
    shape,
    tiles,
    torch_costs,
)
from hetsched.graph.ops import OPS, Op, op

__all__ = [
    "OPS",
    "Op",
    "convolution",
    "elementwise",
    "image",
    "linear",
    "losses",
    "normalize",
    "op",
    "random",
    "reduction",
    "shape",
    "tiles",
    "torch_costs",
]
