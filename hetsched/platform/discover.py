"""Describes this host: its cores, its memory, its accelerators and the links between them."""

from __future__ import annotations

import logging
import math
import os
import platform as python_platform
import warnings
from collections.abc import Iterable
from pathlib import Path

import psutil
import torch

from hetsched.platform.cgroup import cpu_limit, memory_limit
from hetsched.platform.layout import layouts_of
from hetsched.platform.load import read_gpus
from hetsched.platform.nominal import NOMINAL_PCIE
from hetsched.platform.platform import HOST_KIND, Device, Host, Link, Memory, Platform, Process, Route

logger = logging.getLogger(__name__)

HOST = "local"
RAM = "ram"


def discover_host() -> Platform:
    """This host, with as many one-thread CPU devices as it may use cores, and every accelerator that torch sees."""
    n_cores = usable_cores()
    memory_bytes = min(float(psutil.virtual_memory().total), memory_limit())
    model = cpu_model()
    cpus = [Device(f"cpu:{index}", HOST_KIND, RAM, model) for index in range(n_cores)]
    gpus, vrams = _accelerators()
    links = [
        Link(f"pcie{index}.{way}", NOMINAL_PCIE.latency_seconds, NOMINAL_PCIE.bytes_per_second)
        for index in range(len(gpus))
        for way in ("down", "up")
    ]
    routes = [
        route
        for index, vram in enumerate(vrams)
        for route in (
            Route(RAM, vram.name, (f"pcie{index}.down",)),
            Route(vram.name, RAM, (f"pcie{index}.up",)),
        )
    ]
    return Platform(
        name=HOST,
        hosts=(Host(HOST, n_cores),),
        processes=(Process(HOST, HOST),),
        memories=(Memory(RAM, HOST, memory_bytes), *vrams),
        devices=(*cpus, *gpus),
        links=tuple(links),
        routes=tuple(routes),
        layouts=layouts_of(HOST, n_cores),
        home=RAM,
    )


def usable_cores() -> int:
    """Cores that this process may use: its affinity mask, less what a container's quota withholds."""
    allowed = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(allowed, math.floor(min(cpu_limit(), allowed))))


def cpu_model(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name as its maker gave it, else its architecture."""
    try:
        lines: Iterable[str] = cpuinfo.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        lines = ()
    for line in lines:
        field, _, value = line.partition(":")
        if field.strip() == "model name" and value.strip():
            return " ".join(value.split())
    return python_platform.processor() or python_platform.machine() or "unknown"


def _accelerators() -> tuple[list[Device], list[Memory]]:
    with warnings.catch_warnings(record=True) as said:  # torch warns where a driver is too old; it is a reason to tell
        warnings.simplefilter("always")
        cuda = torch.cuda.is_available()
    if cuda:
        return _cuda_devices()
    if torch.accelerator.is_available():
        return _other_devices()
    if torch.version.cuda is None and torch.version.hip is None:
        reason = "this torch is built for the CPU only"
    elif said:
        reason = str(said[0].message)
    else:
        reason = f"no driver or no visible device, CUDA_VISIBLE_DEVICES={os.environ.get('CUDA_VISIBLE_DEVICES')!r}"
    logger.info("no GPU: %s; running on the CPU", reason)
    return [], []


def _cuda_devices() -> tuple[list[Device], list[Memory]]:
    watts = {load.uuid.removeprefix("GPU-"): load.power_limit_watts for load in read_gpus()}
    devices, memories = [], []
    for index in range(torch.cuda.device_count()):
        properties = torch.cuda.get_device_properties(index)
        uuid = str(getattr(properties, "uuid", "")).removeprefix("GPU-")
        devices.append(
            Device(f"gpu:{index}", "cuda", f"vram:{index}", properties.name, busy_watts=watts.get(uuid, 0.0))
        )
        memories.append(Memory(f"vram:{index}", HOST, float(properties.total_memory)))
    return devices, memories


def _other_devices() -> tuple[list[Device], list[Memory]]:
    """Accelerators of other vendors, of which torch tells only their type and number."""
    accelerator = torch.accelerator.current_accelerator()
    kind = "unknown" if accelerator is None else accelerator.type
    indices = range(torch.accelerator.device_count())
    return (
        [Device(f"gpu:{index}", kind, f"vram:{index}", kind) for index in indices],
        [Memory(f"vram:{index}", HOST) for index in indices],
    )
