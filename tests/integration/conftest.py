"""Where the integration suite runs: every executor on every platform, each with more than one scheduler."""

from __future__ import annotations

from collections.abc import Iterator

import clusters
import pytest
import torch
from settings import Setting, platform_named

import hetsched
from hetsched.cost.calibrate import device_rates

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
    pytest.param(("ray", "one node"), id="ray-one-node", marks=pytest.mark.ray),
    pytest.param(("ray", "three nodes"), id="ray-three-nodes", marks=[pytest.mark.ray, pytest.mark.slow]),
]


@pytest.fixture(scope="module", params=_PLACES)
def place(request: pytest.FixtureRequest) -> Iterator[tuple[str, hetsched.Platform]]:
    """An executor and a platform; a Ray place is one session, whose actors all tests share."""
    executor, platform = request.param
    if executor == "local":
        yield executor, platform_named("cpu" if platform == "cuda" else platform)
        return
    address = request.getfixturevalue("ray_cluster") if platform == "three nodes" else None
    with hetsched.session(executor="ray", address=address) as session:
        given = clusters.three_nodes() if platform == "three nodes" else None
        yield executor, session.executor.prepare(given, device_rates)


@pytest.fixture(params=["auto", "round_robin"])
def setting(request: pytest.FixtureRequest, place: tuple[str, hetsched.Platform]) -> Setting:
    executor, platform = place
    return Setting(executor, platform, request.param)
