"""What happens when an op fails or the user interrupts: one error, soon, and nothing left behind."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import textwrap
import threading
import time

import networkx as nx
import pytest
import torch
from settings import Setting

import hetsched


def _chain(n_tasks: int, broken: int) -> nx.DiGraph:
    def fail(x: torch.Tensor) -> torch.Tensor:
        raise ValueError("this op is broken")

    graph = nx.DiGraph()
    graph.add_node("x", value=torch.ones(2, 3))
    for i in range(n_tasks):
        graph.add_node(f"t{i}", op=fail if i == broken else torch.relu)
        graph.add_edge("x" if i == 0 else f"t{i - 1}", f"t{i}")
    return graph


def _hetsched_threads() -> list[str]:
    return [thread.name for thread in threading.enumerate() if thread.name.startswith("hetsched")]


def test_a_failing_op_ends_the_run(setting: Setting) -> None:
    started = time.perf_counter()
    with pytest.raises(hetsched.TaskFailedError) as caught:
        setting.run(_chain(10, broken=2))
    assert time.perf_counter() - started < 2
    error = caught.value
    assert (error.task, error.operands) == ("t2", ("float32[2, 3]",))
    assert "fail" in error.op
    assert error.device in setting.devices
    assert isinstance(error.__cause__, ValueError)
    for part in ("t2", "fail", error.device, "float32[2, 3]", "this op is broken"):
        assert part in str(error)
    assert not _hetsched_threads()
    assert torch.equal(setting.run(_chain(10, broken=-1))["t9"], torch.ones(2, 3))


def test_a_program_runs_again_after_a_failure(setting: Setting) -> None:
    graph = nx.DiGraph()
    graph.add_node("x")
    for i in range(6):
        graph.add_node(f"t{i}", op=lambda x: 1 / x)
        graph.add_edge("x", f"t{i}")
    with setting.compile(graph) as program:
        for _ in range(2):
            with pytest.raises(hetsched.TaskFailedError, match="division by zero"):
                program.run({"x": 0})
            assert program.run({"x": 4})["t5"] == 0.25
    assert not _hetsched_threads()


def test_too_few_slots_is_a_task_failure(setting: Setting) -> None:
    g = hetsched.TaskGraph()
    g.add(lambda: (1, 2), name="pair")
    g.add(lambda third: third, g.ref("pair", 2), name="out")
    with pytest.raises(hetsched.TaskFailedError, match="no slot 2"):
        setting.run(g)


def test_debug_catches_an_op_that_changes_its_operand(setting: Setting) -> None:
    graph = nx.DiGraph()
    graph.add_node("x", value=torch.ones(3))
    graph.add_node("y", op=lambda x: x.add_(1))
    graph.add_edge("x", "y")
    with pytest.raises(hetsched.TaskFailedError, match="changed an operand in place"):
        setting.run(graph, debug=True)


def test_thread_settings_are_as_before(setting: Setting) -> None:
    before = torch.get_num_threads()
    setting.run(_chain(10, broken=-1))
    with pytest.raises(hetsched.TaskFailedError):
        setting.run(_chain(10, broken=5))
    assert torch.get_num_threads() == before
    assert torch.is_grad_enabled()


def test_a_worker_stuck_in_a_call_is_named_and_left(caplog: pytest.LogCaptureFixture) -> None:
    if torch.get_num_threads() < 2:
        pytest.skip("needs two CPU workers")
    release, entered = threading.Event(), threading.Event()

    def stuck(_: object) -> None:
        entered.set()
        release.wait(60)

    def fail(_: object) -> None:
        entered.wait(60)
        raise ValueError("broken")

    graph = nx.DiGraph()
    graph.add_node("x", value=1)
    graph.add_node("stuck", op=stuck, device="cpu:0")
    graph.add_node("more", op=lambda x: x, device="cpu:1")
    graph.add_node("broken", op=fail, device="cpu:1")
    graph.add_edges_from([("x", "stuck"), ("x", "more"), ("more", "broken")])
    started = time.perf_counter()
    try:
        with pytest.raises(hetsched.TaskFailedError) as caught:
            hetsched.run(graph)
        assert time.perf_counter() - started < 10
        assert any("cpu:0" in note and "abandoned" in note for note in caught.value.__notes__)
    finally:
        release.set()


INTERRUPTED = textwrap.dedent(
    """
    import signal, sys, threading, time
    import networkx as nx, hetsched

    graph = nx.DiGraph()
    graph.add_node("x", value=0)
    for i in range(400):
        graph.add_node(i, op=lambda x: time.sleep(0.05), **({"device": sys.argv[1]} if len(sys.argv) > 1 else {}))
        graph.add_edge("x", i)
    timer = threading.Timer(0.5, lambda: print("interrupting", flush=True) or signal.raise_signal(signal.SIGINT))
    with hetsched.compile(graph) as program:
        timer.start()
        try:
            program.run()
        except KeyboardInterrupt:
            left = [t.name for t in threading.enumerate() if t.name.startswith("hetsched")]
            print("stopped", left, flush=True)
    print("closed", [t.name for t in threading.enumerate() if t.name.startswith("hetsched")], flush=True)
    print("next", hetsched.run(nx.DiGraph()).outputs, flush=True)
    """
)


@pytest.mark.parametrize("pinned", [(), ("cpu:0",)], ids=["all workers", "one worker"])
def test_ctrl_c_ends_a_run(pinned: tuple[str, ...]) -> None:
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED, *pinned], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "interrupting\n"
        interrupted_at = time.perf_counter()
        rest, errors = process.communicate(timeout=20)
        assert time.perf_counter() - interrupted_at < 2
    assert rest.splitlines() == ["stopped []", "closed []", "next {}"], errors
    assert process.returncode == 0


def test_ctrl_c_from_outside() -> None:
    """The signal a terminal sends, to a process that is inside run()."""
    code = INTERRUPTED.replace("signal.raise_signal(signal.SIGINT)", "None")
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "interrupting\n"
        os.kill(process.pid, signal.SIGINT)
        interrupted_at = time.perf_counter()
        rest, _ = process.communicate(timeout=20)
        assert time.perf_counter() - interrupted_at < 2
    assert rest.splitlines()[0] == "stopped []"
