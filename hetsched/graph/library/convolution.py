"""Convolution and pooling over images, (batch, channels, height, width) or without the batch."""

import torch

from hetsched.graph.library.define import define, same_dtype
from hetsched.graph.library.formulas import convolution, pooling

_max_pool2d = torch.nn.functional.max_pool2d
_avg_pool2d = torch.nn.functional.avg_pool2d

define("conv2d", torch.nn.functional.conv2d, (2, 3), "conv", convolution, checks=same_dtype)
define("max_pool2d", _max_pool2d, 1, "pool", pooling)
define("max_pool", _max_pool2d, 1, "pool", pooling)
define("avg_pool2d", _avg_pool2d, 1, "pool", pooling)
define("avg_pool", _avg_pool2d, 1, "pool", pooling)
