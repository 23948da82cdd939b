"""One process's part of a plan: every lane is a thread, the caller's thread being one of them."""

from __future__ import annotations

import ctypes
import logging
import threading
from collections.abc import Collection, Mapping, Sequence
from queue import Empty, SimpleQueue
from time import perf_counter, time
from types import MappingProxyType

from hetsched.errors import ExecutionError
from hetsched.execute.ambient import Ambient, intra_op_threads_restored
from hetsched.execute.backends import BACKENDS
from hetsched.execute.backends.backend import Backend, Lane, SpanTimes
from hetsched.execute.backends.cpu import HostLane
from hetsched.execute.backends.emulated import emulated_copy_lane
from hetsched.execute.executor import Outcome, RunSettings
from hetsched.execute.ledger import Ledger
from hetsched.execute.mail import Mail
from hetsched.execute.steps import Step, Steps, compile_plan, copying_device
from hetsched.execute.turns import inside_a_run
from hetsched.execute.worker import Run, Stopped, run_lane
from hetsched.graph.frozen import FrozenGraph
from hetsched.plan.plan import Copy, Plan
from hetsched.platform.platform import Device, Platform
from hetsched.trace.trace import Phase, Span, Trace

log = logging.getLogger(__name__)

_SHORTEST_WAIT_SECONDS = 5e-6
"""Gaps on a lane below this are the price of asking, not of waiting."""


