"""hetsched: one job over all CPUs and GPUs of a machine, from a networkx DAG of tensor operations.

The public names, in the order data meets them. Each is imported when it is first used, so that the command line and
schedulers do not wait for torch.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from hetsched.errors import ConfigError as ConfigError
    from hetsched.errors import CostError as CostError
    from hetsched.errors import ExecutionError as ExecutionError
    from hetsched.errors import GraphError as GraphError
    from hetsched.errors import HetschedError as HetschedError
    from hetsched.errors import OutOfMemoryError as OutOfMemoryError
    from hetsched.errors import PlanError as PlanError
    from hetsched.errors import PlatformError as PlatformError
    from hetsched.errors import ScheduleError as ScheduleError
    from hetsched.errors import TaskFailedError as TaskFailedError
    from hetsched.errors import WorkerLostError as WorkerLostError
    from hetsched.graph.task_graph import TaskGraph as TaskGraph
    from hetsched.graph.library import OPS as OPS
    from hetsched.graph.library import Op as Op
    from hetsched.graph.library import op as op
    from hetsched.graph.from_torch import from_function as from_function
    from hetsched.platform.platform import Platform as Platform
    from hetsched.cost.model import CostModel as CostModel
    from hetsched.cost.model import Estimate as Estimate
    from hetsched.schedule.problem import Problem as Problem
    from hetsched.schedule.schedule import Schedule as Schedule
    from hetsched.schedule import SCHEDULERS as SCHEDULERS
    from hetsched.schedule import solve as solve
    from hetsched.plan.plan import Plan as Plan
    from hetsched.trace.trace import Span as Span
    from hetsched.trace.trace import Trace as Trace
    from hetsched.api import run as run
    from hetsched.api import compile as compile
    from hetsched.api import simulate as simulate
    from hetsched.program import Program as Program
    from hetsched.program import Result as Result
    from hetsched.sessions import Session as Session
    from hetsched.sessions import session as session

__version__ = "0.1.0"

_ERRORS = "ConfigError CostError ExecutionError GraphError HetschedError OutOfMemoryError PlanError PlatformError"
_HOMES = {
    "hetsched.errors": f"{_ERRORS} ScheduleError TaskFailedError WorkerLostError",
    "hetsched.graph.task_graph": "TaskGraph",
    "hetsched.graph.library": "OPS Op op",
    "hetsched.graph.from_torch": "from_function",
    "hetsched.platform.platform": "Platform",
    "hetsched.cost.model": "CostModel Estimate",
    "hetsched.schedule.problem": "Problem",
    "hetsched.schedule.schedule": "Schedule",
    "hetsched.schedule": "SCHEDULERS solve",
    "hetsched.plan.plan": "Plan",
    "hetsched.trace.trace": "Span Trace",
    "hetsched.api": "run compile simulate",
    "hetsched.program": "Program Result",
    "hetsched.sessions": "Session session",
}
"""Where the public names live."""

_MODULE_OF = {name: module for module, names in _HOMES.items() for name in names.split()}

__all__ = [*_MODULE_OF]


def __getattr__(name: str) -> Any:
    if name not in _MODULE_OF:
        raise AttributeError(f"module 'hetsched' has no attribute {name!r}")
    value = getattr(importlib.import_module(_MODULE_OF[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
