"""Where the integration suite runs: every executor on every platform, each with more than one scheduler."""

from __future__ import annotations

import pytest
import torch
from settings import Setting, platform_named

_PLACES = [
    pytest.param(("local", "cpu"), id="local-cpu"),
    pytest.param(("local", "one-gpu-workstation"), id="local-emulated-one-gpu"),
    pytest.param(("local", "four-gpu-server"), id="local-emulated-four-gpus"),
    pytest.param(("local", "npu"), id="local-npu"),
    pytest.param(
        ("local", "cuda"),
        id="local-cuda",
        marks=[pytest.mark.gpu, pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here")],
    ),
]


@pytest.fixture(params=_PLACES)
def place(request: pytest.FixtureRequest) -> tuple[str, str]:
    return request.param


@pytest.fixture(params=["auto", "round_robin"])
def setting(request: pytest.FixtureRequest, place: tuple[str, str]) -> Setting:
    executor, platform = place
    return Setting(executor, platform_named("cpu" if platform == "cuda" else platform), request.param)
