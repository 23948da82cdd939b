"""Round robin: the devices in turn, whatever they cost; a baseline."""

from __future__ import annotations

import numpy as np

from hetsched.schedule.drafts import Drafting
from hetsched.schedule.finished import finished
from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Schedule


def round_robin(problem: Problem) -> Schedule:
    """Tasks in topological order, each on the next device in turn that it may run on."""
    drafting = Drafting(problem)
    number = {device: index for index, device in enumerate(drafting.form.devices)}
    wanted, turn = [], 0
    for allowed in np.isfinite(problem.device_seconds).tolist():
        possible = [device for device, may_run in enumerate(allowed) if may_run]
        device = next((device for device in possible if device >= turn), possible[0])
        wanted.append(number[device])
        turn = (device + 1) % problem.n_devices
    order = drafting.room.of(np.arange(problem.n_tasks, dtype=np.int32))
    draft = drafting.place(order, "round_robin", wanted=drafting.room.of(np.array(wanted, dtype=np.int32)))
    return finished(drafting, draft)
