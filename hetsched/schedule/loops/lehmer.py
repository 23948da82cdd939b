"""Random numbers of loops, in integers that compiled and uncompiled code compute alike."""

from __future__ import annotations

from hetsched.schedule.loops.compiled import Numbers, helper


@helper
def draw(random: Numbers) -> int:
    """The next of Lehmer's random numbers, 1 to 2^31 - 2 (Park and Miller 1988, doi:10.1145/63039.63042)."""
    random[0] = random[0] * 48271 % 2147483647
    return random[0]
