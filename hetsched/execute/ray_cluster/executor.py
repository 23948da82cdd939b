"""The Ray executor: a plan's processes are actors; the driver, whose memory is home, takes part as one more process.

The driver alone decides: it starts every run, learns of every failure, and stops the others. Values go from actor to
actor.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections import deque
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from queue import Empty, SimpleQueue
from time import monotonic, time
from typing import Any, TypeVar

import ray
from ray.exceptions import RayError, RayTaskError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hetsched.errors import ExecutionError, HetschedError, WorkerLostError
from hetsched.execute.ambient import Ambient
from hetsched.execute.executor import Loaded, Outcome, RunSettings
from hetsched.execute.mail import Letter, Mail
from hetsched.execute.process import ProcessPart
from hetsched.execute.ray_cluster.actor import DRIVER, Report, actor_class, send
from hetsched.execute.ray_cluster.cluster import Cluster, ProcessPlace, place_processes
from hetsched.execute.ray_cluster.mailbox import Box, Epoch
from hetsched.execute.ray_cluster.parcels import Kept, can_travel, pack, pack_job, unpack
from hetsched.execute.worker import Stopped
from hetsched.graph.frozen import FrozenGraph
from hetsched.graph.values import Spec, spec_of
from hetsched.plan.plan import Compute, Copy, Plan
from hetsched.platform.cluster import discover_cluster, with_driver
from hetsched.platform.platform import Platform
from hetsched.trace.trace import Trace

_T = TypeVar("_T")

log = logging.getLogger(__name__)

_START_SECONDS = 60.0
"""How long actors may take to start before the request is given up as one that the cluster cannot satisfy."""

_SETUP_RUN = 0

_program_numbers = itertools.count(1)


class RayExecutor:
    """Runs plans on a Ray cluster; owns its connection and its actors until it is closed.

    Args:
        address: of a cluster to join; None starts a private one on this machine, on loopback only.
        token_path: file with the cluster's token; see `Cluster.join`.

    Raises:
        ExecutionError: the cluster cannot be started or joined.
    """

    def __init__(self, address: str | None = None, token_path: str | None = None) -> None:
        self._cluster = Cluster.start() if address is None else Cluster.join(address, token_path=token_path)
        self._actors: dict[tuple[str, ProcessPlace], Any] = {}

    def prepare(self, platform: Platform | None) -> Platform:
        """The cluster as discovered, or the platform that the user gave, with the driver as one more host."""
        return with_driver(discover_cluster(self._cluster) if platform is None else platform)

    def spec_of(self, reference: object) -> Spec | None:
        asked = ray.remote(num_cpus=0)(spec_of)  # where the value is, so that it need not come here
        spec: Spec | None = _get(asked.remote(reference))
        return spec

    def must_stay_home(self, value: object) -> bool:
        """Values that cannot be pickled are used in the driver only."""
        return not can_travel(value)

    def load(self, plan: Plan, graph: FrozenGraph, platform: Platform, settings: RunSettings) -> Loaded:
        """Send each process its part of the plan, and constants to their places."""
        return _LoadedOnCluster(self, plan, graph, platform, settings)

    def actors(self, platform: Platform, processes: Collection[str]) -> dict[str, Any]:
        """A running actor for each process, by name; those that run already are taken again.

        Raises:
            ExecutionError: the cluster has no place for one of them.
        """
        places = place_processes(platform, self._cluster.nodes)
        keys = {process: (process, places[process]) for process in processes}
        new = [key for key in keys.values() if key not in self._actors]
        for key in new:
            self._actors[key] = _start_actor(*key)
        self._await_start(new)
        return {process: self._actors[key] for process, key in keys.items()}

    def _await_start(self, keys: Sequence[tuple[str, ProcessPlace]]) -> None:
        pings = {self._actors[key].ping.remote(): key for key in keys}
        _, pending = ray.wait(list(pings), num_returns=len(pings), timeout=_START_SECONDS) if pings else ([], [])
        failed = [pings[ref] for ref in pending]
        for ref, key in pings.items():
            if key in failed:
                continue
            try:
                ray.get(ref)
            except RayError as error:
                log.debug("actor %s did not start", key[0], exc_info=error)
                failed.append(key)
        for key in failed:
            ray.kill(self._actors.pop(key))
        if failed:
            wanted = "; ".join(f"{process} ({place})" for process, place in failed)
            raise ExecutionError(
                f"the cluster did not start {wanted} within {_START_SECONDS:.0f} s; "
                "another job may hold its CPUs and GPUs, or its nodes lack hetsched"
            )

    def is_running(self, actor: Any) -> bool:
        """Whether an actor is one of those that run."""
        return any(actor is other for other in self._actors.values())

    def kill(self, actor: Any) -> None:
        """End an actor that does not answer any more, or is lost; a new one takes its place when it is needed."""
        ray.kill(actor)
        self._actors = {key: other for key, other in self._actors.items() if other is not actor}

    def close(self) -> None:
        """Kill the actors and leave the cluster; closing twice is fine."""
        for actor in self._actors.values():
            ray.kill(actor)
        self._actors = {}
        self._cluster.close()


def _start_actor(process: str, place: ProcessPlace) -> Any:
    options = {
        "num_cpus": place.num_cpus,
        "num_gpus": place.num_gpus,
        "scheduling_strategy": NodeAffinitySchedulingStrategy(place.node_id, soft=False),
    }
    return actor_class().options(**options).remote(process)


class _LoadedOnCluster:
    """A plan in the actors of its processes; the driver's own part runs in the caller's process."""

    def __init__(
        self, executor: RayExecutor, plan: Plan, graph: FrozenGraph, platform: Platform, settings: RunSettings
    ) -> None:
        self._executor, self._platform, self._settings = executor, platform, settings
        self._number = next(_program_numbers)
        self._n_runs = _SETUP_RUN
        self._owners = {memory.name: memory.process for memory in platform.memories}
        self._processes = sorted({self._owners[memory] for memory in _memories_of(plan)} - {DRIVER})
        self._constants = {value.name: value.data for value in graph.constants}
        ambient = Ambient.capture()
        without_data = replace(graph, values=tuple(replace(v, data=None) for v in graph.values))
        self._job = pack_job(plan, platform, settings, ambient, self._owners, graph=without_data)
        self._part = ProcessPart(plan, graph, platform, settings, ambient, self._memories_of(DRIVER))
        self._actors: dict[str, Any] = {}
        self._closed = False
        self._load()

    def _memories_of(self, process: str) -> tuple[str, ...]:
        return tuple(memory for memory, owner in self._owners.items() if owner == process)

    def _load(self) -> None:
        """Send the program to its actors; done again when one of them had to be replaced."""
        self._actors = self._executor.actors(self._platform, self._processes)
        job = ray.put(self._job)
        loads = [
            actor.load.remote(self._number, job, self._memories_of(process), self._actors)
            for process, actor in self._actors.items()
        ]
        _get(loads)
        self._together(
            _SETUP_RUN,
            lambda actor: actor.set_up.options(num_returns="streaming").remote(self._number),
            lambda mail: self._part.set_up(self._constants, mail),
        )

    def run(self, inputs: Mapping[str, object], *, seed: int, traced: bool) -> Outcome:
        if self._closed:
            raise ExecutionError("this program is closed; compile it again")
        if not all(self._executor.is_running(actor) for actor in self._actors.values()):
            self._number, self._n_runs = next(_program_numbers), _SETUP_RUN
            self._load()
        self._n_runs += 1
        number, run = self._number, self._n_runs
        began_at = time()
        mine, others = self._together(
            run,
            lambda actor: actor.run.options(num_returns="streaming").remote(number, run, seed, traced),
            lambda mail: self._part.run(inputs, mail, seed=seed, traced=traced),
        )
        values = {name: v.ref if isinstance(v, Kept) else v for name, v in mine.values.items()}
        return Outcome(values, _merged(mine.trace, others, began_at, time() - began_at))

    def _together(self, run: int, start: Callable[[Any], Any], drive: Callable[[Mail], _T]) -> tuple[_T, list[Report]]:
        """Let the actors and this process do their parts at once; the first failure stops all of them."""
        epoch = (self._number, run)
        box = Box()
        ended: SimpleQueue[tuple[str, Report | BaseException]] = SimpleQueue()
        pending = set(self._actors)
        reports: list[Report] = []
        try:
            for process, actor in self._actors.items():
                listener = _Listener(process, start(actor), box, ended, self._part)
                threading.Thread(target=listener.listen, name=f"hetsched hears {process}", daemon=True).start()
            mine = drive(DriverMail(epoch, box, self._owners, self._actors))
            while pending:
                process, end = ended.get()
                pending.discard(process)
                if isinstance(end, BaseException):
                    raise end
                reports.append(end)
        except BaseException as error:
            cause = self._stop(epoch, pending, ended)
            if isinstance(error, Stopped) and cause is not None:
                raise cause from cause.__cause__
            raise
        return mine, reports

    def _stop(
        self, epoch: Epoch, pending: set[str], ended: SimpleQueue[tuple[str, Report | BaseException]]
    ) -> BaseException | None:
        """Stop the actors that still run; those that do not answer within the grace period are killed."""
        cause: BaseException | None = None
        for process in pending:
            self._actors[process].stop.remote(epoch)
        deadline = monotonic() + self._settings.grace_seconds
        lost: list[str] = []
        while pending:
            try:
                process, end = ended.get(timeout=max(0.0, deadline - monotonic()))
            except Empty:
                lost += sorted(pending)
                break
            pending.discard(process)
            if isinstance(end, WorkerLostError):
                lost.append(process)
            if isinstance(end, BaseException):
                cause = cause or end
        for process in lost:
            log.warning("process %s did not stop within %.1f s: killed", process, self._settings.grace_seconds)
            self._executor.kill(self._actors[process])
        return cause

    def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        running = [actor for actor in self._actors.values() if self._executor.is_running(actor)]
        ray.wait([actor.unload.remote(self._number) for actor in running], num_returns=len(running), timeout=5)
        self._part.close()


class _Listener:
    """Hears what one actor reports of a run, in a thread of its own."""

    def __init__(
        self,
        process: str,
        reports: Any,
        box: Box,
        ended: SimpleQueue[tuple[str, Report | BaseException]],
        part: ProcessPart,
    ) -> None:
        self._process, self._reports, self._box, self._ended, self._part = process, reports, box, ended, part

    def listen(self) -> None:
        end: Report | BaseException | None = None
        try:
            for ref in self._reports:
                report = ray.get(ref)
                for position, letter in report.letters:
                    self._box.put(position, letter)
                end = report.error or report
        except RayError as error:
            end = WorkerLostError(f"process {self._process!r} was lost: {_first_line(error)}")
            end.__cause__ = error
        if end is None:
            end = WorkerLostError(f"process {self._process!r} ended without a report")
        if isinstance(end, BaseException):
            self._box.stop()
            self._part.stop()
        self._ended.put((self._process, end))


class DriverMail:
    """The driver's mail in one epoch."""

    def __init__(self, epoch: Epoch, box: Box, owners: Mapping[str, str], actors: Mapping[str, Any]) -> None:
        self._epoch, self._box, self._owners, self._actors = epoch, box, owners, actors
        self._window: deque[Any] = deque()
        self._lock = threading.Lock()

    def post(self, position: int, copy: Copy, letter: Letter) -> None:
        actor = self._actors[self._owners[copy.target]]
        packed = Letter(pack(letter.value), letter.ready, letter.sent_at)
        send(actor, self._epoch, position, packed, copy, self._window, self._lock)

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


