"""What travels between processes arrives as it was."""

from __future__ import annotations

import pickle
from collections import namedtuple

import pytest
import torch

from hetsched.errors import ExecutionError, TaskFailedError
from hetsched.execute.ray_cluster import parcels

Pair = namedtuple("Pair", "left right")


def through(value: object, **settings: bool) -> object:
    return parcels.unpack(pickle.loads(parcels.cloudpickle.dumps(parcels.pack(value))), **settings)


@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.bfloat16, torch.float16, torch.bool, torch.int8, torch.complex64]
)
@pytest.mark.parametrize("shape", [(), (0, 3), (4,), (2, 3)])
def test_tensors(dtype: torch.dtype, shape: tuple[int, ...]) -> None:
    tensor = torch.ones(shape).to(dtype)
    for writable in (False, True):
        got = through(tensor, writable=writable)
        assert isinstance(got, torch.Tensor)
        assert (got.dtype, got.shape) == (dtype, tensor.shape)
        assert torch.equal(got, tensor)


def test_views_travel_compact_and_conjugates_resolved() -> None:
    view = torch.arange(1_000_000.0)[10:20]
    assert len(parcels.cloudpickle.dumps(parcels.pack(view))) < 2000
    assert torch.equal(through(view.flip(0)[::2]), view.flip(0)[::2])
    conjugate = torch.tensor([1 + 2j]).conj()
    assert torch.equal(through(conjugate), conjugate)


def test_containers_and_objects() -> None:
    value = {"pair": Pair(torch.ones(2), "text"), "list": [1, (None, b"bytes")], "set": {1, 2}, "dtype": torch.bfloat16}
    got = through(value)
    assert isinstance(got, dict)
    assert torch.equal(got["pair"].left, torch.ones(2))
    assert type(got["pair"]) is Pair
    assert (got["list"], got["set"], got["dtype"]) == (value["list"], value["set"], torch.bfloat16)


def test_sparse_tensors() -> None:
    assert torch.equal(through(torch.eye(3).to_sparse()).to_dense(), torch.eye(3))  # type: ignore[attr-defined]


def test_what_belongs_to_torch_is_named_by_torch() -> None:
    for value in (torch.float32, torch.preserve_format, torch.strided, torch.ops.aten.mm.default):
        data = parcels.cloudpickle.dumps(value)
        assert b"test" not in data
        assert pickle.loads(data) is value


def test_what_cannot_be_pickled_cannot_travel() -> None:
    assert not parcels.can_travel((1, [(x for x in ())]))
    with pytest.raises(TypeError, match="pickle"):
        parcels.pack([(x for x in ())])


def test_errors_travel_or_are_told() -> None:
    class LocalError(Exception):
        def __init__(self, a: int, b: int) -> None:
            super().__init__(f"{a} and {b}")

    told = parcels.sendable_error(LocalError(1, 2))
    assert isinstance(told, ExecutionError)
    assert "LocalError: 1 and 2" in str(told)
    error = ValueError("as it is")
    assert parcels.sendable_error(error) is error


def test_a_failed_task_stays_one_when_its_cause_cannot_travel() -> None:
    class NeedsTwoError(Exception):
        def __init__(self, a: int, b: int) -> None:
            super().__init__(a)

    told = parcels.sendable_error(TaskFailedError("t", "op", "cpu:0", ("int",), NeedsTwoError(1, 2)))
    assert isinstance(told, TaskFailedError)
    assert (told.task, told.device) == ("t", "cpu:0")
    assert "NeedsTwoError: 1" in str(told)
