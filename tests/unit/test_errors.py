import inspect
import re

import pytest

from hetsched import errors
from hetsched.errors import (
    ConfigError,
    CostError,
    ExecutionError,
    GraphError,
    HetschedError,
    OutOfMemoryError,
    PlanError,
    PlatformError,
    ScheduleError,
    TaskFailedError,
    WorkerLostError,
)


@pytest.mark.parametrize(
    ("error", "parent"),
    [
        (HetschedError, Exception),
        *((error, HetschedError) for error in (GraphError, PlatformError, CostError, ScheduleError, PlanError)),
        *((error, HetschedError) for error in (ConfigError, ExecutionError)),
        *((error, ExecutionError) for error in (TaskFailedError, WorkerLostError, OutOfMemoryError)),
    ],
)
def test_the_tree(error: type[Exception], parent: type[Exception]) -> None:
    assert error.__bases__ == (parent,)


def test_the_docstring_draws_every_error() -> None:
    defined = {name for name, _ in inspect.getmembers(errors, inspect.isclass)}
    assert defined == set(re.findall(r"\b\w+Error\b", errors.__doc__ or ""))


def test_a_failed_task_names_task_op_device_and_operands_and_keeps_its_cause() -> None:
    cause = ValueError("no good")
    error = TaskFailedError("c", "matmul", "gpu:0", ("float32[2, 3]", "float32[4, 5]"), cause)
    assert str(error) == (
        "task 'c' (op 'matmul') failed on gpu:0 with operands (float32[2, 3], float32[4, 5]): ValueError: no good"
    )
    assert error.__cause__ is cause
    assert (error.task, error.op, error.device) == ("c", "matmul", "gpu:0")
    assert "operands (none)" in str(TaskFailedError("c", "rand", "cpu:0", (), cause))
