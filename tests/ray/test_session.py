"""Sessions on a cluster: what runs where, what travels, what stays, and what is left when something goes wrong."""

from __future__ import annotations

import importlib
import json
import os
import pickle
import signal
import subprocess
import sys
import tempfile
import textwrap
import threading
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import clusters
import psutil
import pytest
import torch

import hetsched
from hetsched.errors import ExecutionError, TaskFailedError, WorkerLostError

LIMIT_SECONDS = 6.0
"""For ends that take two when this machine has nothing else to do."""


class Place(NamedTuple):
    """Where something really ran."""

    pid: int
    node_id: str


@hetsched.op(kinds=("any",))
def where(*_: object) -> Place:
    import ray  # not before the cluster's fixture has told it to stay on loopback

    return Place(os.getpid(), ray.get_runtime_context().get_node_id())


@pytest.fixture(scope="module")
def platform(ray_cluster: str) -> Iterator[hetsched.Platform]:
    """The three nodes with emulated GPUs; one session, and thus the same actors, for all tests."""
    with hetsched.session(executor="ray", address=ray_cluster) as session:
        yield session.executor.prepare(clusters.three_nodes())


def places(platform: hetsched.Platform, devices: Mapping[str, str]) -> hetsched.Result:
    """One task for each name, on the devices that it is given."""
    graph = hetsched.TaskGraph()
    for name, wanted in devices.items():
        graph.add(where, name=name, devices=wanted)
    return hetsched.run(graph, platform=platform)


def one_task(op: Any, *values: object, **options: Any) -> hetsched.TaskGraph:
    graph = hetsched.TaskGraph()
    graph.add(op, *(graph.constant(value, name=f"c{i}") for i, value in enumerate(values)), name="out", **options)
    return graph


def everywhere(platform: hetsched.Platform) -> dict[str, Place]:
    """The process and node of every device but the driver's."""
    result = places(platform, {d.name: d.name for d in platform.devices if not d.on_demand})
    return dict(result.outputs)  # type: ignore[arg-type]


# Where things run


def test_placement_obeys_labels_names_and_pins(platform: hetsched.Platform) -> None:
    import ray

    wishes = {
        "hospital": "plain/",
        "resource:camera": "single/",
        "fast": "double/",
        "single": "single/",
        "single/gpu:0": "single/gpu:0",
        "double/gpu:1": "double/gpu:1",
        "plain/cpu:1": "plain/cpu:1",
        "driver": "driver/cpu:0",
    }
    result = places(platform, {wish: wish for wish in wishes})
    lanes = {span.name: span.lane for span in result.trace.of_kind("compute")}
    assert all(lanes[wish].startswith(start) for wish, start in wishes.items()), lanes

    nodes = {entry["NodeID"]: entry for entry in ray.nodes()}
    really = {wish: nodes[place.node_id] for wish, place in result.outputs.items()}
    assert really["hospital"]["Labels"]["site"] == "hospital"
    assert really["plain/cpu:1"] == really["hospital"]
    assert "camera" in really["resource:camera"]["Resources"]
    assert really["single"] == really["single/gpu:0"] == really["resource:camera"]
    assert really["fast"]["Labels"]["disk"] == "fast"
    assert really["double/gpu:1"] == really["fast"]
    assert result["driver"] == where()


def test_a_process_for_every_gpu_and_one_for_all_cpus_of_a_host(platform: hetsched.Platform) -> None:
    pids = {device: place.pid for device, place in everywhere(platform).items()}
    assert pids["plain/cpu:0"] == pids["plain/cpu:1"]
    others = [pids[d] for d in ("plain/cpu:0", "single/cpu:0", "single/gpu:0", "double/cpu:0")]
    others += [pids["double/gpu:0"], pids["double/gpu:1"], os.getpid()]
    assert len(set(others)) == len(others)


