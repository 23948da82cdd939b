"""Program: a decision that can be run, many times; Result: what one run gave, prediction beside measurement."""

from __future__ import annotations

import threading
from collections.abc import Hashable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Self

from hetsched.cost.model import CostModel
from hetsched.errors import GraphError
from hetsched.execute.executor import Loaded
from hetsched.execute.turns import turn
from hetsched.graph.frozen import FrozenGraph
from hetsched.graph.given import Inputs, by_key, checked
from hetsched.plan.plan import Plan
from hetsched.platform.platform import Platform
from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Schedule
from hetsched.trace.compare import comparison, format_comparison
from hetsched.trace.report import save_report
from hetsched.trace.trace import Trace

_TRACED_RUNS = 3
_TRACED_EVERY = 64
_SHOWN_NOTES = 3


@dataclass(frozen=True, slots=True)
class Decision:
    """The candidate that was chosen and everything that was derived from it on the way to its plan."""

    graph: FrozenGraph
    platform: Platform
    problem: Problem
    schedule: Schedule
    plan: Plan
    predicted: Trace


@dataclass(frozen=True, eq=False, slots=True)
class Result:
    """What one run gave; ``print(result)`` shows prediction beside measurement.

    Attributes:
        outputs: the requested values by node key.
        trace: what happened; has no spans in a run that was not traced.
        predicted_trace: what was expected to happen.
        plan: what every device did, in order.
        schedule: where and when everything was expected to run.
    """

    outputs: Mapping[Hashable, object]
    trace: Trace
    predicted_trace: Trace
    plan: Plan
    schedule: Schedule

    def __getitem__(self, key: Hashable) -> object:
        try:
            return self.outputs[key]
        except KeyError:
            have = ", ".join(map(repr, self.outputs)) or "none"
            raise KeyError(
                f"{key!r} is not an output of this run (outputs: {have}); ask for it with outputs=[..., {key!r}]"
            ) from None

    @property
    def makespan_seconds(self) -> float:
        """Measured: from the start until every output was home. Emulated seconds on an emulated platform."""
        return self.trace.makespan_seconds

    @property
    def predicted_makespan_seconds(self) -> float:
        """Predicted for the same."""
        return self.predicted_trace.makespan_seconds

    @property
    def lower_bound_seconds(self) -> float:
        """What no schedule could beat, by the same predictions."""
        return self.schedule.lower_bound_seconds

    def __str__(self) -> str:
        compared = format_comparison(comparison(self.predicted_trace, self.trace), self.lower_bound_seconds)
        return "\n".join([compared, *self._notes()])

    def _notes(self) -> list[str]:
        """What the scheduler has to say, but not all where that is much."""
        notes = self.schedule.notes
        rest = [f"... and {len(notes) - _SHOWN_NOTES} more notes"] if len(notes) > _SHOWN_NOTES else []
        return [f"note: {note}" for note in notes[:_SHOWN_NOTES]] + rest

    def report(self, path: str | Path) -> None:
        """Write one self-contained HTML page with timeline and tables; needs the extra ``plot``."""
        save_report(self.trace, self.predicted_trace, Path(path), lower_bound_seconds=self.lower_bound_seconds)


class Program:
    """A graph that is planned and loaded; close it, or use it in a ``with`` statement.

    Runs of one program take turns; several programs may run in several threads.
    """

    def __init__(
        self,
        decision: Decision,
        loaded: Loaded,
        model: CostModel,
        seed: int,
        input_keys: Sequence[Hashable],
        owned: ExitStack,
    ) -> None:
        self._owned = owned
        self._decision = decision
        self._input_keys = input_keys
        self._seed = seed
        self._lock = threading.Lock()
        self._n_runs = 0
        self.cost_model = model
        self._loaded = loaded

    @property
    def plan(self) -> Plan:
        """What every device and link does, in order."""
        return self._decision.plan

    @property
    def schedule(self) -> Schedule:
        """Where and when everything is predicted to run."""
        return self._decision.schedule

    @property
    def platform(self) -> Platform:
        """What it runs on, with the layout that was chosen."""
        return self._decision.platform

    @property
    def predicted_trace(self) -> Trace:
        """What a run is expected to look like."""
        return self._decision.predicted

    def run(
        self,
        inputs: Inputs | None = None,
        *,
        seed: int | None = None,
        trace: bool = False,
    ) -> Result:
        """Run once.

        Args:
            inputs: values by node key, or a tuple in input order.
            seed: of the random ops; the program's own when left out.
            trace: record a span for everything; the first runs and one in 64 are traced anyway.

        Raises:
            GraphError: an input is missing, unknown, or not of the shape that was planned for.
            TaskFailedError: an op raised.
        """
        given = checked(by_key(inputs, self._input_keys), self._decision.graph, self._input_keys)
        with turn(self._lock, "this program"):
            traced = trace or self._n_runs < _TRACED_RUNS or self._n_runs % _TRACED_EVERY == 0
            self._n_runs += 1
            outcome = self._loaded.run(given, seed=self._seed if seed is None else seed, traced=traced)
            if traced:
                self.cost_model = self.cost_model.refined(outcome.trace, self._decision.graph, self.platform)
        decision = self._decision
        return Result(
            self._outputs(given, outcome.values), outcome.trace, decision.predicted, decision.plan, decision.schedule
        )

    def loop(
        self,
        n_iterations: int,
        *,
        state: Mapping[Hashable, Hashable],
        inputs: Inputs | None = None,
    ) -> Result:
        """Run many times, feeding outputs back; returns the last Result.

        Args:
            n_iterations: one or more.
            state: input key -> key of the output that replaces it in the next iteration.
            inputs: of the first iteration; those that are not state stay the same. Each iteration has its own seed.

        Raises:
            GraphError: ``state`` names what is no input, or no output.
        """
        graph = self._decision.graph
        known = {value.key for value in graph.inputs}
        for source, result in state.items():
            if source not in known:
                raise GraphError(
                    f"loop state {source!r} is no input of this program; its inputs are {sorted(map(str, known))}"
                )
            if result not in graph.requested:
                raise GraphError(f"loop state {source!r} comes from {result!r}, which is no output; add it to outputs=")
        if n_iterations < 1:
            raise GraphError(f"loop runs {n_iterations} times; give at least 1")
        current: dict[Hashable, object] = dict(by_key(inputs, self._input_keys))
        for iteration in range(n_iterations):
            last = self.run(current, seed=self._seed + iteration)
            current.update({source: last[result] for source, result in state.items()})
        return last

    def _outputs(self, given: Mapping[str, object], values: Mapping[str, object]) -> dict[Hashable, object]:
        graph = self._decision.graph
        constants = {value.name: value.data for value in graph.constants}
        everything = {**constants, **given, **values}
        return {key: everything[graph.values[index].name] for key, index in graph.requested.items()}

    def close(self) -> None:
        """Stop the workers and give memory back; closing twice is fine."""
        self._loaded.close()
        self._owned.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
