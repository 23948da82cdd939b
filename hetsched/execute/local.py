"""The local executor: the whole plan in this process."""

from __future__ import annotations

from collections.abc import Mapping

from hetsched.errors import ExecutionError
from hetsched.execute.ambient import Ambient
from hetsched.execute.executor import Loaded, Outcome, RatesOf, RunSettings
from hetsched.execute.mail import NoMail
from hetsched.execute.process import ProcessPart
from hetsched.graph.frozen import FrozenGraph
from hetsched.graph.values import Spec
from hetsched.plan.plan import Plan
from hetsched.platform.platform import Platform


class LocalExecutor:
    """Runs plans in this process."""

    def prepare(self, platform: Platform | None, rates_of: RatesOf | None = None) -> Platform:
        """The user's platform, or this host."""
        return Platform.discover() if platform is None else platform

    def spec_of(self, reference: object) -> Spec | None:
        """Refused: there is no cluster to ask."""
        raise ExecutionError("an input is a Ray ObjectRef; give its value, or run with executor='ray'")

    def must_stay_home(self, value: object) -> bool:
        """There is no other process to go to."""
        return False

    def load(self, plan: Plan, graph: FrozenGraph, platform: Platform, settings: RunSettings) -> Loaded:
        """Compile the plan, make its lanes, move constants to their places."""
        memories = [memory.name for memory in platform.memories]
        part = ProcessPart(plan, graph, platform, settings, Ambient.capture(), memories)
        part.set_up({value.name: value.data for value in graph.constants}, NoMail())
        return _LoadedLocally(part)

    def close(self) -> None:
        """Nothing outlives the programs."""


class _LoadedLocally:
    def __init__(self, part: ProcessPart) -> None:
        self._part: ProcessPart | None = part

    def run(self, inputs: Mapping[str, object], *, seed: int, traced: bool) -> Outcome:
        if self._part is None:
            raise ExecutionError("this program is closed; compile it again")
        return self._part.run(inputs, NoMail(), seed=seed, traced=traced)

    def close(self) -> None:
        part, self._part = self._part, None
        if part is not None:
            part.close()