def test_a_value_never_leaves_the_hosts_that_it_is_kept_on(platform: hetsched.Platform) -> None:
    graph = hetsched.TaskGraph()
    graph.add(lambda: torch.arange(5.0), name="records", keep_on="hospital")
    graph.add("square", "records", name="squares")
    graph.add("sum", "squares", name="total", release=True)
    result = hetsched.run(graph, platform=platform)
    assert result["total"].item() == 30.0
    assert {lane.partition("/")[0] for lane in result.trace.devices_used} == {"plain"}
    assert not [span for span in result.trace.of_kind("copy") if span.name in ("records", "squares")]


def test_jobs_and_programs_of_a_session_share_its_actors(platform: hetsched.Platform) -> None:
    first = everywhere(platform)
    assert everywhere(platform) == first
    graph = hetsched.TaskGraph()
    for device in first:
        graph.add(where, name=device, device=device)
    with hetsched.compile(graph, platform=platform) as program, hetsched.compile(graph, platform=platform) as other:
        assert all(dict(p.run().outputs) == first for p in (program, other, program))
    assert everywhere(platform) == first


# What travels


DRIVERS_OWN = """
import importlib.util
import torch

FACTOR = 3

class Scaled:
    def __init__(self, x):
        self.x = x * FACTOR

def scale(x):
    return Scaled(x)

def unscale(scaled):
    return scaled.x / FACTOR

def is_installed(*_):
    return importlib.util.find_spec("drivers_own") is not None
"""


def test_functions_of_a_module_that_only_the_driver_has(
    platform: hetsched.Platform, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "drivers_own.py").write_text(DRIVERS_OWN)
    monkeypatch.syspath_prepend(tmp_path)
    own = importlib.import_module("drivers_own")
    try:
        graph = hetsched.TaskGraph()
        graph.constant(torch.ones(2), name="x")
        graph.add(own.scale, "x", name="scaled", device="plain/cpu:0")
        graph.add(own.unscale, "scaled", name="out", device="double/cpu:0")
        graph.add(own.is_installed, name="installed", device="plain/cpu:0")
        result = hetsched.run(graph, platform=platform, outputs=["scaled", "out", "installed"])
        assert not result["installed"]
        assert result["out"].tolist() == [1.0, 1.0]
        assert result["scaled"].x.tolist() == [3.0, 3.0]
        assert own.is_installed()
    finally:
        del sys.modules["drivers_own"]


def test_references_go_in_and_out(platform: hetsched.Platform) -> None:
    import ray

    graph = hetsched.TaskGraph()
    x = graph.input("x")
    graph.add("matmul", x, x, name="y", device="double/gpu:0")
    graph.add("sum", "y", name="total", device="plain/cpu:0")
    value = torch.randn(8, 8)
    kept = hetsched.run(graph, {"x": ray.put(value)}, platform=platform, outputs=["y", "total"], outputs_as="refs")
    assert {type(output) for output in kept.outputs.values()} == {ray.ObjectRef}
    torch.testing.assert_close(ray.get(kept["y"]), value @ value)

    again = hetsched.run(graph, {"x": kept["y"]}, platform=platform, outputs=["y"])
    torch.testing.assert_close(again["y"], torch.linalg.matrix_power(value, 4))


def test_references_need_a_session_and_a_cluster(platform: hetsched.Platform) -> None:
    import ray

    graph = one_task("relu", torch.ones(2))
    with pytest.raises(ExecutionError, match=r"outputs_as='refs' needs an open session\(executor='ray'\)"):
        hetsched.run(graph, executor="local", outputs_as="refs")
    graph = hetsched.TaskGraph()
    graph.add("relu", graph.input("x"), name="y")
    with pytest.raises(ExecutionError, match=r"an input is a Ray ObjectRef; .*executor='ray'") as caught:
        hetsched.run(graph, {"x": ray.put(torch.ones(2))}, executor="local")
    assert "\n" not in str(caught.value)


# What stays


