"""A plan that is loaded into a cluster's actors, and how one run of it goes.

Most runs are simple: what the driver sends is there from the start, and nothing in the driver waits for anything but
outputs. Then a run is one call to each actor, which carries inputs there and outputs back. Otherwise the driver drives
its part of the plan while the actors report as they go.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from time import monotonic, time
from typing import Any, Protocol, TypeVar

import ray
from ray.exceptions import RayError

from hetsched.errors import ExecutionError, WorkerLostError
from hetsched.execute.ambient import Ambient
from hetsched.execute.executor import Outcome, RunSettings
from hetsched.execute.mail import Letter
from hetsched.execute.process import ProcessPart
from hetsched.execute.ray_cluster.actor import SETUP_RUN, Report, read_in_driver, send
from hetsched.execute.ray_cluster.mailbox import Box, Epoch
from hetsched.execute.ray_cluster.parcels import Kept, pack, pack_job, unpack
from hetsched.execute.ray_cluster.reports import Calls, Ends, Streams, answer_of
from hetsched.execute.turns import turn
from hetsched.execute.worker import Stopped
from hetsched.graph.frozen import FrozenGraph
from hetsched.plan.plan import Compute, Copy, Plan
from hetsched.platform.cluster import DRIVER
from hetsched.platform.platform import Platform
from hetsched.trace.trace import Trace

log = logging.getLogger(__name__)

_T = TypeVar("_T")
_program_numbers = itertools.count(1)


class Actors(Protocol):
    """Who owns the actors.

    Attributes:
        turn: held by whoever runs something on them. Two runs at once could wait for one another's actors for ever.
    """

    turn: threading.Lock

    def actors(self, platform: Platform, processes: list[str]) -> dict[str, Any]:
        """A running actor for each process."""

    def is_running(self, actor: Any) -> bool:
        """Whether an actor still runs."""

    def kill(self, actor: Any) -> None:
        """End an actor."""


class LoadedOnCluster:
    """A plan in the actors of its processes; the driver's own part runs in the caller's process."""

    def __init__(
        self, owner: Actors, plan: Plan, graph: FrozenGraph, platform: Platform, settings: RunSettings
    ) -> None:
        self._owner, self._platform, self._settings = owner, platform, settings
        self._owners = {memory.name: memory.process for memory in platform.memories}
        self._processes = sorted({self._owners[memory] for memory in _memories_of(plan)} - {DRIVER})
        self._constants = {value.name: value.data for value in graph.constants}
        ambient = Ambient.capture()
        without_data = replace(graph, values=tuple(replace(v, data=None) for v in graph.values))
        self._job = pack_job(plan, platform, settings, ambient, self._owners, graph=without_data)
        self._part = ProcessPart(plan, graph, platform, settings, ambient, self._memories_of(DRIVER))
        self._early = self._early_letters(plan)
        self._read_here = read_in_driver(plan, self._owners)
        self._is_simple = self._is_all_early(plan)
        self._actors: dict[str, Any] = {}
        self._number = self._n_runs = SETUP_RUN
        self._is_loaded = self._closed = False
        with turn(owner.turn, "this cluster"):
            self._load()

    def _memories_of(self, process: str) -> tuple[str, ...]:
        return tuple(memory for memory, owner in self._owners.items() if owner == process)

    def _early_letters(self, plan: Plan) -> dict[int, tuple[str, str]]:
        """Copies of inputs that need not wait for anything: position -> (process that takes it, value)."""
        inputs = {value for value, memory in plan.inputs if self._owners[memory] == DRIVER}
        return {
            position: (self._owners[copy.target], copy.value)
            for position, copy in enumerate(plan.body)
            if isinstance(copy, Copy) and copy.value in inputs and position not in plan.after
            if self._owners[copy.source] == DRIVER != self._owners[copy.target]
        }

    def _is_all_early(self, plan: Plan) -> bool:
        """Whether all that the driver does is to send what it has from the start, and to take outputs."""
        for position, instruction in enumerate(plan.body):
            match instruction:
                case Compute() if self._owners[instruction.memory] == DRIVER:
                    return False
                case Copy() if self._owners[instruction.source] == DRIVER and position not in self._early:
                    return False
        return True

    def _load(self) -> None:
        """Send the program to its actors; done again, as a new program, when one of them had to be replaced."""
        try:
            self._load_once()
        except WorkerLostError:
            lost = [actor for actor in self._actors.values() if not self._answers(actor)]
            if not lost:
                raise
            for actor in lost:
                self._owner.kill(actor)
            self._load_once()

    def _load_once(self) -> None:
        self._is_loaded = False
        self._unload()
        self._number, self._n_runs = next(_program_numbers), SETUP_RUN
        self._actors = self._owner.actors(self._platform, self._processes)
        job = ray.put(self._job)
        answer_of(
            [
                actor.load.remote(self._number, job, self._memories_of(process), self._actors)
                for process, actor in self._actors.items()
            ]
        )
        box = Box()
        calls = Calls({process: actor.set_up.remote(self._number) for process, actor in self._actors.items()}, box)
        mail = DriverMail((self._number, SETUP_RUN), box, self._owners, self._actors)
        self._finish(mail, calls, lambda: self._part.set_up(self._constants, mail))
        self._is_loaded = True

    def _unload(self) -> None:
        """Make actors that run forget the program, without waiting for it."""
        for actor in self._actors.values():
            if self._owner.is_running(actor):
                actor.unload.remote(self._number)
        self._actors = {}

    def run(self, inputs: Mapping[str, object], *, seed: int, traced: bool) -> Outcome:
        """See `Loaded`."""
        if self._closed:
            raise ExecutionError("this program is closed; compile it again")
        with turn(self._owner.turn, "this cluster"):
            if not self._is_loaded or not all(map(self._owner.is_running, self._actors.values())):
                self._load()
            return self._run(inputs, seed, traced)

    def _run(self, inputs: Mapping[str, object], seed: int, traced: bool) -> Outcome:
        self._n_runs += 1
        box = Box()
        mail = DriverMail((self._number, self._n_runs), box, self._owners, self._actors, self._early)
        began_at = time()
        ends = self._call(inputs, seed, traced, box)

        here = {name: unpack(value) if name in self._read_here else value for name, value in inputs.items()}

        def drive() -> tuple[Outcome, float]:
            drove_at = time()
            return self._part.run(here, mail, seed=seed, traced=traced), drove_at

        (mine, drove_at), others = self._finish(mail, ends, drive, drive_last=self._is_simple)
        values = {name: v.ref if isinstance(v, Kept) else v for name, v in mine.values.items()}
        reports = (Report(trace=mine.trace, began_at=drove_at), *others)
        return Outcome(values, _merged(mine.trace, reports, began_at, time() - began_at))

    def _call(self, inputs: Mapping[str, object], seed: int, traced: bool, box: Box) -> Ends:
        """Start the run in every actor, with the letters that are ready now."""
        now = time()
        letters: dict[str, list[tuple[int, Letter]]] = {process: [] for process in self._actors}
        for position, (process, value) in self._early.items():
            try:
                letters[process].append((position, Letter(pack(inputs[value]), None, now)))
            except Exception as error:
                raise ExecutionError(
                    f"input {value!r} cannot be sent to {process!r}: {error}; "
                    "give it to compile() as well, so that it is planned to stay in this process"
                ) from error
        calls: dict[str, Any] = {}
        try:
            for process, actor in self._actors.items():
                method = actor.run if self._is_simple else actor.stream.options(num_returns="streaming")
                calls[process] = method.remote(self._number, self._n_runs, seed, traced, letters[process])
        except BaseException:
            for process in calls:
                self._actors[process].stop.remote((self._number, self._n_runs))
            raise
        return Calls(calls, box) if self._is_simple else Streams(calls, box, self._part)

    def _finish(
        self, mail: DriverMail, ends: Ends, drive: Callable[[], _T], drive_last: bool = False
    ) -> tuple[_T, list[Report]]:
        """Do the driver's part and hear the actors out; the first failure stops all of them."""
        pending = set(self._actors)
        reports: list[Report] = []
        try:
            if not drive_last:
                mine = drive()
            while pending:
                reports.append(_next(ends, pending))
            if drive_last:
                mine = drive()
        except BaseException as error:
            cause = self._stop(mail.epoch, pending, ends)
            if isinstance(error, Stopped) and cause is not None:
                raise cause from cause.__cause__
            raise
        return mine, reports

    def _stop(self, epoch: Epoch, pending: set[str], ends: Ends) -> BaseException | None:
        """Stop the actors that still run, kill those that do not answer in time; gives the first error of theirs."""
        cause: BaseException | None = None
        lost: list[str] = []
        for process in pending:
            self._actors[process].stop.remote(epoch)
        deadline = monotonic() + self._settings.grace_seconds
        while pending:
            end = ends.next(max(0.0, deadline - monotonic()))
            if end is None:
                lost += sorted(pending)
                log.warning("%s did not stop within %.1f s: killed", ", ".join(lost), self._settings.grace_seconds)
                break
            process, last = end
            pending.discard(process)
            if isinstance(last, BaseException):
                cause = cause or last
        for process, actor in self._actors.items():
            if process in lost or not self._answers(actor):
                self._owner.kill(actor)
        return cause

    def _answers(self, actor: Any) -> bool:
        ready, _ = ray.wait([actor.ping.remote()], timeout=self._settings.grace_seconds)
        try:
            return bool(ray.get(ready))
        except RayError:
            return False

    def close(self) -> None:
        """Forget the program in all actors, which go on for other programs."""
        if self._closed:
            return
        self._closed = True
        self._unload()
        self._part.close()


