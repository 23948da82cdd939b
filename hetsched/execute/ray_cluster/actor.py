"""The actor that runs one Process of the platform: its lanes are those of the local executor, unchanged."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from queue import SimpleQueue
from time import time
from typing import Any

import ray
import torch
from ray import cloudpickle

from hetsched.errors import ExecutionError
from hetsched.execute.ambient import Ambient
from hetsched.execute.backends.backend import compact, map_tensors
from hetsched.execute.mail import Letter
from hetsched.execute.process import ProcessPart
from hetsched.execute.ray_cluster.mailbox import Box, Boxes, Epoch
from hetsched.execute.ray_cluster.parcels import Kept, pack, sendable_error, unpack
from hetsched.execute.worker import Stopped
from hetsched.plan.plan import Compute, Copy, Plan
from hetsched.platform.cluster import DRIVER
from hetsched.trace.trace import Trace

_WINDOW = 16
"""Letters that may be on their way from a process before it waits for the oldest to arrive."""

SETUP_RUN = 0
"""Number of the epoch in which a program's constants are moved; its runs count from 1."""


@dataclass(frozen=True, slots=True)
class Report:
    """What an actor tells the driver of a run: letters for the driver, and in the end a trace or an error."""

    letters: tuple[tuple[int, Letter], ...] = ()
    trace: Trace | None = None
    began_at: float = 0.0
    error: BaseException | None = None
    was_stopped: bool = False


@dataclass(frozen=True, slots=True)
class Ways:
    """Who gets what: the process of each memory, the actor of each process, the outputs that stay on the cluster."""

    owners: Mapping[str, str]
    peers: Mapping[str, Any]
    kept: frozenset[str]


Letters = Sequence[tuple[int, Letter]]
"""Letters by position."""


class ActorMail:
    """An actor's mail in one epoch: to other actors by their ``deliver``, to the driver by what the run yields."""

    def __init__(self, epoch: Epoch, box: Box, ways: Ways, outbox: SimpleQueue[tuple[int, Letter] | None]) -> None:
        self._epoch, self._box, self._outbox = epoch, box, outbox
        self._owners, self._peers, self._kept = ways.owners, ways.peers, ways.kept
        self._window: deque[Any] = deque()
        self._lock = threading.Lock()

    def post(self, position: int, copy: Copy, letter: Letter) -> None:
        process = self._owners[copy.target]
        if process != DRIVER:
            send(self._peers[process], self._epoch, position, letter, copy, self._window, self._lock)
        elif copy.value in self._kept:
            self._outbox.put((position, _kept(letter, copy)))
        else:
            self._outbox.put((position, packed(letter, copy)))

    def take(self, position: int) -> Letter | None:
        letter = self._box.take(position)
        return None if letter is None else replace(letter, value=unpack(letter.value))

    def stop(self) -> None:
        self._box.stop()


def packed(letter: Letter, copy: Copy) -> Letter:
    """The letter in a form that travels.

    Raises:
        ExecutionError: the value cannot be pickled.
    """
    try:
        return replace(letter, value=pack(letter.value))
    except Exception as error:
        raise ExecutionError(
            f"value {copy.value!r} cannot be sent from {copy.source} to {copy.target}: {error}; "
            "keep it where it is with keep_on=, or let its op give something that can be pickled"
        ) from error


def _kept(letter: Letter, copy: Copy) -> Letter:
    packed(letter, copy)  # says what is wrong where Ray would say it in many lines
    return replace(letter, value=Kept(ray.put(map_tensors(letter.value, compact))))


def send(
    peer: Any, epoch: Epoch, position: int, letter: Letter, copy: Copy, window: deque[Any], lock: threading.Lock
) -> None:
    """Deliver a letter, keeping a window of those on their way.

    Raises:
        ExecutionError: the value cannot be pickled.
    """
    ref = peer.deliver.remote(epoch, position, packed(letter, copy))
    with lock:
        window.append(ref)
        oldest = window.popleft() if len(window) > _WINDOW else None
    if oldest is not None:
        ray.wait([oldest])


Work = Callable[[ActorMail], Trace | None]
"""What an epoch is about."""