def test_what_cannot_be_pickled_is_used_in_the_driver(platform: hetsched.Platform) -> None:
    lock, other = threading.Lock(), threading.Lock()
    graph = hetsched.TaskGraph()
    graph.input("lock")
    graph.constant(other, name="other")
    graph.constant(1, name="one")
    graph.add(lambda one: one + 1, "one", name="two", device="plain/cpu:0")
    graph.add(lambda *operands: operands, "lock", "other", "two", name="guarded")
    graph.add(lambda guarded: guarded[2] + 1, "guarded", name="three")
    result = hetsched.run(graph, {"lock": lock}, platform=platform, outputs=["guarded", "three"])
    assert result["guarded"] == (lock, other, 2)
    assert result["three"] == 3
    lanes = {span.name: span.lane for span in result.trace.of_kind("compute")}
    assert lanes["two"] == "plain/cpu:0"
    assert lanes["guarded"] == "driver/cpu:0"


def test_a_result_that_cannot_be_pickled_is_one_clear_error(platform: hetsched.Platform) -> None:
    before = everywhere(platform)
    for device, reader in (("plain/cpu:0", None), ("plain/cpu:0", "double/cpu:0"), ("double/gpu:0", None)):
        graph = hetsched.TaskGraph()
        graph.add(hetsched.op(kinds=("any",))(lambda: threading.Lock()), name="lock", device=device)
        if reader is not None:
            graph.add(lambda lock: 1, "lock", name="used", device=reader)
        with pytest.raises(ExecutionError, match=r"value 'lock' cannot be sent from .*; keep it where it is"):
            hetsched.run(graph, platform=platform)
    assert everywhere(platform) == before


# What goes wrong


def test_a_process_that_dies_is_told_soon_and_replaced(platform: hetsched.Platform) -> None:
    before = everywhere(platform)
    graph = hetsched.TaskGraph()
    graph.add(lambda: os._exit(1), name="dies", device="single/cpu:0")
    graph.add(lambda: time.sleep(0.05), name="other", device="plain/cpu:0")
    began = time.monotonic()
    with pytest.raises(WorkerLostError, match="'single' was lost") as caught:
        hetsched.run(graph, platform=platform)
    assert time.monotonic() - began < LIMIT_SECONDS
    assert "\n" not in str(caught.value)
    after = everywhere(platform)
    assert {device for device in before if before[device] != after[device]} == {"single/cpu:0"}


def test_a_failing_op_stops_the_other_nodes(platform: hetsched.Platform, caplog: pytest.LogCaptureFixture) -> None:
    def fail() -> None:
        time.sleep(0.5)
        raise ValueError("broken")

    before = everywhere(platform)
    graph = hetsched.TaskGraph()
    graph.add(fail, name="broken", device="single/cpu:0")
    graph.add(lambda: time.sleep(60), name="stuck", device="double/cpu:0")
    for i in range(600):
        graph.add(lambda: time.sleep(0.1), name=f"slow{i}", device="plain/cpu:0")
    began = time.monotonic()
    with pytest.raises(TaskFailedError, match="broken") as caught:
        hetsched.run(graph, platform=platform)
    assert time.monotonic() - began < LIMIT_SECONDS
    assert caught.value.device == "single/cpu:0"
    assert pickle.loads(pickle.dumps(caught.value)).task == "broken"
    assert "double did not stop" in caplog.text
    after = everywhere(platform)
    assert {device for device in before if before[device] != after[device]} == {"double/cpu:0"}


