"""What the NVIDIA driver says about its GPUs, through NVML; where that is missing or broken, nothing is known."""

from __future__ import annotations

import importlib
import logging
from dataclasses import dataclass
from typing import Any

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class GpuLoad:
    """One GPU as the driver sees it, whatever this process may see of it."""

    uuid: str
    used_bytes: float
    total_bytes: float
    power_limit_watts: float


def read_gpus(module: Any = None) -> tuple[GpuLoad, ...]:
    """All GPUs that NVML knows; none, and one INFO line saying why, where it does not work.

    Args:
        module: stands in for ``pynvml``.
    """
    try:
        nvml = module or importlib.import_module("pynvml")
        nvml.nvmlInit()
    except Exception as reason:  # noqa: BLE001 - NVML fails in many ways and none of them matters to a run
        logger.info("NVML is not usable (%s); GPU power limits and loads are unknown", reason)
        return ()
    try:
        return tuple(_read_gpu(nvml, index) for index in range(nvml.nvmlDeviceGetCount()))
    except Exception as reason:  # noqa: BLE001 - as above
        logger.info("NVML stopped working (%s); GPU power limits and loads are unknown", reason)
        return ()
    finally:
        nvml.nvmlShutdown()


def _read_gpu(nvml: Any, index: int) -> GpuLoad:
    handle = nvml.nvmlDeviceGetHandleByIndex(index)
    memory = nvml.nvmlDeviceGetMemoryInfo(handle)
    try:
        watts = nvml.nvmlDeviceGetPowerManagementLimit(handle) / 1000
    except nvml.NVMLError:  # virtual GPUs have none
        watts = 0.0
    uuid = nvml.nvmlDeviceGetUUID(handle)
    return GpuLoad(
        uuid=uuid if isinstance(uuid, str) else uuid.decode(),
        used_bytes=float(memory.used),
        total_bytes=float(memory.total),
        power_limit_watts=watts,
    )
