"""Plan: what every device and link does, in order and without times; plain data that holds names, never handles."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from hetsched.errors import PlanError


@dataclass(frozen=True, slots=True)
class Compute:
    """Run a task on a device: reads values from, and writes values to, the device's memory."""

    task: str
    device: str
    memory: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Copy:
    """Copy a value between two memories over links that are busy meanwhile."""

    value: str
    source: str
    target: str
    links: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Free:
    """Give up a memory's hold on a value once every earlier use of it there has ended; never blocks its lane."""

    value: str
    memory: str


Instruction = Compute | Copy | Free

Place = tuple[str, str]
"""A value in a memory."""


@dataclass(frozen=True, slots=True)
class Plan:
    """``setup`` moves once what stays; ``body`` runs every time.

    The position of an instruction in ``body`` is its place in one global order that extends the DAG; each lane is the
    slice of that order which belongs to one device or one link, so no order of lanes can deadlock.

    Attributes:
        platform: name of the platform.
        setup: copies of persistent values.
        body: all instructions of a run in global order.
        after: for a body position, earlier body positions that must have ended first besides what the data says
            (room in a memory, a shared link).
        inputs: (value, memory) pairs that a run is given.
        constants: (value, memory) pairs that are there before setup.
        outputs: (value, memory) pairs that a run returns.

    Raises:
        PlanError: ``after`` has an entry for a position that the body does not have.
    """

    platform: str
    setup: tuple[Copy, ...]
    body: tuple[Instruction, ...]
    inputs: tuple[Place, ...] = ()
    constants: tuple[Place, ...] = ()
    outputs: tuple[Place, ...] = ()
    after: Mapping[int, tuple[int, ...]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        strangers = [position for position in self.after if not 0 <= position < len(self.body)]
        if strangers:
            raise PlanError(
                f"plan.after has an entry for body[{min(strangers)}], and the body has {len(self.body)} instructions"
            )

    def __str__(self) -> str:
        from hetsched.plan.text import format_plan

        return format_plan(self)

    @classmethod
    def parse(cls, text: str) -> Plan:
        """Read what ``str(plan)`` printed.

        Raises:
            PlanError: the text is malformed; names the line.
        """
        from hetsched.plan.text import parse_plan

        return parse_plan(text)


def lane_of(instruction: Compute | Copy) -> str:
    """The lane that runs an instruction: a device's name, or ``source->target`` for copies."""
    if isinstance(instruction, Compute):
        return instruction.device
    return f"{instruction.source}->{instruction.target}"


def reads_of(instruction: Compute | Copy) -> tuple[Place, ...]:
    """What must be there before an instruction starts."""
    if isinstance(instruction, Compute):
        return tuple((value, instruction.memory) for value in instruction.reads)
    return ((instruction.value, instruction.source),)


def writes_of(instruction: Compute | Copy) -> tuple[Place, ...]:
    """What is there once an instruction has ended."""
    if isinstance(instruction, Compute):
        return tuple((value, instruction.memory) for value in instruction.writes)
    return ((instruction.value, instruction.target),)


def describe(instruction: Instruction) -> str:
    """An instruction in the words of an error message."""
    if isinstance(instruction, Compute):
        return f"compute {instruction.task!r} on {instruction.device}"
    if isinstance(instruction, Copy):
        return f"copy {instruction.value!r} {instruction.source} -> {instruction.target}"
    return f"free {instruction.value!r} in {instruction.memory}"
