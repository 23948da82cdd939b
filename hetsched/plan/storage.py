"""How many bytes each memory holds while a plan's instructions start and free, views of one storage counted once."""

from __future__ import annotations

from dataclasses import dataclass

from hetsched.plan.plan import Compute, Copy, Free, Place, Plan
from hetsched.schedule.problem import Problem


@dataclass(slots=True)
class _Storage:
    n_bytes: float
    n_holds: int = 1


class Storages:
    """Bytes held by memory, from the start of the run on, for instructions that are carried out in any order.

    A value that was copied in (or was there from the start) has a storage of its own; one that was computed shares the
    storage of the value it is a view of, where that is held. A storage is released when the last value on it is freed.

    Attributes:
        held_bytes: now, by memory name.
        peak_bytes: the most so far, by memory name.
    """

    def __init__(self, plan: Plan, problem: Problem) -> None:
        names = problem.value_names
        self._value_bytes: dict[str, float] = dict(zip(names, problem.value_bytes.tolist(), strict=True))
        self._viewed: dict[str, str] = {
            names[view]: names[base] for view, base in enumerate(problem.alias.tolist()) if base >= 0
        }
        self._static_bytes: dict[str, float] = {
            task: n_bytes
            for task, n_bytes in zip(problem.task_names, problem.static_bytes.tolist(), strict=True)
            if n_bytes > 0
        }
        self._static_held: set[Place] = set()
        self._storage_at: dict[Place, _Storage] = {}
        self.held_bytes = dict.fromkeys(problem.memory_names, 0.0)
        for value, memory in plan.inputs + plan.constants:
            self._arrive(value, memory)
        self.peak_bytes = dict(self.held_bytes)

    def start(self, instruction: Compute | Copy) -> tuple[str, float]:
        """Take room for what an instruction writes; returns the memory and the bytes that were taken."""
        if isinstance(instruction, Copy):
            memory = instruction.target
            taken = self._arrive(instruction.value, memory)
        else:
            memory = instruction.memory
            taken = sum(self._compute(value, memory) for value in instruction.writes)
            taken += self._static(instruction.task, memory)
        self.peak_bytes[memory] = max(self.peak_bytes[memory], self.held_bytes[memory])
        return memory, taken

    def free(self, instruction: Free) -> float:
        """Give a value up; returns the bytes released, 0 while another value lives on its storage."""
        storage = self._storage_at.pop((instruction.value, instruction.memory))
        storage.n_holds -= 1
        if storage.n_holds:
            return 0.0
        self.held_bytes[instruction.memory] -= storage.n_bytes
        return storage.n_bytes

    def _arrive(self, value: str, memory: str) -> float:
        if (value, memory) in self._storage_at:
            return 0.0
        storage = _Storage(self._value_bytes[value])
        self._storage_at[value, memory] = storage
        self.held_bytes[memory] += storage.n_bytes
        return storage.n_bytes

    def _compute(self, value: str, memory: str) -> float:
        base = self._storage_at.get((self._viewed.get(value, value), memory))
        if base is None or (value, memory) in self._storage_at:
            return self._arrive(value, memory)
        self._storage_at[value, memory] = base
        base.n_holds += 1
        return 0.0

    def _static(self, task: str, memory: str) -> float:
        n_bytes = self._static_bytes.get(task, 0.0)
        if not n_bytes or (task, memory) in self._static_held:
            return 0.0
        self._static_held.add((task, memory))
        self.held_bytes[memory] += n_bytes
        return n_bytes
