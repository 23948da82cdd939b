from collections.abc import Callable

import pytest

from hetsched.trace.trace import Span, Trace


def span(lane: str, start: float = 0.0, end: float = 1.0, **more: object) -> Span:
    return Span(more.pop("kind", "compute"), more.pop("name", "t"), lane, start, end, **more)  # type: ignore[arg-type]


def test_lanes_come_devices_first_host_by_host_cpus_before_gpus_and_numbers_as_numbers() -> None:
    order = (
        "cpu:2",
        "cpu:10",
        "gpu:0",
        "npu:0",
        "node0/cpu:0",
        "node0/gpu:0",
        "node1/cpu:0",
        "ram->vram:0",
        "vram:0->ram",
    )
    trace = Trace(tuple(map(span, reversed(order))), 1.0)
    assert trace.lanes == order


def test_devices_used_counts_only_devices_that_computed() -> None:
    trace = Trace((span("gpu:0"), span("cpu:0"), span("cpu:1", kind="wait"), span("ram->vram:0", kind="copy")), 1.0)
    assert trace.devices_used == ("cpu:0", "gpu:0")
    assert [s.lane for s in trace.of_kind("copy")] == ["ram->vram:0"]
    assert len(trace) == len(list(trace)) == 4


@pytest.mark.parametrize(
    ("emulated", "predicted", "said"),
    [(False, False, "measured"), (True, False, "emulated, measured"), (True, True, "emulated, predicted")],
)
def test_a_trace_says_what_it_is(emulated: bool, predicted: bool, said: str) -> None:
    assert Trace((), 0.0, emulated=emulated, predicted=predicted).what_it_is == said


def test_the_body_is_the_trace_without_its_setup(a_trace: Callable[..., Trace]) -> None:
    trace = a_trace()
    assert [s.name for s in trace if s not in trace.body.spans] == ["weights"]
    assert (trace.setup_seconds, trace.body.setup_seconds) == (0.0005, 0.0)
    assert trace.body.makespan_seconds == trace.makespan_seconds
