"""The loop that runs one lane: the same code in a thread of this process and in another process."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from queue import SimpleQueue
from time import perf_counter, time

import torch

from hetsched.errors import ExecutionError, TaskFailedError
from hetsched.execute.backends.backend import Lane, Ready
from hetsched.execute.ledger import Ledger
from hetsched.execute.mail import Letter, Mail
from hetsched.execute.steps import Step, Steps
from hetsched.graph.values import describe


class Stopped(BaseException):
    """Another lane failed, or the user interrupted: stop at this task boundary."""


_NOBODY_ELSE: list[None] = []


class Run:
    """What the lanes of one run share: values by cell, latches, and whether to stop."""

    def __init__(self, steps: Steps, ledgers: Mapping[str, Ledger], mail: Mail, seed: int, debug: bool) -> None:
        self.cells = steps.cells
        self.values: list[object] = [None] * len(steps.cells)
        self.readies: list[Ready] = [None] * len(steps.cells)
        self.latches: list[SimpleQueue[None]] = [SimpleQueue() for _ in range(steps.n_latches)]
        self.sent_at: dict[int, float] = {}
        self.mail = mail
        self.ledgers = ledgers
        self.held: set[int] = set()
        self.seed = seed
        self.debug = debug
        self.stopped = False
        self.started_at = perf_counter()
        self.began_at = time()
        # lists to pop from, as popping is atomic and counting is not; most cells need none
        self._countdown = {i: [None] * (cell.n_users - 1) for i, cell in enumerate(steps.cells) if cell.n_users > 1}
        self._unannounced = {i: [None] * cell.n_before for i, cell in enumerate(steps.cells) if cell.n_before}

    def stop(self) -> None:
        """Make every lane stop at its next task boundary, also those that wait."""
        self.stopped = True
        for latch in self.latches:
            latch.put(None)
        self.mail.stop()

    def store(self, cell: int, value: object, ready: Ready) -> None:
        """A value has arrived in its cell."""
        ledger = self.ledgers.get(self.cells[cell].memory)
        if ledger is not None:
            ledger.hold(value, self.cells[cell].value)
            self.held.add(cell)
        self.readies[cell] = ready
        self.values[cell] = value

    def release(self, cell: int) -> None:
        """One lane is done with a cell; the last one gives it up."""
        try:
            self._countdown.get(cell, _NOBODY_ELSE).pop()
        except IndexError:
            ledger = self.ledgers.get(self.cells[cell].memory)
            if ledger is not None:
                ledger.drop(self.values[cell])
                self.held.discard(cell)
            self.values[cell] = None
            self._announce(cell)

    def _announce(self, cell: int) -> None:
        """Tell those that wait for room, once all that the plan frees before this cell has been given up as well."""
        given_up = [cell]
        while given_up:
            cell = given_up.pop()
            try:
                self._unannounced.get(cell, _NOBODY_ELSE).pop()
            except IndexError:
                given_up += self.cells[cell].followers
                for latch in self.cells[cell].freed_signals:
                    self.latches[latch].put(None)


def run_lane(lane: Lane, steps: Sequence[Step], run: Run) -> None:
    """Execute a lane's steps in order; a step that another lane is waiting for is announced by its latches.

    Raises:
        Stopped: the run was stopped by another lane.
        TaskFailedError: an op raised.
        OutOfMemoryError: a memory overflowed.
    """
    latches, values, readies = run.latches, run.values, run.readies
    short = lane.calls_directly and not (run.ledgers or run.debug)
    for step in steps:
        for latch in step.waits:
            latches[latch].get()
        if run.stopped:
            raise Stopped
        if short and step.is_plain and (not step.awaits or all(readies[cell] is None for cell in step.awaits)):
            try:
                values[step.writes[0][0]] = step.call(*[values[cell] for cell in step.args])
            except (Exception, SystemExit) as error:
                raise _failure(step, run, error) from error
            for cell in step.drops:
                values[cell] = None
        else:
            _execute(lane, step, run)
        for latch in step.signals:
            latches[latch].put(None)


def _execute(lane: Lane, step: Step, run: Run) -> None:
    """The long way, which leaves nothing out."""
    result, ready = _HALVES[step.half](lane, step, run)
    for cell, slot in step.writes:
        run.store(cell, result if slot is None else _slot(result, slot, step, run), ready)
    for cell in step.releases:
        run.release(cell)


def _call(lane: Lane, step: Step, run: Run) -> tuple[object, Ready]:
    values, readies = run.values, run.readies
    arrived = [readies[cell] for cell in step.awaits if readies[cell] is not None]
    args = [values[cell] for cell in step.args]
    kwargs = {name: values[cell] for name, cell in step.kwargs.items()}
    if step.generator is not None:
        kwargs["generator"] = step.generator(run.seed)
    versions = _versions(step, run) if run.debug else ()
    try:
        result = lane.execute(step.call, args, kwargs, step.work, arrived)
        if run.debug and _versions(step, run) != versions:
            raise RuntimeError("the op changed an operand in place; make it return a new tensor")
    except (Exception, SystemExit) as error:
        raise _failure(step, run, error) from error
    return result


def _post(lane: Lane, step: Step, run: Run) -> tuple[object, Ready]:
    """The sender's half of a copy between processes."""
    (cell,) = step.reads
    ready = run.readies[cell]
    lane.settle(ready)
    assert step.copy is not None, "only copies have halves"
    letter = Letter(run.values[cell], ready if isinstance(ready, float) else None, time())
    run.mail.post(step.position, step.copy, letter)
    return None, None


def _take(lane: Lane, step: Step, run: Run) -> tuple[object, Ready]:
    """The receiver's half."""
    try:
        letter = run.mail.take(step.position)
    except Exception as error:
        raise ExecutionError(f"value {step.work.name!r} came by {step.lane} and cannot be unpacked: {error}") from error
    if letter is None:
        raise Stopped
    if letter.ready is None:
        run.sent_at[step.position] = letter.sent_at
    return lane.execute(step.call, [letter.value], {}, step.work, [] if letter.ready is None else [letter.ready])


_HALVES = {"": _call, "post": _post, "take": _take}


def _slot(result: object, slot: int, step: Step, run: Run) -> object:
    try:
        return result[slot]  # type: ignore[index]  # that it can be indexed is what is found out here
    except (TypeError, IndexError, KeyError):
        cause = TypeError(f"the op returned {describe(result)}, which has no slot {slot}")
        raise _failure(step, run, cause) from cause


def _failure(step: Step, run: Run, cause: BaseException) -> TaskFailedError:
    operands = tuple(describe(run.values[cell]) for cell in (*step.args, *step.kwargs.values()))
    op = step.task.op.name if step.task is not None else "copy"
    return TaskFailedError(step.work.name, op, step.lane, operands, cause)


def _versions(step: Step, run: Run) -> tuple[int, ...]:
    return tuple(value._version for cell in step.reads if isinstance(value := run.values[cell], torch.Tensor))
