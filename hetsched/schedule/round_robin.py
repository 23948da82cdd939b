"""Round robin: the devices in turn, whatever they cost; a baseline."""

from __future__ import annotations

from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Schedule
from hetsched.schedule.timeline import Timeline


def round_robin(problem: Problem) -> Schedule:
    """Tasks in topological order, each on the next device in turn that it may run on."""
    timeline = Timeline(problem)
    turn = 0
    for task in range(problem.n_tasks):
        possible = timeline.devices_of(task)
        following = next((device for device in possible if device >= turn), possible[0])
        device = timeline.best(task, prefer=(following,))
        timeline.place(task, device)
        turn = (device + 1) % problem.n_devices
    return timeline.finish("round_robin")
