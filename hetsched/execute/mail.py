"""Mail: how a value goes from a process to another while a plan runs."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from hetsched.errors import ExecutionError
from hetsched.plan.plan import Copy


@dataclass(frozen=True, slots=True)
class Letter:
    """A value on its way.

    Attributes:
        value: compact, on the host.
        ready: emulated second at which it was there to be sent; None on real devices.
        sent_at: `time.time` of the sender.
    """

    value: object
    ready: float | None
    sent_at: float


class Mail(Protocol):
    """One process's post office for one run; letters are known by the position of their Copy in the plan."""

    def post(self, position: int, copy: Copy, letter: Letter) -> None:
        """Send a value to the process that owns the copy's target; may wait for letters before it to be taken."""

    def take(self, position: int) -> Letter | None:
        """Wait for a value; None when the run was stopped meanwhile."""

    def stop(self) -> None:
        """End every `take` that waits, and all later ones."""


class NoMail:
    """For a plan that stays in one process."""

    def post(self, position: int, copy: Copy, letter: Letter) -> None:
        """Refused."""
        raise ExecutionError(f"nothing takes {copy.value!r} to {copy.target!r}: this executor has one process")

    def take(self, position: int) -> Letter | None:
        """Refused."""
        raise ExecutionError("nothing brings values here: this executor has one process")

    def stop(self) -> None:
        """Nobody waits."""