class ProcessActor:
    """One process; holds the parts of all programs of its session that touch its memories."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._parts: dict[int, ProcessPart] = {}
        self._ways: dict[int, Ways] = {}
        self._ambients: dict[int, Ambient] = {}
        self._boxes = Boxes()
        self._epoch: Epoch | None = None

    def ping(self) -> str:
        """Answer, also while a program runs."""
        return self._name

    def load(self, program: int, job: bytes, memories: tuple[str, ...], peers: Mapping[str, Any]) -> None:
        """Prepare this process's part of a program; constants come by mail."""
        graph, plan, platform, settings, ambient, owners = cloudpickle.loads(job)
        self._parts[program] = ProcessPart(plan, graph, platform, settings, ambient, memories)
        self._ambients[program] = ambient
        outputs = frozenset(value for value, _ in plan.outputs)
        kept = outputs - read_in_driver(plan, owners) if settings.outputs_as == "refs" else frozenset()
        self._ways[program] = Ways(owners, peers, kept)

    def set_up(self, program: int) -> Report:
        """Take constants to their places; the driver and other processes do so at the same time."""

        def work(mail: ActorMail) -> None:
            self._parts[program].set_up({}, mail)

        return self._at_once((program, SETUP_RUN), work, ())

    def run(self, program: int, run: int, seed: int, traced: bool, letters: Letters) -> Report:
        """Run the body once; what is for the driver comes with the report."""
        return self._at_once((program, run), self._body(program, seed, traced), letters)

    def stream(self, program: int, run: int, seed: int, traced: bool, letters: Letters) -> Iterator[Report]:
        """Run the body once, and yield what is for the driver as it comes."""
        outbox: SimpleQueue[tuple[int, Letter] | None] = SimpleQueue()
        ended: list[Report] = []

        def serve() -> None:
            ended.append(self._work((program, run), self._body(program, seed, traced), letters, outbox))
            outbox.put(None)

        worker = threading.Thread(target=serve, name=f"hetsched {self._name}", daemon=True)
        worker.start()
        while (letter := outbox.get()) is not None:
            yield Report((letter,))
        worker.join()
        yield ended[0]

    def _body(self, program: int, seed: int, traced: bool) -> Work:
        return lambda mail: self._parts[program].run({}, mail, seed=seed, traced=traced).trace

    def _at_once(self, epoch: Epoch, work: Work, letters: Letters) -> Report:
        outbox: SimpleQueue[tuple[int, Letter] | None] = SimpleQueue()
        report = self._work(epoch, work, letters, outbox)
        outbox.put(None)
        return replace(report, letters=tuple(iter(outbox.get, None)))

    def _work(self, epoch: Epoch, work: Work, letters: Letters, outbox: SimpleQueue[Any]) -> Report:
        box = self._boxes.box(epoch)
        for position, letter in letters:
            box.put(position, letter)
        mail = ActorMail(epoch, box, self._ways[epoch[0]], outbox)
        began_at = time()
        torch.set_default_dtype(self._ambients[epoch[0]].default_dtype)
        self._epoch = epoch
        try:
            if box.stopped:
                return Report(was_stopped=True)
            trace = work(mail)
        except Stopped:
            return Report(was_stopped=True)
        except BaseException as error:  # noqa: BLE001  (reported to the driver, which raises it)
            return Report(began_at=began_at, error=sendable_error(error))
        finally:
            self._epoch = None
            self._boxes.end(epoch)
        return Report(trace=trace, began_at=began_at)

    def deliver(self, epoch: Epoch, position: int, letter: Letter) -> None:
        """A letter has come; too late for its epoch it is dropped."""
        self._boxes.box(epoch).put(position, letter)

    def stop(self, epoch: Epoch) -> None:
        """Make an epoch stop at its lanes' next task boundaries; later ones go on."""
        self._boxes.box(epoch).stop()
        part = self._parts.get(epoch[0])
        if part is not None and self._epoch == epoch:
            part.stop()

    def unload(self, program: int) -> None:
        """Forget a program."""
        part = self._parts.pop(program, None)
        self._ways.pop(program, None)
        self._ambients.pop(program, None)
        if part is not None:
            part.close()


def read_in_driver(plan: Plan, owners: Mapping[str, str]) -> frozenset[str]:
    """Values that tasks in the driver read."""
    return frozenset(
        value
        for instruction in plan.body
        if isinstance(instruction, Compute) and owners[instruction.memory] == DRIVER
        for value in instruction.reads
    )


def actor_class() -> Any:
    """`ProcessActor` as Ray sees it: never restarted, mail and control answered while a program runs."""
    methods = {"deliver": "io", "ping": "ctl", "stop": "ctl"}
    for method, group in methods.items():
        setattr(ProcessActor, method, ray.method(concurrency_group=group)(getattr(ProcessActor, method)))
    return ray.remote(max_restarts=0, max_task_retries=0, concurrency_groups={"io": 2, "ctl": 1})(ProcessActor)
