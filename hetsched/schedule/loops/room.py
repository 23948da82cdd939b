"""The scratch room of `place`, which its caller makes once and uses often."""

from __future__ import annotations

from typing import NamedTuple

from hetsched.schedule.loops.compiled import Numbers


class Gaps(NamedTuple):
    """Free time of every serial resource; all but ``count`` hold a fixed number of entries a resource."""

    start: Numbers
    end: Numbers
    count: Numbers


class Stays(NamedTuple):
    """Where values are and since when, where copies wait for links.

    Attributes:
        count: number of stays so far, and of questions asked.
        first: of each value, its latest stay; -1 for none.
        following: of each stay, the one before it of the same value.
        source: memory that it was copied from, -1 for none.
        start: when its copy, or the task that made it, started.
        at: when it was complete.
        asked: of each link, the question that used it last.
        until: of each link, when that use would end.
    """

    count: Numbers
    first: Numbers
    following: Numbers
    value: Numbers
    source: Numbers
    memory: Numbers
    start: Numbers
    at: Numbers
    asked: Numbers
    until: Numbers


class Chosen(NamedTuple):
    """Where and when each task runs, and the static bytes used in each memory."""

    device: Numbers
    start: Numbers
    end: Numbers
    used: Numbers
