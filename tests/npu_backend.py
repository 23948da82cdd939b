"""A device kind of our own, as one file: the CPU's backend under another name, with a memory of its own."""

from hetsched.execute.backends import BACKENDS
from hetsched.execute.backends.cpu import CpuBackend
from hetsched.platform.platform import Device, Host, Link, Memory, Platform, Process, Rates, Route

BACKENDS["npu"] = CpuBackend

_CPU = Rates({"float32": 5e10}, 1e10, 2e-6)
_NPU = Rates({"float32": 5e11}, 1e11, 5e-6)

PLATFORM = Platform(
    name="npu-board",
    hosts=(Host("board", 2),),
    processes=(Process("main", "board"),),
    memories=(Memory("ram", "main", 8e9), Memory("npu-ram", "main", 1e9)),
    devices=(
        Device("cpu:0", "cpu", "ram", rates=_CPU),
        Device("cpu:1", "cpu", "ram", rates=_CPU),
        Device("npu:0", "npu", "npu-ram", rates=_NPU),
    ),
    links=(Link("bus.in", 1e-5, 1e10), Link("bus.out", 1e-5, 1e10)),
    routes=(Route("ram", "npu-ram", ("bus.in",)), Route("npu-ram", "ram", ("bus.out",))),
)
