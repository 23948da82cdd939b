"""Parcels: values, ops and errors in a form that travels between Ray's processes quickly and arrives as it was.

Tensors travel as numpy views, which Ray moves without copying (torch's own pickling copies twice); dtypes that numpy
lacks travel as bytes. What arrives is read-only memory, which is fine: ops never change an operand.
"""

from __future__ import annotations

import copyreg
import functools
import pickle
import sys
import sysconfig
import threading
import types
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from ray import ObjectRef, cloudpickle

from hetsched.errors import ExecutionError, TaskFailedError
from hetsched.execute.backends.backend import map_leaves
from hetsched.graph.frozen import FrozenGraph
from hetsched.graph.values import dtype_name, torch_dtype

_by_value = threading.Lock()

_PLAIN = (bool, int, float, complex, str, bytes, type(None), torch.Tensor, np.ndarray, ObjectRef)


@dataclass(frozen=True, slots=True)
class PackedTensor:
    """A tensor as bytes or numbers of its own; ``shape`` is needed for dtypes that numpy lacks."""

    array: np.ndarray[Any, Any]
    dtype: str
    shape: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Kept:
    """An output that stays on the cluster; ``ref`` is what the user is given."""

    ref: Any


@dataclass(frozen=True, slots=True)
class Pickled:
    """An object that only the process which uses it unpickles; where that fails, Ray's mail must not."""

    data: bytes


def pack(value: object) -> object:
    """A value in pieces that travel; views are compacted.

    Raises:
        Exception: whatever pickling one of its objects raises.
    """
    if isinstance(value, torch.Tensor):
        return _pack_tensor(value)
    if isinstance(value, _PLAIN):
        return value
    if type(value) is tuple:
        return tuple(map(pack, value))
    if type(value) is list:
        return list(map(pack, value))
    if type(value) is dict and all(isinstance(key, _PLAIN) for key in value):
        return {key: pack(item) for key, item in value.items()}
    return Pickled(cloudpickle.dumps(value))


def unpack(value: object, *, writable: bool = False) -> object:
    """What was packed; object references are fetched.

    Args:
        value: as it arrived.
        writable: copy what arrived in read-only memory, for values that are handed to the user.
    """
    value = map_leaves(value, ObjectRef, _fetch)
    value = map_leaves(value, Pickled, lambda pickled: cloudpickle.loads(pickled.data))
    return map_leaves(value, PackedTensor, lambda packed: _unpack_tensor(packed, writable))


def _fetch(ref: Any) -> object:
    import ray

    return ray.get(ref)


def _pack_tensor(tensor: torch.Tensor) -> PackedTensor | torch.Tensor:
    if tensor.layout is not torch.strided:
        return tensor.detach()
    compact = tensor.detach().resolve_conj().resolve_neg().contiguous()
    try:
        array = compact.numpy()
    except TypeError:  # numpy has no such dtype
        array = compact.reshape(-1).view(torch.uint8).numpy()
    return PackedTensor(array, dtype_name(tensor.dtype), tuple(tensor.shape))


def _unpack_tensor(packed: PackedTensor, writable: bool) -> torch.Tensor:
    array = packed.array
    if array.nbytes == 0:
        return torch.empty(packed.shape, dtype=torch_dtype(packed.dtype))
    if writable or not array.flags.c_contiguous:
        array = array.copy()
    tensor = torch.frombuffer(_Buffer.over(array), dtype=torch_dtype(packed.dtype))
    return tensor.reshape(packed.shape)


class _Buffer:
    """Makes torch take read-only memory without a warning, and keeps it alive as long as the tensor."""

    @staticmethod
    def over(array: np.ndarray[Any, Any]) -> Any:
        import ctypes

        buffer = (ctypes.c_char * array.nbytes).from_address(array.ctypes.data)
        buffer.owner = array  # type: ignore[attr-defined]  # ctypes arrays take attributes
        return buffer


