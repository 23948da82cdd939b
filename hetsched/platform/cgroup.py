"""What a container may use: CPU quota and memory limit of this process's control groups, versions 1 and 2."""

from __future__ import annotations

import math
from collections.abc import Iterator
from pathlib import Path

ROOT = Path("/sys/fs/cgroup")
OWN_GROUPS = Path("/proc/self/cgroup")


def cpu_limit(root: Path = ROOT, own_groups: Path = OWN_GROUPS) -> float:
    """CPUs that the quota allows; inf without one."""
    newer = _read_all(root, own_groups, "", "cpu.max")
    quotas = _read_all(root, own_groups, "cpu", "cpu.cfs_quota_us")
    periods = _read_all(root, own_groups, "cpu", "cpu.cfs_period_us")
    older = (quota + period for quota, period in zip(quotas, periods, strict=False))
    limits = (float(words[0]) / float(words[1]) for words in (*newer, *older) if words[0] not in ("max", "-1"))
    return min(limits, default=math.inf)


def memory_limit(root: Path = ROOT, own_groups: Path = OWN_GROUPS) -> float:
    """Bytes that the control groups allow; inf without a limit."""
    newer = _read_all(root, own_groups, "", "memory.max")
    older = _read_all(root, own_groups, "memory", "memory.limit_in_bytes")
    return min((float(words[0]) for words in (*newer, *older) if words[0] != "max"), default=math.inf)


def _read_all(root: Path, own_groups: Path, controller: str, file: str) -> Iterator[list[str]]:
    """Words of one setting in this process's group and all groups around it."""
    group = Path(_own_group(own_groups, controller).lstrip("/"))
    for folder in (group, *group.parents):
        try:
            words = (root / controller / folder / file).read_text(encoding="ascii").split()
        except OSError:
            continue  # this group does not set it
        if words:
            yield words


def _own_group(own_groups: Path, controller: str) -> str:
    try:
        lines = own_groups.read_text(encoding="utf-8").splitlines()
    except OSError:
        return ""
    for line in lines:
        _, controllers, group = line.split(":", 2)
        if controller in controllers.split(","):
            return group
    return ""