def _next(ends: Ends, pending: set[str]) -> Report:
    end = ends.next(None)
    assert end is not None, "without a time-out there is always a next end"
    process, last = end
    pending.discard(process)
    if isinstance(last, BaseException):
        raise last
    if last.was_stopped:
        raise Stopped
    return last


class DriverMail:
    """The driver's mail in one epoch; ``sent`` letters went with the call already."""

    def __init__(
        self,
        epoch: Epoch,
        box: Box,
        owners: Mapping[str, str],
        actors: Mapping[str, Any],
        sent: Collection[int] = (),
    ) -> None:
        self.epoch = epoch
        self._box, self._owners, self._actors, self._sent = box, owners, actors, sent
        self._window: deque[Any] = deque()
        self._lock = threading.Lock()

    def post(self, position: int, copy: Copy, letter: Letter) -> None:
        if position in self._sent:
            return
        actor = self._actors[self._owners[copy.target]]
        send(actor, self.epoch, position, letter, copy, self._window, self._lock)

    def take(self, position: int) -> Letter | None:
        letter = self._box.take(position)
        return None if letter is None else replace(letter, value=unpack(letter.value, writable=True))

    def stop(self) -> None:
        self._box.stop()


def _memories_of(plan: Plan) -> set[str]:
    """Memories in which anything of the plan happens."""
    found: set[str] = set()
    for instruction in (*plan.setup, *plan.body):
        match instruction:
            case Compute():
                found.add(instruction.memory)
            case Copy():
                found |= {instruction.source, instruction.target}
    return found


def _merged(mine: Trace, reports: Sequence[Report], began_at: float, wall_seconds: float) -> Trace:
    """One trace of all processes, on the clock of the run; emulated clocks all start with it."""
    traces = [(report.trace, report.began_at - began_at) for report in reports if report.trace is not None]
    spans = [
        span if span.phase == "setup" or mine.emulated else span.shifted(delay)
        for trace, delay in traces
        for span in trace.spans
    ]
    memories = {memory for trace, _ in traces for memory in trace.peak_bytes}
    emulated_seconds = max(trace.makespan_seconds for trace, _ in traces)
    return replace(
        mine,
        spans=tuple(sorted(spans, key=lambda span: (span.start_seconds, span.end_seconds, span.lane, span.name))),
        makespan_seconds=emulated_seconds if mine.emulated else wall_seconds,
        peak_bytes={m: max(trace.peak_bytes.get(m, 0.0) for trace, _ in traces) for m in sorted(memories)},
    )
