"""What an executor is: something that loads a Plan once and runs it many times."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol

from hetsched.graph.frozen import FrozenGraph
from hetsched.graph.values import Spec
from hetsched.plan.plan import Plan
from hetsched.platform.platform import Device, Platform, Rates
from hetsched.trace.trace import Trace

RatesOf = Callable[[Device], Rates | None]
"""Measures a device of the host that it is called on; None where it cannot."""


@dataclass(frozen=True, slots=True)
class RunSettings:
    """How a loaded plan behaves while it runs.

    Attributes:
        debug: catch an op that changes an operand in place.
        grace_seconds: how long a failed or interrupted run waits for its workers to reach a task boundary.
        time_scale: wall seconds per emulated second; means nothing on real devices.
        outputs_as: ``values`` brings outputs home; ``refs`` leaves them on the cluster, where the executor can.
    """

    debug: bool = False
    grace_seconds: float = 1.5
    time_scale: float = 1.0
    outputs_as: Literal["values", "refs"] = "values"


@dataclass(frozen=True, slots=True)
class Outcome:
    """What one run gave: the plan's outputs by value name, and what happened when."""

    values: Mapping[str, object]
    trace: Trace = field(repr=False)


class Loaded(Protocol):
    """A plan that is ready to run; used by one thread at a time."""

    def run(self, inputs: Mapping[str, object], *, seed: int, traced: bool) -> Outcome:
        """Run the body once.

        Args:
            inputs: by value name, one for each of the plan's inputs.
            seed: of the random ops.
            traced: record a span for everything; otherwise only the makespan.

        Raises:
            TaskFailedError: an op raised.
            OutOfMemoryError: a memory overflowed.
        """

    def close(self) -> None:
        """Stop the workers and give back what the plan holds; running again afterwards is an error."""


class Executor(Protocol):
    """Runs plans on one set of processes, which it owns until it is closed."""

    def prepare(self, platform: Platform | None, rates_of: RatesOf | None = None) -> Platform:
        """What to plan for: the user's platform with what this executor adds to it, or what it finds when None.

        Args:
            platform: the user's.
            rates_of: measures a device of the host that it is called on.
        """

    def spec_of(self, reference: object) -> Spec | None:
        """The spec of a value that an input only refers to.

        Raises:
            ExecutionError: this executor cannot follow references.
        """

    def must_stay_home(self, value: object) -> bool:
        """Whether a value cannot leave the process of the caller."""

    def load(self, plan: Plan, graph: FrozenGraph, platform: Platform, settings: RunSettings) -> Loaded:
        """Prepare a plan: compile it to steps, start workers, do its setup."""

    def close(self) -> None:
        """End the processes; closing twice is fine."""
