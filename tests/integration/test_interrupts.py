"""What a user sees when a worker is stuck, or presses Ctrl-C: the run ends soon, and nothing is left behind."""

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

import hetsched


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


def test_a_run_inside_a_run() -> None:
    """Another program may run; the one that runs already would be waited for by itself."""
    programs = {}
    inner, outer = nx.DiGraph(), nx.DiGraph()
    inner.add_node("x", value=2)
    inner.add_node("y", op=lambda x: x + 1)
    inner.add_edge("x", "y")
    outer.add_node("which", input=True)
    outer.add_node(
        "nested", op=lambda which: programs[which].run({"which": "inner"} if which == "outer" else None)["y"]
    )
    outer.add_edge("which", "nested")
    with hetsched.compile(inner) as programs["inner"], hetsched.compile(outer) as programs["outer"]:
        assert programs["outer"].run({"which": "inner"})["nested"] == 3
        with pytest.raises(hetsched.TaskFailedError, match="an op waits for this program, which is running"):
            programs["outer"].run({"which": "outer"})


def test_a_worker_in_a_python_loop_is_stopped() -> None:
    entered = threading.Event()

    def loop(_: object) -> None:
        entered.set()
        while True:
            time.sleep(0.01)

    def fail(_: object) -> None:
        entered.wait(60)
        raise SystemExit("gone")

    graph = nx.DiGraph()
    graph.add_node("x", value=1)
    graph.add_node("loop", op=loop, device="cpu:0")
    graph.add_node("more", op=lambda x: x, device="cpu:1")
    graph.add_node("broken", op=fail, device="cpu:1")
    graph.add_edges_from([("x", "loop"), ("x", "more"), ("more", "broken")])
    started = time.perf_counter()
    with pytest.raises(hetsched.TaskFailedError, match="SystemExit: gone") as caught:
        hetsched.run(graph)
    assert time.perf_counter() - started < 2
    assert not hasattr(caught.value, "__notes__")
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("hetsched")]


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
