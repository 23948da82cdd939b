"""Kernels of the right-looking tiled Cholesky factorization A = L·Lᵀ, operands in the order of StarPU and Chameleon.

For each step k: potrf(A[k,k]); trsm(L[k,k], A[m,k]); syrk(A[n,k], A[n,n]); gemm(A[m,k], A[n,k], A[m,n]). Nothing is
changed in place: each returns the new tile. (Agullo et al., doi:10.1016/B978-0-12-385963-1.00034-4.)
"""

import torch

from hetsched.graph.library.define import Params, Specs, define, same_dtype
from hetsched.graph.library.formulas import add_contraction, numel
from hetsched.graph.values import Spec, TensorSpec


def _potrf(a: torch.Tensor) -> torch.Tensor:
    """Lower Cholesky factor of a symmetric positive definite tile."""
    factor: torch.Tensor = torch.linalg.cholesky(a)
    return factor


def _trsm(factor: torch.Tensor, a: torch.Tensor) -> torch.Tensor:
    """``a · factor⁻ᵀ`` with a lower triangular factor."""
    solution: torch.Tensor = torch.linalg.solve_triangular(factor.mT, a, upper=True, left=False)
    return solution


def _syrk(a: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """``c - a · aᵀ``."""
    return torch.addmm(c, a, a.mT, alpha=-1)


def _gemm(a: torch.Tensor, b: torch.Tensor, c: torch.Tensor) -> torch.Tensor:
    """``c - a · bᵀ``."""
    return torch.addmm(c, a, b.mT, alpha=-1)


def _factorization(operands: Specs, _output: Spec | None, _params: Params) -> float | None:
    """n³/3 + n²/2 + n/6, times the batch."""
    if not isinstance(a := operands[0], TensorSpec) or not a.shape:
        return None
    n = a.shape[-1]
    return numel(a) / max(n, 1) ** 2 * (n**3 / 3 + n**2 / 2 + n / 6)


def _substitution(operands: Specs, _output: Spec | None, _params: Params) -> float | None:
    """n² for each right-hand side."""
    factor, a = operands
    return float(numel(a) * factor.shape[-1]) if isinstance(factor, TensorSpec) and factor.shape else None


def _rank_update(operands: Specs, output: Spec | None, params: Params) -> float | None:
    """As gemm: torch has no rank-k update that leaves half of the tile out."""
    return _tile_product((operands[0], *operands), output, params)


def _tile_product(operands: Specs, output: Spec | None, params: Params) -> float | None:
    a, _, c = operands
    return add_contraction((c, a, a), output, params)


define("potrf", _potrf, 1, "potrf", _factorization)
define("trsm", _trsm, 2, "trsm", _substitution, checks=same_dtype)
define("syrk", _syrk, 2, "gemm", _rank_update, checks=same_dtype)
define("gemm", _gemm, 3, "gemm", _tile_product, checks=same_dtype)
