"""The command line: what it prints, what it writes, and how it ends."""

import json
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from hetsched.cli.app import app

ROOT = Path(__file__).parents[2]
WORKSTATION = str(ROOT / "configs" / "platforms" / "one-gpu-workstation.yaml")
PIPELINE = """\
name: tiny
description: a small job
inputs:
  a: {value: [[1, 2], [3, 4]], dtype: float32}
  x: {value: [5, 6], dtype: float32}
tasks:
  y: {op: matmul, of: [a, x]}
  total: {op: sum, of: y}
  table: {op: matmul, of: [a, a]}
outputs: [y, total, table]
"""
LINK = {"latency_s": 0.5, "bytes_per_s": 10.0}
INSTANCE = {
    "name": "two",
    "tasks": [{"id": "first", "times": {"cpu": 2.0, "gpu": 1.0}}, {"id": "second", "times": {"cpu": 3.0}}],
    "edges": [["first", "second", 10]],
    "devices": ["cpu", "gpu"],
    "links": {"cpu->gpu": LINK, "gpu->cpu": LINK},
}


def cli(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


@pytest.fixture(autouse=True)
def pipeline(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tiny.yaml").write_text(PIPELINE)
    Path("two.json").write_text(json.dumps(INSTANCE))
    return Path("tiny.yaml")


# What commands do


def test_run_prints_outputs_placements_and_times():
    done = cli("run", "tiny.yaml")
    assert done.exit_code == 0, done.output
    assert re.search(r"^y +float32\[2\] \[17, 39\]$", done.stdout, re.MULTILINE)
    assert re.search(r"^total +56$", done.stdout, re.MULTILINE)
    assert re.search(r"^cpu:0 +\d ", done.stdout, re.MULTILINE)
    assert re.search(r"predicted .*, measured .*, lower bound ", done.stdout)
    assert "wrote" not in done.stdout


def test_help_names_every_command():
    done = cli("--help")
    assert done.exit_code == 0
    assert re.findall(r"^  ([a-z]+) ", done.stdout, re.MULTILINE) == ["run", "plan", "simulate", "schedule", "devices"]


def test_run_as_json():
    told = json.loads(cli("run", "tiny.yaml", "--json", "--platform", WORKSTATION).stdout)
    assert told["outputs"] == {"y": [17, 39], "total": 56, "table": [[7, 10], [15, 22]]}
    assert set(told["placements"]) == {"y", "total", "table"}
    assert told["emulated"] is True
    assert told["makespan_seconds"] > 0
    assert told["predicted_makespan_seconds"] > 0


def test_large_outputs_are_told_by_shape(tmp_path):
    Path("big.yaml").write_text("name: big\ninputs: {a: {random: [30, 2]}}\ntasks: {b: {op: relu, of: a}}")
    assert re.search(r"^b +float32\[30, 2\]$", cli("run", "big.yaml").stdout, re.MULTILINE)
    assert json.loads(cli("run", "big.yaml", "--json").stdout)["outputs"] == {
        "b": {"shape": [30, 2], "dtype": "float32"}
    }


def test_run_writes_what_is_asked_for():
    done = cli(
        "run", "tiny.yaml", "--trace", "out/t.json", "--timeline", "out/t.png", "--report", "out/t.html",
        "--set", "save={y: out/y.json}",
    )  # fmt: skip
    assert done.exit_code == 0, done.output
    assert json.loads(Path("out/y.json").read_text()) == [17, 39]
    assert {event["ph"] for event in json.loads(Path("out/t.json").read_text())["traceEvents"]} >= {"X"}
    assert Path("out/t.png").read_bytes().startswith(b"\x89PNG")
    assert "<html" in Path("out/t.html").read_text()
    assert [line for line in done.stdout.splitlines() if line.startswith("wrote")] == [
        "wrote out/y.json",
        "wrote out/t.json",
        "wrote out/t.html",
        "wrote out/t.png",
    ]


def test_set_changes_the_job():
    told = json.loads(cli("run", "tiny.yaml", "--json", "--set", "inputs.x.value=[1, 1]", "--set", "outputs=y").stdout)
    assert told["outputs"] == {"y": [3, 7]}


def test_verbose_adds_predicted_beside_measured():
    assert "makespan" not in cli("run", "tiny.yaml").stdout
    assert "makespan" in cli("run", "tiny.yaml", "--verbose").stdout


def test_plan_prints_the_plan():
    from hetsched import Plan

    printed = cli("plan", "tiny.yaml", "--platform", WORKSTATION).stdout
    assert "compute y reads" in printed
    assert Plan.parse(printed).platform == "one-gpu-workstation"
    assert json.loads(cli("plan", "tiny.yaml", "--json", "--platform", WORKSTATION).stdout)["plan"] == printed.strip()


def test_simulate_predicts():
    printed = cli("simulate", "tiny.yaml", "--platform", WORKSTATION, "--trace", "t.json").stdout
    assert re.search(r"predicted .* on one-gpu-workstation", printed)
    assert Path("t.json").exists()
    told = json.loads(cli("simulate", "tiny.yaml", "--platform", WORKSTATION, "--json").stdout)
    assert told["makespan_seconds"] > 0
    assert sum(lane["n"] for lane in told["lanes"].values()) >= 3


@pytest.mark.parametrize("flags", [(), ("--memory", "--contention", "--scheduler", "single_device", "--budget", "5")])
def test_schedule_writes_a_schedule(flags):
    done = cli("schedule", "two.json", *flags, "--out", "out/s.json")
    assert done.exit_code == 0, done.output
    assert "makespan 5, lower bound " in done.stdout
    rows = {row["task"]: row for row in json.loads(Path("out/s.json").read_text())["schedule"]}
    assert rows["first"] == {"task": "first", "device": "cpu", "start": 0, "finish": 2}
    assert rows["second"] == {"task": "second", "device": "cpu", "start": 2, "finish": 5}


def test_devices_lists_this_machine_and_files():
    assert "cpu:0" in cli("devices").stdout
    told = json.loads(cli("devices", "--json", "--platform", WORKSTATION).stdout)
    assert {device["kind"] for device in told["devices"]} == {"cpu", "cuda"}
    assert told["emulated"] is True
    assert told["links"]


# How they end


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("run", "gone.yaml"), "gone.yaml: cannot be read"),
        (("run", "tiny.yaml", "--set", "tasks.y.op=matmull"), "unknown op 'matmull'; did you mean 'matmul'"),
        (("run", "tiny.yaml", "--set", "tasks.y.of=[a, total]"), "part of a cycle"),
        (("run", "tiny.yaml", "--set", "tasks.y.of=[a]"), "'y'"),
        (("run", "tiny.yaml", "--set", "tasks.y.of=[a, x, x]"), "'y'"),
        (("run", "tiny.yaml", "--set", "inputs.x.value=[1, 2, 3]"), "'y'"),
        (("run", "tiny.yaml", "--set", "outputs=[z]"), "there is no 'z'"),
        (("run", "tiny.yaml", "--set", "tasks.y.device=gpu:7"), "'y'"),
        (("run", "tiny.yaml", "--executor", "loca"), "unknown executor 'loca'; did you mean 'local'"),
        (("run", "tiny.yaml", "--set", "run.scheduler=hef"), "unknown scheduler 'hef'; did you mean 'heft'"),
        (("run", "tiny.yaml", "--platform", "gone.yaml"), "gone.yaml"),
        (("run", "tiny.yaml", "--timeline", "t.docx"), "t.docx"),
        (("plan", "gone.yaml"), "gone.yaml: cannot be read"),
        (("simulate", "gone.yaml"), "gone.yaml: cannot be read"),
        (("schedule", "gone.json", "--out", "s.json"), "gone.json"),
        (("schedule", "two.json", "--out", "s.json", "--scheduler", "hef"), "no scheduler 'hef'"),
        (("devices", "--platform", "gone.yaml"), "gone.yaml"),
        (("run",), "Missing argument"),
        (("run", "tiny.yaml", "--colour"), "No such option"),
        (("schedule", "gone.json", "--budget", "x", "--out", "s"), "Invalid value for '--budget'"),
        (("fly",), "No such command 'fly'"),
    ],
)  # fmt: skip
def test_bad_input_ends_with_2(arguments, said):
    done = cli(*arguments)
    assert done.exit_code == 2, done.output
    assert said in done.stderr
    assert done.stdout == ""
    assert done.exception is None or isinstance(done.exception, SystemExit)


