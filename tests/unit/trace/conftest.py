from collections.abc import Callable

import pytest

from hetsched.trace.trace import Span, Trace


def _trace(slower: float = 1.0, *, predicted: bool = False) -> Trace:
    """Decode on a CPU, copy, two ops on a GPU, copy back; ``slower`` stretches the GPU's ops."""
    last = 0.004 + 0.004 * slower
    return Trace(
        spans=(
            Span("copy", "weights", "ram->vram:0", 0.0, 0.0 if predicted else 0.0005, n_bytes=1 << 20, phase="setup"),
            Span("compute", "decode", "cpu:0", 0.0, 0.002, op="decode_image"),
            Span("wait", "decode", "gpu:0", 0.0, 0.003),
            Span("copy", "decode", "ram->vram:0", 0.002, 0.003, n_bytes=3 << 20),
            Span("compute", "conv", "gpu:0", 0.003, 0.003 + 0.003 * slower, op="conv2d", overrun=not predicted),
            Span("compute", "relu", "gpu:0", 0.003 + 0.003 * slower, 0.003 + 0.004 * slower, op="relu"),
            Span("copy", "relu", "vram:0->ram", 0.003 + 0.004 * slower, last, n_bytes=1 << 10),
        ),
        makespan_seconds=last,
        platform="workstation",
        emulated=True,
        time_scale=2.0,
        predicted=predicted,
        peak_bytes={"ram": 4096.0, "vram:0": float(5 << 20)},
    )


@pytest.fixture
def a_trace() -> Callable[..., Trace]:
    return _trace
