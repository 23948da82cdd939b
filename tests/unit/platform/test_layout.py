from pathlib import Path

import pytest

from hetsched.errors import PlatformError
from hetsched.platform.layout import layout_of, layouts_of, with_layout
from hetsched.platform.platform import Device, Host, Layout, Memory, Platform, Process, Rates

FILES = Path(__file__).parents[3] / "configs" / "platforms"


@pytest.mark.parametrize(
    ("n_cores", "layouts"),
    [
        (1, ["1x1"]),
        (2, ["2x1", "1x2"]),
        (4, ["4x1", "1x4"]),
        (7, ["7x1", "1x7"]),
        (8, ["8x1", "4x2", "1x8"]),
        (64, ["64x1", "8x8", "1x64"]),
    ],
)
def test_layouts_of(n_cores, layouts):
    assert [str(layout) for layout in layouts_of("h", n_cores)] == [f"h:{layout}" for layout in layouts]


def test_emulated_rates_follow_the_threads():
    platform = Platform.load(FILES / "one-gpu-workstation.yaml")
    one = with_layout(platform, Layout("workstation", 1, 8))
    assert [device.name for device in one.devices] == ["cpu:0", "gpu:0"]
    before, after = platform.device("cpu:0"), one.device("cpu:0")
    assert after.n_threads == 8
    assert after.rates.flops_per_second["float32"] == 8 * before.rates.flops_per_second["float32"]
    assert after.rates.bytes_per_second == 8 * before.rates.bytes_per_second
    assert after.rates.overhead_seconds == before.rates.overhead_seconds
    assert after.busy_watts == 8 * before.busy_watts
    assert one.device("gpu:0") == platform.device("gpu:0")
    assert with_layout(one, platform.layouts[0]) == platform


def test_real_rates_are_forgotten():
    rates = Rates({"float32": 1e9}, 1e9, 1e-6)
    cpus = tuple(Device(f"cpu:{n}", "cpu", "ram", rates=rates) for n in range(2))
    platform = Platform("p", (Host("h", 2),), (Process("h", "h"),), (Memory("ram", "h"),), cpus)
    assert with_layout(platform, Layout("h", 1, 2)).devices == (Device("cpu:0", "cpu", "ram", n_threads=2),)


def test_only_the_named_host_changes():
    platform = Platform.load(FILES / "two-node-cluster.yaml")
    changed = with_layout(platform, Layout("node1", 2, 4))
    names = [device.name for device in changed.devices if device.name.startswith("node1/cpu")]
    assert names == ["node1/cpu:0", "node1/cpu:1"]
    assert layout_of(changed, "node0") == layout_of(platform, "node0") == Layout("node0", 4, 4)


def test_a_host_without_cpu_devices():
    gpu = Device("gpu:0", "cuda", "vram:0")
    platform = Platform("p", (Host("h"),), (Process("h", "h"),), (Memory("vram:0", "h"),), (gpu,))
    assert layout_of(platform, "h") is None
    with pytest.raises(PlatformError, match="host 'h' has no device of kind 'cpu'"):
        with_layout(platform, Layout("h", 1, 1))
