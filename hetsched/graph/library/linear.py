"""Products: matmul, matvec, dot, linear."""

import torch

from hetsched.graph.library.define import define, same_dtype
from hetsched.graph.library.formulas import affine, contraction, product

define("matmul", torch.matmul, 2, "gemm", contraction, checks=same_dtype, infer=product)
define("matvec", torch.mv, 2, "gemv", contraction, checks=same_dtype)
define("dot", torch.dot, 2, "gemv", contraction, checks=same_dtype)
define("linear", torch.nn.functional.linear, (2, 3), "gemm", affine, checks=same_dtype)