class ProcessPart:
    """The part of a plan that happens in this process: its lanes, and the threads that drive them.

    Threads start with the first run and are parked in between; the caller's thread drives the busiest lane itself.
    """

    def __init__(
        self,
        plan: Plan,
        graph: FrozenGraph,
        platform: Platform,
        settings: RunSettings,
        ambient: Ambient,
        memories: Collection[str],
    ) -> None:
        self._plan, self._platform, self._settings, self._ambient = plan, platform, settings, ambient
        self._backends = {
            device.name: _backend_of(device, platform, settings)
            for device in platform.devices
            if device.memory in memories
        }
        self._steps = compile_plan(plan, graph, platform, self._backends, memories)
        self._lanes = self._make_lanes()
        self._callers_lane = _busiest_lane(self._steps)
        self._threads: dict[str, _LaneThread] = {}
        self._ledgers = _ledgers_of(platform)
        self._n_runs = 0
        self._current: Run | None = None
        self._setup_spans: list[Span] = []
        self._setup_values: dict[int, object] = {}

    def _make_lanes(self) -> dict[str, Lane]:
        lanes: dict[str, Lane] = {}
        for name, steps in self._steps.lanes.items():
            copy = steps[0].copy
            lanes[name] = self._backends[name].compute_lane() if copy is None else self._copy_lane(copy, steps[0].half)
        return lanes

    def _copy_lane(self, copy: Copy, half: str) -> Lane:
        memories = {memory.name: memory for memory in self._platform.memories}
        links = [link for link in self._platform.links if link.name in copy.links]
        if half:
            emulated = self._platform.emulated
            return emulated_copy_lane(self._platform, links, self._settings.time_scale) if emulated else HostLane(1)
        backend = self._backends[copying_device(self._platform, copy.source, copy.target).name]
        return backend.copy_lane(memories[copy.source], memories[copy.target], links)

    def set_up(self, constants: Mapping[str, object], mail: Mail) -> None:
        """Do what is done once: constants, given by value name, to their places."""
        run = self._new_run(mail, seed=0)
        for value, memory in self._plan.constants:
            if (value, memory) in self._steps.sources:
                run.store(self._steps.sources[value, memory], constants[value], None)
        lanes = {s.lane: self._copy_lane(s.copy, s.half) for s in self._steps.setup if s.copy is not None}
        for lane in lanes.values():
            lane.begin(run.started_at, 0, timed=True)
        with intra_op_threads_restored(), self._ambient.scope():
            for step in self._steps.setup:
                with lanes[step.lane].scope():
                    run_lane(lanes[step.lane], (step,), run)
        self._setup_spans = []
        for name, lane in lanes.items():
            steps = [step for step in self._steps.setup if step.lane == name]
            self._setup_spans += _spans(steps, lane.end(), "setup")
        kept = {cell for step in self._steps.setup for cell, _ in step.writes}
        kept |= {self._steps.sources[place] for place in self._plan.constants if place in self._steps.sources}
        self._setup_values = {cell: run.values[cell] for cell in kept}

    def _new_run(self, mail: Mail, seed: int) -> Run:
        self._current = Run(self._steps, self._ledgers, mail, seed, self._settings.debug)
        return self._current

    def stop(self) -> None:
        """Make the present run, if there is one, stop at its lanes' next task boundaries; any thread may ask for it."""
        run = self._current
        if run is not None:
            run.stop()

    def run(self, inputs: Mapping[str, object], mail: Mail, *, seed: int, traced: bool) -> Outcome:
        """Run the body once; see `Loaded.run`."""
        run = self._new_run(mail, seed)
        for cell, value in self._setup_values.items():
            run.values[cell] = value
        self._n_runs += 1
        try:
            for value, memory in self._plan.inputs:
                if (value, memory) in self._steps.sources:
                    run.store(self._steps.sources[value, memory], inputs[value], None)
            self._drive(run, traced)
            return self._outcome(run, traced)
        finally:
            self._forget(run)

    def _drive(self, run: Run, traced: bool) -> None:
        """Run all lanes to their end, this thread driving one of them.

        Whatever ends the run early, an error or Ctrl-C, stops the other lanes at their next task boundary.
        """
        ended: SimpleQueue[_Ended] = SimpleQueue()
        pending: set[str] = set()
        mine = self._callers_lane
        try:
            with intra_op_threads_restored():
                for name in self._lanes.keys() - self._threads.keys() - {mine}:
                    self._threads[name] = _LaneThread(name)
                run.started_at, run.began_at = perf_counter(), time()
                for lane in self._lanes.values():
                    lane.begin(run.started_at, self._n_runs, traced)
                for name, thread in self._threads.items():
                    pending.add(name)
                    thread.submit(self._ambient, self._lanes[name], self._steps.lanes[name], run, ended)
                if mine:
                    _drive_lane(self._ambient, self._lanes[mine], self._steps.lanes[mine], run)
                while pending:
                    name, error = ended.get()
                    pending.discard(name)
                    if error is not None:
                        raise error
        except BaseException as error:
            run.stop()
            cause = self._end_threads(pending, ended, error)
            if isinstance(error, Stopped) and cause is not None:
                raise cause from cause.__cause__
            raise

    def _end_threads(self, pending: set[str], ended: SimpleQueue[_Ended], error: BaseException) -> BaseException | None:
        """Let the other lanes end within the grace period, abandon the rest; gives their first error.

        Half of the time is for the tasks to end by themselves; then Python code is made to stop where it is. A native
        call can be left behind only.
        """
        first: BaseException | None = None
        half = self._settings.grace_seconds / 2
        threads, self._threads = self._threads, {}
        self._lanes = self._make_lanes()
        for is_last_half in (False, True):
            deadline = perf_counter() + half
            try:
                while pending:
                    name, other = ended.get(timeout=max(0.0, deadline - perf_counter()))
                    pending.discard(name)
                    first = first or (None if isinstance(other, Stopped) else other)
            except Empty:
                for name in sorted(pending):
                    if not is_last_half:
                        threads[name].interrupt()
                        continue
                    log.warning("worker %s did not stop within %.1f s: abandoned", name, 2 * half)
                    (first or error).add_note(f"worker {name!r} is still inside a call and was abandoned")
        for name, thread in threads.items():
            thread.end(join=name not in pending)
        return first

    def _outcome(self, run: Run, traced: bool) -> Outcome:
        values: dict[str, object] = {}
        for name, cell in self._steps.outputs.items():
            lane = self._lanes.get(self._steps.cells[cell].lane)
            if lane is not None:
                lane.settle(run.readies[cell])
            values[name] = run.values[cell]
        wall_seconds = perf_counter() - run.started_at
        emulated = self._platform.emulated
        sent = {} if emulated else {position: at - run.began_at for position, at in run.sent_at.items()}
        spans = [
            span
            for name, lane in self._lanes.items()
            for span in _spans(self._steps.lanes[name], lane.end(), "body", sent)
        ]
        trace = Trace(
            spans=tuple(sorted((*self._setup_spans, *spans), key=_span_order)) if traced else (),
            makespan_seconds=max((span.end_seconds for span in spans), default=0.0) if emulated else wall_seconds,
            platform=self._platform.name,
            emulated=emulated,
            time_scale=self._settings.time_scale if emulated else 1.0,
            peak_bytes={name: float(ledger.peak_bytes) for name, ledger in self._ledgers.items()},
        )
        return Outcome(values, trace)

    def _forget(self, run: Run) -> None:
        """Stop counting what this run still holds; constants stay."""
        self._current = None
        if not self._ledgers:
            return
        for cell, value in enumerate(run.values):
            ledger = self._ledgers.get(self._steps.cells[cell].memory)
            if ledger is not None and cell in run.held and cell not in self._setup_values:
                ledger.drop(value)

    def close(self) -> None:
        """Stop the threads and give back what the backends hold; closing twice is fine."""
        for thread in self._threads.values():
            thread.end(join=True)
        self._threads = {}
        self._setup_values = {}
        for backend in self._backends.values():
            backend.close()