@pytest.fixture
def own_code(monkeypatch):
    Path("owncode.py").write_text(
        "import sys, threading\n"
        "def fail(x): raise ValueError('three is too many')\n"
        "def load(): raise RuntimeError('no disk')\n"
        "def wait(x):\n"
        "    print('waiting', flush=True)\n"
        "    threading.Event().wait(30)\n"
    )
    monkeypatch.syspath_prepend(Path.cwd())
    yield
    sys.modules.pop("owncode", None)


def test_failing_job_ends_with_1_and_tells_the_cause_when_asked(own_code):
    arguments = ("run", "tiny.yaml", "--set", "tasks.y.op=owncode:fail", "--allow-import", "owncode")
    quiet, verbose = (
        cli(*arguments[:4], "--set", "tasks.y.of=x", *arguments[4:]),
        cli(*arguments[:4], "--set", "tasks.y.of=x", *arguments[4:], "--verbose"),
    )
    assert quiet.exit_code == verbose.exit_code == 1
    assert len(quiet.stderr.splitlines()) == 1
    assert re.search(r"error: task 'y' .*fail.* on cpu:\d .*float32\[2\].*ValueError: three is too many", quiet.stderr)
    assert "in fail" not in quiet.stderr
    assert "in fail" in verbose.stderr


def test_failing_call_ends_with_1(own_code):
    done = cli("run", "tiny.yaml", "--set", "inputs.x={call: owncode:load}", "--allow-import", "owncode")
    assert done.exit_code == 1
    assert "owncode:load raised RuntimeError: no disk" in done.stderr


def test_code_is_not_imported_unasked(own_code):
    done = cli("run", "tiny.yaml", "--set", "tasks.y.op=owncode:fail")
    assert done.exit_code == 2
    assert "--allow-import owncode" in done.stderr
    assert "owncode" not in sys.modules


def hetsched(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "hetsched", *arguments], capture_output=True, text=True, timeout=60, check=False
    )


def test_as_a_process():
    done = hetsched("run", "tiny.yaml")
    assert (done.returncode, done.stderr) == (0, "")
    assert "[17, 39]" in done.stdout
    bad = hetsched("run", "gone.yaml")
    assert bad.returncode == 2
    assert bad.stderr.splitlines() == [line for line in bad.stderr.splitlines() if line.startswith("error: gone.yaml")]


def test_interrupt_ends_with_130_and_one_line(own_code):
    process = subprocess.Popen(
        [sys.executable, "-m", "hetsched", "run", "tiny.yaml", "--set", "tasks.y={op: owncode:wait, of: x}",
         "--set", "outputs=[y]", "--set", "tasks.total.of=x", "--allow-import", "owncode"],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout is not None
    try:
        assert process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        _, stderr = process.communicate(timeout=20)
    finally:
        process.kill()
    assert process.returncode == 130
    assert stderr.splitlines() == ["interrupted"]
