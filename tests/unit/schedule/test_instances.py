"""Instance files: reading, refusing, and schedules that an independent checker accepts."""

import importlib.util
import json
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from hetsched.errors import ScheduleError
from hetsched.schedule import SCHEDULERS, solve
from hetsched.schedule.problem import Problem
from hetsched.schedule.validate import validate

INSTANCES = Path(__file__).resolve().parents[4] / "shared" / "instances"
FILES = sorted(INSTANCES.glob("*.json"))
needs_instances = pytest.mark.skipif(not FILES, reason=f"no instances at {INSTANCES}")
with_a_memory = [path for path in FILES if '"memory_bytes": {' in path.read_text(encoding="utf-8")]

SMALL: dict[str, Any] = {
    "name": "small",
    "tasks": [
        {"id": "c", "times": {"cpu0": 1.0, "cpu1": 1.0}, "mem": 3.0},
        {"id": "a", "times": {"cpu0": 4.0, "cpu1": 4.0, "gpu": 1.0}, "mem": 5.0},
        {"id": "b", "times": {"cpu0": 2.0, "cpu1": 2.0, "gpu": None}},
    ],
    "edges": [["a", "b", 8.0], ["a", "c", 2.0], ["b", "c", 4.0]],
    "devices": ["cpu0", "cpu1", "gpu"],
    "links": {
        "cpu0->cpu1": {"latency_s": 0.0, "bytes_per_s": 1e18},
        "cpu1->cpu0": {"latency_s": 0.0, "bytes_per_s": 1e18},
        **{f"cpu{i}->gpu": {"latency_s": 1.0, "bytes_per_s": 2.0} for i in (0, 1)},
        **{f"gpu->cpu{i}": {"latency_s": 0.5, "bytes_per_s": 4.0} for i in (0, 1)},
    },
    "memory_bytes": {"gpu": 4.0},
}


@pytest.fixture(scope="module")
def check() -> ModuleType:
    """The independent checker that comes with the instances."""
    spec = importlib.util.spec_from_file_location("instance_check", INSTANCES / "check.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@needs_instances
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.stem)
def test_heft_schedules_every_instance_as_the_checker_demands(path: Path, check: ModuleType, tmp_path: Path) -> None:
    problem = Problem.load(path)
    schedule = solve(problem, "heft")
    schedule.save(tmp_path / "schedule.json")
    instance = check.load(path)
    errors, makespan = check.validate(instance, check.load(tmp_path / "schedule.json"))
    assert errors == []
    assert makespan == pytest.approx(max(placement.end for placement in schedule.placements))
    best = instance.get("optimal_makespan", instance["best_known_makespan"])
    assert problem.lower_bound_seconds <= best * (1 + 1e-9)
    assert makespan <= 1.5 * best
    if problem.n_tasks <= 150:
        assert validate(problem, schedule) == []


@needs_instances
@pytest.mark.parametrize("path", with_a_memory, ids=lambda path: path.stem)
def test_memory_and_contention_are_obeyed(path: Path, check: ModuleType, tmp_path: Path) -> None:
    problem = Problem.load(path, memory=True, contention=True)
    schedule = solve(problem, "heft")
    schedule.save(tmp_path / "schedule.json")
    errors, _ = check.validate(check.load(path), check.load(tmp_path / "schedule.json"), memory=True)
    assert errors == []
    assert validate(problem, schedule) == []


def load(tmp_path: Path, changes: dict[str, Any] | None = None, **settings: bool) -> Problem:
    path = tmp_path / "small.json"
    path.write_text(json.dumps(SMALL | (changes or {})), encoding="utf-8")
    return Problem.load(path, **settings)


def test_what_an_instance_says_is_what_the_problem_says(tmp_path: Path) -> None:
    problem = load(tmp_path)
    assert problem.name == "small"
    assert problem.task_names == ("a", "b", "c")
    assert problem.value_names == ("a#0", "a#1", "b", "c")
    assert problem.value_bytes.tolist() == [8.0, 2.0, 4.0, 0.0]
    assert problem.reads == ((), (0,), (1, 2))
    assert problem.memory_names == ("cpu0", "gpu")
    assert problem.device_memory.tolist() == [0, 0, 1]
    assert problem.device_class.tolist() == [0, 0, 1]
    assert problem.seconds.tolist() == [[4.0, 1.0], [2.0, np.inf], [1.0, np.inf]]
    assert problem.link_names == ("cpu0->gpu", "gpu->cpu0")
    assert problem.hop_seconds(0, 1, 0) == 2.5
    assert not problem.contention
    assert np.isinf(problem.capacity).all()


def test_memory_counts_static_bytes_only(tmp_path: Path) -> None:
    problem = load(tmp_path, memory=True, contention=True)
    assert problem.contention
    assert problem.memory_names == ("cpu0", "cpu1", "gpu")  # as each pair of devices has a link of its own
    assert problem.link_names == ("cpu0->gpu", "cpu1->gpu", "gpu->cpu0", "gpu->cpu1")
    assert problem.capacity.tolist() == [np.inf, np.inf, 4.0]
    assert problem.static_bytes.tolist() == [5.0, 0.0, 3.0]
    schedule = solve(problem, "heft")
    assert schedule.device_of("a").startswith("cpu")
    assert validate(problem, schedule) == []