# What is left


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory in which a private Ray makes its own; empty again in the end."""
    room = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # paths of sockets must be short
    monkeypatch.setenv("RAY_TMPDIR", str(room))
    yield room
    room.rmdir()


def start(script: str) -> subprocess.Popen[str]:
    """A Python that runs a script as its own process group, as a terminal would start it."""
    command = [sys.executable, "-c", textwrap.dedent(script)]
    environment = {**os.environ, "MALLOC_MMAP_THRESHOLD_": "100000"}  # what is freed is given back at once
    return subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment, start_new_session=True
    )


MIXED = """
    import gc, json, os, signal, threading, time
    import psutil, torch
    import hetsched

    def fail(x):
        raise ValueError("broken")

    def job(kind):
        graph = hetsched.TaskGraph()
        graph.input("x")
        for i in range(40 if kind == "interrupt" else 4):
            graph.add(lambda x: time.sleep(0.05) or x + 1, "x", name=f"y{i}")
        if kind == "fail":
            graph.add(fail, "y1", name="broken")
        return graph

    def one_run(kind, i):
        # Not signal.raise_signal: a terminal's signal comes to the process, whose main thread takes it.
        press = threading.Timer(0.02 + 0.06 * (i % 7), os.kill, (os.getpid(), signal.SIGINT))
        if kind == "interrupt":
            press.start()
        try:
            result = hetsched.run(job(kind), {"x": torch.zeros(2**21)})
            return kind if result["y3"][0] == 1 else "wrong"
        except (KeyboardInterrupt, hetsched.TaskFailedError) as error:
            return type(error).__name__

    def private_bytes():
        gc.collect()
        info = psutil.Process().memory_info()
        return info.rss - info.shared  # the object store is shared

    before = set(os.listdir("/dev/shm"))
    with hetsched.session(executor="ray") as session:
        ray_processes = psutil.Process().children(recursive=True)
        session.executor.prepare = lambda *_, found=session.executor.prepare(None): found  # so that runs are short
        for i in range(3):
            one_run("fine", i)
        at_start = private_bytes()
        kinds = ("fine", "fail", "fine", "interrupt", "fine") * 4
        ends = [one_run(kind, i) for i, kind in enumerate(kinds)]
        ends.append(one_run("fine", 0))
        grown = private_bytes() - at_start
        ray_processes += psutil.Process().children(recursive=True)
    print(json.dumps({
        "ends": ends,
        "grown": grown,
        "threads": [t.name for t in threading.enumerate() if t is not threading.main_thread()],
        "processes": [str(p) for p in {*ray_processes, *psutil.Process().children(recursive=True)} if p.is_running()],
        "shared memory": sorted(set(os.listdir("/dev/shm")) - before),
        "files": os.listdir(os.environ["RAY_TMPDIR"]),
    }))
"""


def test_after_failures_and_interrupts_nothing_is_left(room: Path) -> None:
    with start(MIXED) as process:
        printed, errors = process.communicate(timeout=100)
    assert process.returncode == 0, errors
    told = json.loads(printed)
    expected = ["fine", "TaskFailedError", "fine", "KeyboardInterrupt", "fine"] * 4 + ["fine"]
    assert told.pop("ends") == expected
    assert told.pop("grown") < 32 * 2**20, "8 MiB go in and 32 come out, 21 times"
    assert not any(told.values()), told


ALONE = """
    import time
    import psutil
    import hetsched

    graph = hetsched.TaskGraph()
    graph.add(lambda: print("running", flush=True) or 1, name="one", device="driver")
    graph.add(lambda one: time.sleep(60), "one", name="long")
    try:
        hetsched.run(graph, executor="ray")
    except KeyboardInterrupt:
        print("interrupted", [str(p) for p in psutil.Process().children(recursive=True)], flush=True)
    print("alive", flush=True)
"""


def test_ctrl_c_ends_a_run_and_the_ray_that_it_started(room: Path) -> None:
    with start(ALONE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "running\n", process.stderr and process.stderr.read()
        started = psutil.Process(process.pid).children(recursive=True)
        assert started
        os.killpg(process.pid, signal.SIGINT)  # as a terminal does: to Ray's processes too
        began = time.monotonic()
        printed, errors = process.communicate(timeout=60)
        assert time.monotonic() - began < 2 * LIMIT_SECONDS
    assert printed == "interrupted []\nalive\n", errors
    assert not [child for child in started if child.is_running()]


def test_the_command_line_runs_on_all_nodes(ray_cluster: str, tmp_path: Path) -> None:
    pipeline = Path(__file__).parents[2] / "configs" / "pipelines" / "cluster.yaml"
    trace = tmp_path / "trace.json"
    command = [sys.executable, "-m", "hetsched", "run", pipeline, "--address", ray_cluster, "--trace", trace, "--json"]
    done = subprocess.run(command, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    assert told["outputs"]["total"] == pytest.approx(sum(told["outputs"]["sizes"]), rel=1e-4)
    used = hetsched.Trace.load(trace).devices_used
    assert len({device.partition("/")[0] for device in used} - {"driver"}) >= 2, used
