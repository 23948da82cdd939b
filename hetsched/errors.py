"""Every error hetsched raises on purpose; catch `HetschedError` to catch them all.

HetschedError
├── GraphError            the graph, an op, an operand or a constraint on a node is wrong
├── PlatformError         the description of the machine is wrong, or no machine could be described
├── CostError             a time, deviation or size is not a finite number >= 0
├── ScheduleError         no schedule exists, or one breaks a rule
├── PlanError             a plan (or its text) is malformed, or would deadlock
├── ConfigError           a YAML file or one of its fields is wrong
└── ExecutionError        something went wrong while running
    ├── TaskFailedError   an op raised; names task, op, device and operand shapes
    ├── WorkerLostError   a worker died, or did not stop in time
    └── OutOfMemoryError  a memory could not hold what the plan puts there

Messages name the place and the cure: ``node 'c': op 'matmul' takes 2 operands and got 1; add the missing edge``.
"""

from __future__ import annotations


class HetschedError(Exception):
    """Base class of every error that hetsched raises on purpose."""


class GraphError(HetschedError):
    """The graph, one of its ops, operands or constraints is wrong."""


class PlatformError(HetschedError):
    """The description of the machine is wrong, or no usable device was found."""


class CostError(HetschedError):
    """A time, deviation or size is not a finite number that is zero or more."""


class ScheduleError(HetschedError):
    """No schedule satisfies the constraints, or a schedule breaks a rule."""


class PlanError(HetschedError):
    """A plan or its text form is malformed, or would deadlock."""


class ConfigError(HetschedError):
    """A configuration file, or a field of it, is wrong."""


class ExecutionError(HetschedError):
    """Something went wrong while a plan was running."""


class TaskFailedError(ExecutionError):
    """A task's op raised; the original exception is the ``__cause__``.

    Args:
        task: name of the failed task.
        op: name of its op.
        device: name of the device it ran on.
        operands: a description of each operand, such as ``float32[4, 4]``.
        cause: the exception that the op raised.
    """

    def __init__(self, task: str, op: str, device: str, operands: tuple[str, ...], cause: BaseException) -> None:
        self.task = task
        self.op = op
        self.device = device
        self.operands = operands
        shown = ", ".join(operands) if operands else "none"
        super().__init__(
            f"task {task!r} (op {op!r}) failed on {device} with operands ({shown}): {type(cause).__name__}: {cause}"
        )
        self.__cause__ = cause

    def __reduce__(self) -> tuple[type[TaskFailedError], tuple[object, ...]]:
        return type(self), (self.task, self.op, self.device, self.operands, self.__cause__)


class WorkerLostError(ExecutionError):
    """A worker died, or did not stop within its grace period."""


class OutOfMemoryError(ExecutionError):
    """A memory could not hold what the plan puts there."""