def can_travel(value: object) -> bool:
    """Whether a value can be sent to another process."""
    if isinstance(value, _PLAIN):
        return True
    if isinstance(value, tuple | list):
        return all(map(can_travel, value))
    try:
        cloudpickle.dumps(value)
    except Exception:  # noqa: BLE001  (whatever an object's own pickling raises, the answer is no)
        return False
    return True


def pack_job(*parts: object, graph: FrozenGraph) -> bytes:
    """The plan and what belongs to it; functions of modules that the nodes lack go by value.

    Raises:
        ExecutionError: a kernel or a parameter cannot be pickled; names the task.
    """
    modules = _own_modules(kernel for task in graph.tasks for kernel in task.op.kernels.values())
    with _by_value:  # what goes by value is one list for the whole process
        users = cloudpickle.list_registry_pickle_by_value()
        ours = [module for module in modules if module.__name__ not in users]
        for module in ours:
            cloudpickle.register_pickle_by_value(module)
        try:
            return bytes(cloudpickle.dumps((graph, *parts)))
        except Exception as error:
            raise _unpicklable(graph, error) from error
        finally:
            for module in ours:
                cloudpickle.unregister_pickle_by_value(module)


def _unpicklable(graph: FrozenGraph, error: Exception) -> ExecutionError:
    for task in graph.tasks:
        try:
            cloudpickle.dumps((task.op, task.params))
        except Exception as cause:  # noqa: BLE001  (the first task that fails is the one to name)
            return ExecutionError(
                f"task {task.name!r}: op {task.op.name!r} or its params cannot be sent to another process ({cause}); "
                "take what cannot be pickled out of its closure, or run it with executor='local'"
            )
    return ExecutionError(f"the plan cannot be sent to another process: {error}")


def _own_modules(kernels: Iterable[object]) -> Collection[types.ModuleType]:
    """Modules of the user's own files, which nodes need not have; installed packages are expected on every node."""
    installed = {Path(path).resolve() for path in sysconfig.get_paths().values()}
    found: dict[str, types.ModuleType] = {}
    for kernel in kernels:
        while isinstance(kernel, functools.partial):
            kernel = kernel.func
        name = getattr(kernel, "__module__", None) or ""
        module = sys.modules.get(name)
        file = getattr(module, "__file__", None)
        if module is None or file is None or name.partition(".")[0] in ("hetsched", "__main__"):
            continue
        path = Path(file).resolve()
        if not (any(root in path.parents for root in installed) or {"site-packages", "dist-packages"} & {*path.parts}):
            found[name] = module
    return found.values()


def _overload(qualified: str, overload: str) -> object:
    namespace, _, name = qualified.partition("::")
    return getattr(getattr(getattr(torch.ops, namespace), name), overload)


def _reduce_overload(op: Any) -> tuple[Any, ...]:
    return _overload, (op._schema.name, op._overloadname)


def _named(name: str) -> object:
    return getattr(torch, name)


def _reduce_named(value: object) -> tuple[Any, ...]:
    return _named, (str(value).removeprefix("torch."),)


copyreg.pickle(torch._ops.OpOverload, _reduce_overload)  # torch gives its own ops no way to be pickled
for kind in (torch.dtype, torch.layout, torch.memory_format):
    copyreg.pickle(kind, _reduce_named)  # or else pickle names any module that happens to have imported torch


def sendable_error(error: BaseException) -> BaseException:
    """The error itself where it can travel, otherwise one that says the same; a failed task stays one."""
    try:
        pickle.loads(cloudpickle.dumps(error))
    except Exception:  # noqa: BLE001  (whatever its pickling raises, its text remains)
        if isinstance(error, TaskFailedError):
            cause = ExecutionError(f"{type(error.__cause__).__name__}: {error.__cause__}")
            return TaskFailedError(error.task, error.op, error.device, error.operands, cause)
        return ExecutionError(f"{type(error).__name__}: {error}")
    return error