def _get(refs: Any) -> Any:
    try:
        return ray.get(refs)
    except RayTaskError as error:
        cause = error.cause
        raise cause if isinstance(cause, HetschedError) else ExecutionError(_first_line(error)) from error
    except RayError as error:
        raise WorkerLostError(f"a process was lost while the plan was loaded: {_first_line(error)}") from error


def _first_line(error: BaseException) -> str:
    return f"{type(error).__name__}: {str(error).strip().partition(chr(10))[0]}"


def _merged(mine: Trace, others: Sequence[Report], began_at: float, wall_seconds: float) -> Trace:
    """One trace of all processes, on the driver's clock."""
    spans = list(mine.spans)
    peak_bytes = dict(mine.peak_bytes)
    makespan = mine.makespan_seconds if mine.emulated else wall_seconds
    for report in others:
        if report.trace is None:
            continue
        shift = 0.0 if mine.emulated else report.began_at - began_at
        spans += [span if span.phase == "setup" else span.shifted(shift) for span in report.trace.spans]
        for memory, n_bytes in report.trace.peak_bytes.items():
            peak_bytes[memory] = max(n_bytes, peak_bytes.get(memory, 0.0))
        if mine.emulated:
            makespan = max(makespan, report.trace.makespan_seconds)
    spans.sort(key=lambda span: (span.start_seconds, span.end_seconds, span.lane, span.name))
    return replace(mine, spans=tuple(spans), makespan_seconds=makespan, peak_bytes=peak_bytes)
