"""Fill: one device after another, each with the next tasks in an order until its memory is full.

Where weights that stay fill memories, consecutive tasks in one place keep copies few; search goes on from there.
"""

from __future__ import annotations

import numpy as np

from hetsched.schedule.drafts import Draft, Drafting
from hetsched.schedule.loops.compiled import Numbers


def fill_draft(drafting: Drafting, order: Numbers) -> Draft:
    """Tasks in an order, which extends the graph, on the fastest device first; only where static bytes are limited."""
    flat = drafting.flat
    seconds = np.asarray(flat.seconds, dtype=np.float64).reshape(flat.n_tasks, flat.n_columns)
    total = np.where(np.isfinite(seconds), seconds, seconds[np.isfinite(seconds)].max(initial=0.0) * 10).sum(axis=0)
    devices = sorted(range(flat.n_devices), key=lambda device: (total[flat.column[device]], device))
    left = [float(room) for room in flat.capacity]
    wanted = drafting.room.ints(flat.n_tasks, -1)
    current = 0
    for position in range(flat.n_tasks):
        task = int(order[position])
        n_bytes = float(flat.static_bytes[task])
        while current < len(devices) and n_bytes > left[flat.memory[devices[current]]]:
            current += 1
        if current == len(devices):
            break
        left[flat.memory[devices[current]]] -= n_bytes
        wanted[task] = devices[current]
    return drafting.place(order, "fill", wanted=wanted)