def test_a_schedule_is_saved_in_the_format_of_the_instances(tmp_path: Path) -> None:
    schedule = solve(load(tmp_path), "heft")
    schedule.save(tmp_path / "out.json")
    rows = json.loads((tmp_path / "out.json").read_text(encoding="utf-8"))["schedule"]
    assert rows[0] == {"task": "a", "device": "gpu", "start": 0.0, "finish": 1.0}
    assert [row["task"] for row in rows] == ["a", "b", "c"]


TIMES = {"cpu0": 1.0}
WRONG: list[tuple[dict[str, Any], str]] = [
    ({"tasks": None}, "tasks: it must be a list"),
    ({"tasks": [{"id": "a"}]}, r"tasks\[0\]: it must be an object with id and times"),
    ({"tasks": [{"id": "a", "times": TIMES}] * 2, "edges": []}, r"tasks\[1\].id: 'a' is there twice"),
    ({"tasks": [{"id": "a", "times": {"tpu": 1.0}}], "edges": []}, "task 'a': times: there is no device 'tpu'"),
    ({"tasks": [{"id": "a", "times": {"cpu0": -1.0}}], "edges": []}, r"times\['cpu0'\]: it is -1.0; it must be"),
    ({"tasks": [{"id": "a", "times": {"cpu0": float("nan")}}], "edges": []}, r"times\['cpu0'\]: it is nan"),
    ({"tasks": [{"id": "a", "times": {}}], "edges": []}, "task 'a' can run on none of the devices"),
    ({"devices": []}, "devices: there is none"),
    ({"devices": ["cpu0", "cpu0"]}, "devices: 'cpu0' is there twice"),
    ({"links": {"cpu0->tpu": {}}}, r"links\['cpu0->tpu'\]: it must be 'a->b'"),
    ({"links": {"cpu0->gpu": {"latency_s": 0.0}}}, r"links\['cpu0->gpu'\].bytes_per_s: it is None"),
    ({"links": {"cpu0->gpu": {"latency_s": 0.0, "bytes_per_s": 0.0}}}, "more than zero"),
    ({"edges": [["a", "z", 1.0]]}, r"edges\[0\]: there is no task 'z'"),
    ({"edges": [["a", "b"]]}, r"edges\[0\]: it must be \[from, to, bytes\]"),
    ({"edges": [["a", "b", float("inf")]]}, r"edges\[0\]: bytes: it is inf"),
    ({"edges": [["a", "b", 1.0], ["b", "a", 1.0]]}, "edges: task 'a' is on or behind a cycle"),
    ({"edges": [["a", "b", 10**400]]}, r"edges\[0\]: bytes: it is 10+\.\.\.0+; it must be a finite number"),
    ({"memory_bytes": [4.0]}, "memory_bytes: it must be an object with bytes by device"),
    ({"memory_bytes": {"tpu": 4.0}}, "memory_bytes: there is no device 'tpu'"),
    ({"tasks": [{"id": "a", "times": TIMES, "mem": []}], "edges": []}, r"task 'a': mem: it is \[\]"),
]


@pytest.mark.parametrize(("changes", "message"), WRONG)
def test_a_malformed_instance_names_file_and_field(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ScheduleError, match=message) as raised:
        load(tmp_path, changes, memory=True)
    assert "can run on none" in message or "small.json" in str(raised.value)


def test_devices_with_a_limit_each_share_no_memory(tmp_path: Path) -> None:
    limited = {"memory_bytes": {"cpu0": 7.0, "cpu1": 7.0}}
    assert load(tmp_path, limited).memory_names == ("cpu0", "gpu")
    problem = load(tmp_path, limited, memory=True)
    assert problem.memory_names == ("cpu0", "cpu1", "gpu")
    assert problem.capacity.tolist() == [7.0, 7.0, np.inf]
    for name in SCHEDULERS:
        assert validate(problem, solve(problem, name)) == []


def test_an_instance_that_is_nested_without_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "deep.json"
    path.write_text("[" * 100_000, encoding="utf-8")
    with pytest.raises(ScheduleError, match=r"deep.json: is nested too deep"):
        Problem.load(path)


def test_an_instance_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    with pytest.raises(ScheduleError, match=r"nowhere.json: cannot be read"):
        Problem.load(tmp_path / "nowhere.json")
    (tmp_path / "half.json").write_text('{"tasks": [', encoding="utf-8")
    with pytest.raises(ScheduleError, match=r"half.json: line 1: not JSON"):
        Problem.load(tmp_path / "half.json")
    (tmp_path / "list.json").write_text("[]", encoding="utf-8")
    with pytest.raises(ScheduleError, match=r"list.json: top level: it must be an object"):
        Problem.load(tmp_path / "list.json")
