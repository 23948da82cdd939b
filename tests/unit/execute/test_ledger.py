from __future__ import annotations

import numpy as np
import pytest
import torch

from hetsched.errors import OutOfMemoryError
from hetsched.execute.ledger import Ledger


def test_views_of_one_storage_count_once() -> None:
    ledger = Ledger("vram", 1000)
    x = torch.zeros(100)
    ledger.hold(x, "x")
    ledger.hold((x[10:], {"head": x[:10]}), "views")
    assert ledger.n_bytes == 400
    ledger.drop(x)
    assert ledger.n_bytes == 400, "the views still hold the storage"
    ledger.drop((x[10:], {"head": x[:10]}))
    assert (ledger.n_bytes, ledger.peak_bytes) == (0, 400)


def test_what_does_not_fit_is_refused_by_name() -> None:
    ledger = Ledger("vram:0", 1000)
    ledger.hold(np.zeros(100), "array")
    with pytest.raises(OutOfMemoryError, match=r"'vram:0' is full: 'y' needs 400 bytes, 800 of 1000"):
        ledger.hold(torch.zeros(100), "y")
    assert ledger.n_bytes == 800


def test_objects_without_a_storage_take_nothing() -> None:
    ledger = Ledger("ram", 0)
    ledger.hold({"a": [1, "text", object()]}, "thing")
    assert ledger.n_bytes == 0


@pytest.mark.parametrize("layout", ["to_sparse", "to_sparse_csr", "to_sparse_csc"])
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta:UserWarning")
def test_sparse_tensors_count_by_their_parts(layout: str) -> None:
    ledger = Ledger("ram", 1e6)
    sparse = getattr(torch.eye(8), layout)()
    ledger.hold(sparse, "eye")
    assert ledger.n_bytes > 8 * 4
    ledger.drop(sparse)
    assert ledger.n_bytes == 0
