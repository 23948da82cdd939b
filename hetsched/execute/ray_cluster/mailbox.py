"""Mailboxes: where letters wait in a process until a lane takes them, a box for each epoch (one run of one program)."""

from __future__ import annotations

import threading
from collections import defaultdict
from queue import Empty, SimpleQueue

from hetsched.execute.mail import Letter

Epoch = tuple[int, int]
"""Program and run; letters of an epoch that is over are dropped."""


class Box:
    """Letters of one epoch by position; one taker each."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._letters: defaultdict[int, SimpleQueue[Letter | None]] = defaultdict(SimpleQueue)
        self._stopped = False

    def _queue(self, position: int) -> SimpleQueue[Letter | None]:
        with self._lock:
            return self._letters[position]

    def put(self, position: int, letter: Letter) -> None:
        """A letter has arrived."""
        self._queue(position).put(letter)

    def take(self, position: int) -> Letter | None:
        """Wait for a letter; None once the epoch is stopped."""
        queue = self._queue(position)
        if self._stopped:
            try:
                return queue.get_nowait()
            except Empty:
                return None
        return queue.get()

    @property
    def stopped(self) -> bool:
        """Whether the epoch was stopped."""
        return self._stopped

    def stop(self) -> None:
        """End all waiting, now and later."""
        with self._lock:
            self._stopped = True
            for queue in self._letters.values():
                queue.put(None)


class Boxes:
    """All boxes of a process."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._boxes: dict[Epoch, Box] = {}
        self._over: dict[int, int] = {}

    def box(self, epoch: Epoch) -> Box:
        """The box of an epoch; letters for an epoch that is over get one that nobody will look into."""
        program, run = epoch
        with self._lock:
            if run <= self._over.get(program, -1):
                return Box()
            return self._boxes.setdefault(epoch, Box())

    def end(self, epoch: Epoch) -> None:
        """An epoch and all before it of the same program are over."""
        program, run = epoch
        with self._lock:
            self._over[program] = max(run, self._over.get(program, -1))
            for old in [e for e in self._boxes if e[0] == program and e[1] <= run]:
                del self._boxes[old]
