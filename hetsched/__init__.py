"""hetsched: one job over all CPUs and GPUs of a machine, from a networkx DAG of tensor operations.

The public names, in the order data meets them.
"""

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
from hetsched.graph.from_torch import from_function
from hetsched.graph.ops import OPS, Op, op
from hetsched.graph.task_graph import TaskGraph
from hetsched.platform.platform import Platform
from hetsched.cost.model import CostModel, Estimate
from hetsched.schedule import SCHEDULERS, solve
from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Schedule
from hetsched.plan.plan import Plan
from hetsched.trace.trace import Span, Trace
from hetsched.program import Program, Result
from hetsched.session import Session, session
from hetsched.api import compile, run, simulate

__version__ = "0.1.0"

__all__ = [
    "OPS",
    "SCHEDULERS",
    "ConfigError",
    "CostError",
    "CostModel",
    "Estimate",
    "ExecutionError",
    "GraphError",
    "HetschedError",
    "Op",
    "OutOfMemoryError",
    "Plan",
    "PlanError",
    "Platform",
    "PlatformError",
    "Problem",
    "Program",
    "Result",
    "Schedule",
    "ScheduleError",
    "Session",
    "Span",
    "TaskFailedError",
    "TaskGraph",
    "Trace",
    "WorkerLostError",
    "compile",
    "from_function",
    "op",
    "run",
    "session",
    "simulate",
    "solve",
]
