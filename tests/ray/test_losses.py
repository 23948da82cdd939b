"""What breaks between jobs, or on the way, is one clear error at most; the next job runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator

import clusters
import pytest
import torch

import hetsched


class OnlyHere:
    """Of a module that the nodes do not have: it pickles well, and cannot be unpickled where it arrives."""


@pytest.fixture(scope="module")
def platform(ray_cluster: str) -> Iterator[hetsched.Platform]:
    with hetsched.session(executor="ray", address=ray_cluster) as session:
        yield session.executor.prepare(clusters.three_nodes())


def _pid_and_double(value: float) -> hetsched.TaskGraph:
    g = hetsched.TaskGraph()
    x = g.constant(torch.tensor(value), name="x")
    g.add(lambda _: os.getpid(), x, name="pid", device="plain/cpu:0")
    g.add("mul", x, torch.tensor(2.0), name="double", device="single/cpu:0")
    return g


def test_an_actor_that_died_between_jobs_is_replaced(platform: hetsched.Platform) -> None:
    first = hetsched.run(_pid_and_double(1.0), platform=platform)
    with hetsched.compile(_pid_and_double(2.0), platform=platform) as program:
        assert program.run()["pid"] == first["pid"]
        os.kill(first["pid"], signal.SIGKILL)
        second = hetsched.run(_pid_and_double(3.0), platform=platform)
        assert second["pid"] != first["pid"]
        assert second["double"].item() == 6.0
        again = program.run()  # loaded anew, constants and all
        assert (again["pid"], again["double"].item()) == (second["pid"], 4.0)


def test_what_cannot_be_unpickled_is_an_error_and_not_a_wait(platform: hetsched.Platform) -> None:
    g = hetsched.TaskGraph()
    g.constant(OnlyHere(), name="c")
    g.add(lambda c: 1, "c", name="one", device="single/cpu:0")
    with pytest.raises(hetsched.ExecutionError, match=r"'c' came by driver/ram->.* and cannot be unpacked"):
        hetsched.run(g, platform=platform)
    with pytest.raises(hetsched.ExecutionError, match=r"'c' came by driver/ram->.* and cannot be unpacked"):
        hetsched.compile(g, platform=platform)
    assert hetsched.run(_pid_and_double(1.0), platform=platform)["double"].item() == 2.0


def test_a_driver_side_op_cannot_run_another_job_on_the_same_cluster(platform: hetsched.Platform) -> None:
    g = hetsched.TaskGraph()
    g.add(lambda: hetsched.run(_pid_and_double(1.0), platform=platform), name="nested", device="driver")
    with pytest.raises(hetsched.TaskFailedError, match="an op waits for this cluster, which is running"):
        hetsched.run(g, platform=platform)


def test_the_default_dtype_travels(platform: hetsched.Platform) -> None:
    before = torch.get_default_dtype()
    g = hetsched.TaskGraph()
    g.add(lambda: torch.zeros(2).dtype, name="dtype", device="single/cpu:0")
    try:
        torch.set_default_dtype(torch.float64)
        assert hetsched.run(g, platform=platform)["dtype"] == torch.float64
    finally:
        torch.set_default_dtype(before)
    assert hetsched.run(g, platform=platform)["dtype"] == before
