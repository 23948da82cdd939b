"""Everything on one device: what a schedule for several devices has to beat."""

from __future__ import annotations

from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Schedule
from hetsched.schedule.timeline import Timeline


def best_device(problem: Problem) -> Schedule:
    """Everything on the one device that ends first.

    A task that cannot run there, or finds no room, goes where it ends first, and is noted.
    """
    schedules = [everything_on(problem, device) for device in _distinct_devices(problem)]
    return min(schedules, key=lambda schedule: (schedule.makespan_seconds, len(schedule.notes)))


def everything_on(problem: Problem, device: int) -> Schedule:
    """All tasks on one device, in topological order."""
    timeline = Timeline(problem)
    elsewhere: list[str] = []
    for task in range(problem.n_tasks):
        chosen = timeline.best(task, prefer=(device,))
        timeline.place(task, chosen)
        if chosen != device:
            elsewhere.append(problem.task_names[task])
    name = problem.device_names[device]
    notes = [f"{task} is not on {name}: it cannot run there, or finds no room" for task in elsewhere]
    return timeline.finish("single_device", notes)


def _distinct_devices(problem: Problem) -> list[int]:
    """Devices by name, without those that are the same as an earlier one to every task."""
    found: dict[tuple[int, bytes], int] = {}
    for device in sorted(range(problem.n_devices), key=lambda device: problem.device_names[device]):
        column = problem.device_seconds[:, device].tobytes()
        found.setdefault((int(problem.device_memory[device]), column), device)
    return list(found.values())