class _LaneThread:
    """A parked thread that drives one lane whenever it is given a run."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._inbox: SimpleQueue[tuple[Ambient, Lane, Sequence[Step], Run, SimpleQueue[_Ended]] | None] = SimpleQueue()
        self._thread = threading.Thread(target=self._loop, name=f"hetsched {name}", daemon=True)
        self._thread.start()

    def submit(self, ambient: Ambient, lane: Lane, steps: Sequence[Step], run: Run, ended: SimpleQueue[_Ended]) -> None:
        """Drive the lane through one run; its end, with an error or without, is put into ``ended``."""
        self._inbox.put((ambient, lane, steps, run, ended))

    def interrupt(self) -> None:
        """Raise `Stopped` in the Python code that the thread is in; a native call goes on until it returns."""
        ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(self._thread.ident or 0), ctypes.py_object(Stopped))

    def end(self, *, join: bool) -> None:
        """Let the thread end once it is parked; ``join`` waits for that."""
        self._inbox.put(None)
        if join:
            self._thread.join()

    def _loop(self) -> None:
        try:
            while (job := self._inbox.get()) is not None:
                ambient, lane, steps, run, ended = job
                try:
                    _drive_lane(ambient, lane, steps, run)
                except BaseException as error:  # noqa: BLE001  (handed to the caller's thread, which raises it)
                    ended.put((self._name, error))
                else:
                    ended.put((self._name, None))
                del job, ambient, lane, steps, run, ended  # a parked thread keeps nothing alive
        except Stopped:
            log.debug("worker %s was interrupted between two jobs", self._name)


_Ended = tuple[str, BaseException | None]


def _drive_lane(ambient: Ambient, lane: Lane, steps: Sequence[Step], run: Run) -> None:
    try:
        with inside_a_run(), ambient.scope(), lane.scope():
            run_lane(lane, steps, run)
    except BaseException:
        run.stop()
        raise


def _backend_of(device: Device, platform: Platform, settings: RunSettings) -> Backend:
    kind = "emulated" if platform.emulated else device.kind
    if kind not in BACKENDS:
        raise ExecutionError(
            f"device {device.name!r}: no backend drives kind {kind!r}; there are {', '.join(sorted(BACKENDS))}"
        )
    return BACKENDS[kind](device, platform, settings.time_scale)


def _ledgers_of(platform: Platform) -> dict[str, Ledger]:
    """Emulated memories are held to their capacity; real ones see to it themselves."""
    if not platform.emulated:
        return {}
    return {memory.name: Ledger(memory.name, memory.capacity_bytes) for memory in platform.memories}


def _busiest_lane(steps: Steps) -> str:
    """The device lane with the most steps, which the caller's thread drives; empty when nothing is computed."""
    compute = {name: len(lane) for name, lane in steps.lanes.items() if lane[0].task is not None}
    return max(compute, key=lambda name: (compute[name], name), default="")


def _spans(
    steps: Sequence[Step], times: Sequence[SpanTimes], phase: Phase, sent: Mapping[int, float] = MappingProxyType({})
) -> list[Span]:
    """Spans of a lane's executed steps, and of its waits: gaps before steps that needed another lane.

    A copy between processes begins when it was ``sent``, and is told of where it ends.
    """
    spans: list[Span] = []
    free_at = 0.0
    executed = [step for step in steps if step.half != "post"]
    for step, (start, end, overrun) in zip(executed, times, strict=False):
        start = min(sent.get(step.position, start), end)  # clocks of two hosts need not agree
        if step.waits and start - free_at > _SHORTEST_WAIT_SECONDS:
            spans.append(Span("wait", step.work.name, step.lane, free_at, start))
        if step.task is not None:
            spans.append(Span("compute", step.work.name, step.lane, start, end, step.task.op.name, 0.0, phase, overrun))
        else:
            spans.append(Span("copy", step.work.name, step.lane, start, end, "", step.n_bytes, phase, overrun))
        free_at = end
    return spans


def _span_order(span: Span) -> tuple[float, float, str, str]:
    return span.start_seconds, span.end_seconds, span.lane, span.name
