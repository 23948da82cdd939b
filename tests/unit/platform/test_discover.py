"""This host as it is, and with what other hosts have."""

import logging
import math
from pathlib import Path
from types import SimpleNamespace

import psutil
import pytest
import torch

from hetsched.platform import discover
from hetsched.platform.cgroup import cpu_limit, memory_limit
from hetsched.platform.discover import cpu_model, discover_host, usable_cores
from hetsched.platform.load import GpuLoad, read_gpus


@pytest.fixture
def no_accelerator(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: False)


def test_this_host(no_accelerator, caplog):
    with caplog.at_level(logging.INFO):
        platform = discover_host()
    assert [device.name for device in platform.devices] == [f"cpu:{n}" for n in range(usable_cores())]
    assert all(device.rates is None and device.n_threads == 1 for device in platform.devices)
    assert 0 < platform.memories[0].capacity_bytes <= psutil.virtual_memory().total
    assert str(platform.layouts[0]) == f"local:{usable_cores()}x1"
    assert [record.message for record in caplog.records if "no GPU" in record.message] == [caplog.messages[0]]
    assert len(caplog.messages) == 1


def test_affinity_and_quota_limit_cores(monkeypatch):
    monkeypatch.setattr(discover.os, "sched_getaffinity", lambda _: set(range(6)), raising=False)
    monkeypatch.setattr(discover, "cpu_limit", lambda: math.inf)
    assert usable_cores() == 6
    monkeypatch.setattr(discover, "cpu_limit", lambda: 2.5)
    assert usable_cores() == 2
    monkeypatch.setattr(discover, "cpu_limit", lambda: 0.5)
    assert usable_cores() == 1


def test_cuda_devices(monkeypatch):
    properties = [SimpleNamespace(name=f"GPU {n}", total_memory=n * 2**30, uuid=f"u{n}") for n in (1, 2)]
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda index: properties[index])
    monkeypatch.setattr(discover, "read_gpus", lambda: (GpuLoad("GPU-u2", 0.0, 1.0, 300.0),))
    platform = discover_host()
    gpus = [device for device in platform.devices if device.kind == "cuda"]
    assert [(gpu.name, gpu.memory, gpu.model, gpu.busy_watts) for gpu in gpus] == [
        ("gpu:0", "vram:0", "GPU 1", 0.0),
        ("gpu:1", "vram:1", "GPU 2", 300.0),
    ]
    assert [memory.capacity_bytes for memory in platform.memories[1:]] == [2**30, 2 * 2**30]
    assert [(route.source, route.target) for route in platform.routes] == [
        ("ram", "vram:0"),
        ("vram:0", "ram"),
        ("ram", "vram:1"),
        ("vram:1", "ram"),
    ]
    assert platform.home == "ram"


def test_other_accelerators(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.accelerator, "is_available", lambda: True)
    monkeypatch.setattr(torch.accelerator, "current_accelerator", lambda: torch.device("xpu"))
    monkeypatch.setattr(torch.accelerator, "device_count", lambda: 1)
    platform = discover_host()
    assert [(device.name, device.kind) for device in platform.devices][-1] == ("gpu:0", "xpu")


def test_cpu_model(tmp_path):
    cpuinfo = tmp_path / "cpuinfo"
    cpuinfo.write_text("processor: 0\nmodel name\t: Fast  CPU\n")
    assert cpu_model(cpuinfo) == "Fast CPU"
    assert cpu_model(tmp_path / "missing")


def cgroup(tmp_path: Path, own: str, files: dict[str, str]) -> tuple[Path, Path]:
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    (tmp_path / "own").write_text(own)
    return tmp_path, tmp_path / "own"


def test_cgroup_version_2_takes_the_tightest_group(tmp_path):
    files = {
        "a/b/cpu.max": "max 100000\n",
        "a/cpu.max": "150000 100000\n",
        "a/b/memory.max": "max\n",
        "memory.max": "1000\n",
    }
    where = cgroup(tmp_path, "0::/a/b\n", files)
    assert cpu_limit(*where) == 1.5
    assert memory_limit(*where) == 1000


def test_cgroup_version_1(tmp_path):
    files = {
        "cpu/a/cpu.cfs_quota_us": "-1\n",
        "cpu/a/cpu.cfs_period_us": "100000\n",
        "cpu/cpu.cfs_quota_us": "300000\n",
        "cpu/cpu.cfs_period_us": "100000\n",
        "memory/memory.limit_in_bytes": "5000\n",
    }
    where = cgroup(tmp_path, "4:cpu,cpuacct:/a\n3:memory:/\n", files)
    assert cpu_limit(*where) == 3
    assert memory_limit(*where) == 5000


def test_no_cgroup(tmp_path):
    assert cpu_limit(tmp_path, tmp_path / "none") == memory_limit(tmp_path, tmp_path / "none") == math.inf


class RecordedNvml:
    """NVML of a machine with one GPU that has no power limit, as virtual ones haven't."""

    class NVMLError(Exception):
        pass

    def __init__(self, broken: bool = False) -> None:
        self.broken = broken
        self.is_open = False

    def nvmlInit(self):  # noqa: N802 - NVML's name
        self.is_open = True

    def nvmlShutdown(self):  # noqa: N802 - NVML's name
        self.is_open = False

    def nvmlDeviceGetCount(self):  # noqa: N802 - NVML's name
        if self.broken:
            raise self.NVMLError("GPU is lost")
        return 1

    def nvmlDeviceGetHandleByIndex(self, index):  # noqa: N802 - NVML's name
        return index

    def nvmlDeviceGetMemoryInfo(self, handle):  # noqa: N802 - NVML's name
        return SimpleNamespace(used=1, total=4)

    def nvmlDeviceGetPowerManagementLimit(self, handle):  # noqa: N802 - NVML's name
        raise self.NVMLError("not supported")

    def nvmlDeviceGetUUID(self, handle):  # noqa: N802 - NVML's name
        return "GPU-1"


def test_nvml():
    nvml = RecordedNvml()
    assert read_gpus(nvml) == (GpuLoad("GPU-1", 1.0, 4.0, 0.0),)
    assert not nvml.is_open


def test_broken_nvml_is_no_error(caplog):
    nvml = RecordedNvml(broken=True)
    with caplog.at_level(logging.INFO):
        assert read_gpus(nvml) == ()
    assert not nvml.is_open
    assert "GPU is lost" in caplog.messages[0]
    assert len(caplog.messages) == 1
