"""The built-in ops: thin over torch, each with its own formulas; importing this package fills the registry."""

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

__all__ = [
    "convolution",
    "elementwise",
    "image",
    "linear",
    "losses",
    "normalize",
    "random",
    "reduction",
    "shape",
    "tiles",
    "torch_costs",
]
