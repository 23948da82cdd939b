"""How the driver hears of its actors: one answer at the end of a call, or reports that stream while it runs."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from queue import Empty, SimpleQueue
from typing import Any, Protocol

import ray
from ray.exceptions import RayError, RayTaskError

from hetsched.errors import ExecutionError, HetschedError, WorkerLostError
from hetsched.execute.process import ProcessPart
from hetsched.execute.ray_cluster.actor import Report
from hetsched.execute.ray_cluster.mailbox import Box

End = tuple[str, Report | BaseException]
"""A process, and its last report or what became of it."""


class Ends(Protocol):
    """The ends of calls that were made to several actors, as they come."""

    def next(self, timeout: float | None) -> End | None:
        """The next process to end; None when none does in time."""


class Calls:
    """Calls that answer once; letters come with the answer. Needs no thread."""

    def __init__(self, calls: Mapping[str, Any], box: Box) -> None:
        self._process_of = {ref: process for process, ref in calls.items()}
        self._box = box

    def next(self, timeout: float | None) -> End | None:
        ready, _ = ray.wait(list(self._process_of), num_returns=1, timeout=timeout)
        if not ready:
            return None
        process = self._process_of.pop(ready[0])
        try:
            report = ray.get(ready[0])
        except RayError as error:
            return process, _failure(process, error)
        for position, letter in report.letters:
            self._box.put(position, letter)
        return process, report.error or report


class Streams:
    """Calls that report while they run, each heard by a thread; the driver takes part meanwhile."""

    def __init__(self, streams: Mapping[str, Any], box: Box, part: ProcessPart) -> None:
        self._box, self._part = box, part
        self._ended: SimpleQueue[End] = SimpleQueue()
        for process, stream in streams.items():
            hear = threading.Thread(
                target=self._hear, args=(process, stream), name=f"hetsched hears {process}", daemon=True
            )
            hear.start()

    def next(self, timeout: float | None) -> End | None:
        try:
            return self._ended.get(timeout=timeout)
        except Empty:
            return None

    def _hear(self, process: str, stream: Any) -> None:
        end: Report | BaseException = WorkerLostError(f"process {process!r} ended without a report")
        try:
            for ref in stream:
                report = ray.get(ref)
                for position, letter in report.letters:
                    self._box.put(position, letter)
                end = report.error or report
        except RayError as error:
            end = _failure(process, error)
        if isinstance(end, BaseException):
            self._box.stop()
            self._part.stop()
        self._ended.put((process, end))


def _failure(process: str, error: RayError) -> HetschedError:
    if isinstance(error, RayTaskError):  # the process is well, its answer is not
        failed = ExecutionError(f"process {process!r} could not answer: {_told(error)}")
        failed.__cause__ = error
        return failed
    lost = WorkerLostError(f"process {process!r} was lost: {_told(error)}")
    lost.__cause__ = error
    return lost


def answer_of(refs: Any) -> Any:
    """What calls to actors or tasks give.

    Raises:
        HetschedError: the error that they raised; other errors as ExecutionError, a lost process as WorkerLostError.
    """
    try:
        return ray.get(refs)
    except RayTaskError as error:
        cause = error.cause
        raise cause if isinstance(cause, HetschedError) else ExecutionError(_told(error)) from error
    except RayError as error:
        raise WorkerLostError(f"a process was lost: {_told(error)}") from error


def _told(error: RayError) -> str:
    """In one line, and in the words of what happened there rather than of Ray."""
    real = error.cause if isinstance(error, RayTaskError) and error.cause is not None else error
    line = f"{type(real).__name__}: {str(real).strip().partition(chr(10))[0]}"
    if isinstance(real, ModuleNotFoundError):
        line += "; install it on the nodes, or send it along with ray.cloudpickle.register_pickle_by_value(module)"
    return line
