"""From a frozen graph, a platform and predicted times to arrays."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from hetsched.errors import GraphError, ScheduleError
from hetsched.graph.frozen import FrozenGraph, NodeOptions, Operand, Task, Value
from hetsched.graph.ops import Op
from hetsched.graph.values import ObjectSpec, TensorSpec
from hetsched.platform.platform import Device, Host, Link, Memory, Platform, Process, Rates, Route
from hetsched.schedule import solve
from hetsched.schedule.assemble import UNKNOWN_BYTES, assemble
from hetsched.schedule.problem import Problem
from hetsched.schedule.validate import validate

MIB = 2**20


@dataclass(frozen=True)
class Times:
    seconds: np.ndarray
    deviation: np.ndarray
    device_class: np.ndarray


PLATFORM = Platform(
    name="two hosts",
    hosts=(Host("near", labels={"site": "hospital"}), Host("far", labels={"site": "cloud"})),
    processes=(Process("p0", "near"), Process("p1", "far")),
    memories=(Memory("ram", "p0"), Memory("vram:0", "p0", 8.0 * MIB), Memory("far/ram", "p1")),
    devices=(
        Device("cpu:0", "cpu", "ram"),
        Device("cpu:1", "cpu", "ram"),
        Device("gpu:0", "cuda", "vram:0"),
        Device("far/cpu:0", "cpu", "far/ram"),
    ),
    links=(Link("pcie", 1e-5, 1e10), Link("nic", 1e-4, 1e9), Link("switch", 2e-4, 5e8)),
    routes=(
        Route("ram", "vram:0", ("pcie",)),
        Route("vram:0", "ram", ("pcie",)),
        Route("ram", "far/ram", ("nic", "switch")),
        Route("far/ram", "ram", ("nic", "switch")),
    ),
)
ANY, CPU_ONLY = Op("any_op", {"any": abs}), Op("cpu_op", {"cpu": abs})
NO_OPTIONS = NodeOptions()
X, W, H, Y = range(4)


def tensor(*shape: int) -> TensorSpec:
    return TensorSpec(shape, "float32")


def graph_(
    *,
    op: Op = ANY,
    options: NodeOptions = NO_OPTIONS,
    keep_on: tuple[str, ...] = (),
    requested: tuple[int, ...] = (Y,),
) -> FrozenGraph:
    """``h = op(x, w); y = op(h, h)``, where x is an input and w a constant."""
    values = (
        Value("x", "x", None, spec=tensor(4, 4), is_input=True, keep_on=keep_on),
        Value("w", "w", None, spec=tensor(8)),
        Value("h", "h", 0, spec=tensor(2, 2), keep_on=keep_on),
        Value("y", ("y", 1), 1, spec=None, alias=H, keep_on=keep_on),
    )
    tasks = (
        Task("h", "h", ANY, (Operand(0, W), Operand(1, X)), (H,)),
        Task("y", ("y", 1), op, (Operand(0, H), Operand("other", H)), (Y,), options=options),
    )
    return FrozenGraph(tasks, values, {values[index].key: index for index in requested}, "net")


def times_of(graph: FrozenGraph) -> Times:
    seconds = np.array([[2.0, 1.0 if task.op.runs_on("cuda") else np.inf] for task in graph.tasks])
    return Times(seconds, seconds * 0.1, np.array([0, 0, 1, 0]))


def problem_of(graph: FrozenGraph, platform: Platform = PLATFORM, **settings: object) -> Problem:
    return assemble(graph, platform, times_of(graph), **settings)  # type: ignore[arg-type]


def test_names_and_arrays_follow_the_graph_and_the_platform() -> None:
    problem = problem_of(graph_())
    assert problem.name == "net"
    assert problem.task_names == ("h", "y")
    assert problem.value_names == ("x", "w", "h", "y")
    assert problem.device_names == ("cpu:0", "cpu:1", "gpu:0", "far/cpu:0")
    assert problem.memory_names == ("ram", "vram:0", "far/ram")
    assert problem.reads == ((X, W), (H,))
    assert problem.producer.tolist() == [-1, -1, 0, 1]
    assert problem.alias.tolist() == [-1, -1, -1, H]
    assert problem.device_memory.tolist() == [0, 0, 1, 2]
    assert problem.allowed.all()
    assert problem.capacity.tolist() == [np.inf, 8.0 * MIB, np.inf]
    assert problem.expected_runs == 1
    assert problem.contention


def test_a_value_of_unknown_size_is_guessed_and_noted() -> None:
    problem = problem_of(graph_())
    assert problem.value_bytes.tolist() == [64.0, 32.0, 16.0, UNKNOWN_BYTES]
    assert problem.notes == {"y": f"unknown size, taken as {UNKNOWN_BYTES} bytes"}
    known = graph_()
    known = replace(known, values=(*known.values[:Y], replace(known.values[Y], spec=ObjectSpec("str", 5))))
    assert problem_of(known).value_bytes[Y] == 5
    assert problem_of(known).notes == {}


def test_latencies_add_and_the_slowest_link_sets_the_pace() -> None:
    problem = problem_of(graph_())
    assert problem.latency[0, 2] == pytest.approx(3e-4)
    assert problem.seconds_per_byte[0, 2] == pytest.approx(1 / 5e8)
    assert np.isinf(problem.latency[1, 2])
    assert problem.route_links[0, 2] == (1, 2)
    assert problem.path(1, 2) == (1, 0, 2)


def test_sources_and_requested_outputs_are_at_home() -> None:
    problem = problem_of(graph_(requested=(Y, H)))
    assert problem.required == ((X, 0), (W, 0), (Y, 0), (H, 0))
    assert problem.resident[:, 0].tolist() == [True, True, False, False]
    assert not problem.resident[:, 1:].any()


def test_home_may_be_elsewhere() -> None:
    problem = problem_of(graph_(), replace(PLATFORM, home="far/ram"))
    assert problem.required == ((X, 2), (W, 2), (Y, 2))


def test_residency_says_where_else_values_are() -> None:
    problem = problem_of(graph_(), residency={"w": ("vram:0",), "h": ("vram:0",)})
    assert problem.resident[W].tolist() == [True, True, False]
    assert problem.resident[H].tolist() == [False, True, False]
    with pytest.raises(ScheduleError, match="residency of 'w': no memory 'vram:7'; there are ram"):
        problem_of(graph_(), residency={"w": ("vram:7",)})


def test_constants_are_persistent_when_there_are_more_runs() -> None:
    assert problem_of(graph_()).persistent.tolist() == [False] * 4
    assert problem_of(graph_(), expected_runs=9).persistent.tolist() == [False, True, False, False]


@pytest.mark.parametrize(
    ("selectors", "names"),
    [
        (("gpu:0",), ["gpu:0"]),
        (("cpu",), ["cpu:0", "cpu:1", "far/cpu:0"]),
        (("far",), ["far/cpu:0"]),
        (("hospital",), ["cpu:0", "cpu:1", "gpu:0"]),
        (("vram:0", "cpu:1"), ["cpu:1", "gpu:0"]),
    ],
)
def test_selectors_mean_devices_kinds_memories_hosts_and_labels(selectors: tuple[str, ...], names: list[str]) -> None:
    problem = problem_of(graph_(options=NodeOptions(allowed=selectors)))
    assert [problem.device_names[device] for device in problem.allowed[1].nonzero()[0]] == names
    assert problem.allowed[0].all()


def test_a_selector_that_means_nothing_is_named() -> None:
    with pytest.raises(
        GraphError, match=r"\"\('y', 1\)\": no device of platform 'two hosts' is 'tpu'; it has cpu:0 \(cpu\)"
    ):
        problem_of(graph_(options=NodeOptions(allowed=("tpu",))))


def test_ops_run_only_where_they_have_a_kernel() -> None:
    assert problem_of(graph_(op=CPU_ONLY)).allowed[1].tolist() == [True, True, False, True]
    with pytest.raises(
        GraphError, match=r"'cpu_op' has a kernel for cpu, and none for gpu:0 \(cuda\); add one with @cpu_op"
    ):
        problem_of(graph_(op=CPU_ONLY, options=NodeOptions(allowed=("gpu:0",))))


def test_kept_values_keep_their_tasks_and_copies() -> None:
    problem = problem_of(graph_(keep_on=("hospital",)))
    assert problem.may_hold.tolist() == [[True, True, False], [True] * 3, [True, True, False], [True, True, False]]
    assert problem.allowed.tolist() == [[True, True, True, False]] * 2
    assert problem_of(graph_(keep_on=("ram",))).allowed.tolist() == [[True, True, False, False]] * 2


@pytest.mark.parametrize(
    ("graph", "message"),
    [
        (
            graph_(keep_on=("mars",)),
            r"node 'x': keep_on=\['mars'\] names no memory, host or label of platform 'two hosts'",
        ),
        (graph_(keep_on=("far",)), r"node 'x': is given in 'ram', where keep_on=\['far'\] does not let it be"),
        (
            graph_(keep_on=("near",), options=NodeOptions(allowed=("far",))),
            r"keep_on of 'h', 'y' lets it run on none of far/cpu:0; loosen keep_on=",
        ),
    ],
)
def test_a_kept_value_that_would_have_to_leave_is_named(graph: FrozenGraph, message: str) -> None:
    with pytest.raises(GraphError, match=message):
        problem_of(graph)


def test_a_kept_output_cannot_be_requested_elsewhere() -> None:
    graph = graph_()
    kept = replace(graph.values[Y], keep_on=("vram:0",))
    with pytest.raises(GraphError, match="is requested, so it is delivered in 'ram', where keep_on"):
        problem_of(replace(graph, values=(*graph.values[:Y], kept)))


def test_an_empty_graph_is_a_problem() -> None:
    empty = FrozenGraph((), (), {})
    problem = assemble(empty, PLATFORM, Times(np.zeros((0, 2)), np.zeros((0, 2)), np.array([0, 0, 1, 0])))
    assert solve(problem).makespan_seconds == 0.0


def test_what_is_assembled_can_be_scheduled() -> None:
    problem = problem_of(graph_(op=CPU_ONLY), expected_runs=2)
    schedule = solve(problem, "heft")
    assert validate(problem, schedule) == []
    assert schedule.lower_bound_seconds == pytest.approx(3.0, rel=1e-3)


def on_demand(*names: str) -> Platform:
    devices = (replace(device, on_demand=device.name in names) for device in PLATFORM.devices)
    return PLATFORM.with_devices(tuple(devices))


def allowed_for_y(platform: Platform, **settings: object) -> list[bool]:
    graph = graph_(**settings)  # type: ignore[arg-type]
    return problem_of(graph, platform).allowed[1].tolist()


def test_equal_ops_with_unlike_options_values_or_times_run_in_unlike_places() -> None:
    kept = (("ram",), ("vram:0", "ram"), ())
    values = (
        *(Value(f"s{n}", f"s{n}", None, spec=tensor(2), keep_on=where) for n, where in enumerate(kept)),
        *(Value(f"v{n}", f"v{n}", n, spec=tensor(2)) for n in range(7)),
    )
    tasks = [
        Task(f"v{n}", f"v{n}", ANY, tuple(Operand(at, value) for at, value in enumerate(reads)), (n + 3,))
        for n, reads in enumerate([(0,), (1,), (2,), (2,), (1, 2), (2,), (2,)])
    ]
    tasks[3] = replace(tasks[3], options=NodeOptions(allowed=("far",)))
    tasks[6] = replace(tasks[6], op=CPU_ONLY)
    seconds = np.ones((7, 2))
    seconds[5, 1] = np.inf
    times = Times(seconds, np.zeros((7, 2)), np.array([0, 0, 1, 0]))
    problem = assemble(FrozenGraph(tuple(tasks), values, {"v5": 8}), PLATFORM, times)
    assert problem.allowed.tolist() == [
        [True, True, False, False],
        [True, True, True, False],
        [True, True, True, True],
        [False, False, False, True],
        [True, True, True, False],
        [True, True, False, True],
        [True, True, False, True],
    ]
    assert problem.may_hold[:3].tolist() == [[True, False, False], [True, True, False], [True, True, True]]
    assert problem.may_hold[3:].all()


def test_the_same_everywhere_is_kept_once() -> None:
    problem = problem_of(graph_())
    assert problem.allowed.shape == (2, 4)
    assert problem.may_hold.shape == (4, 3)
    assert problem.allowed.strides[0] == problem.may_hold.strides[0] == 0


def test_a_device_on_demand_takes_only_what_names_it_its_memory_or_its_host() -> None:
    platform = on_demand("far/cpu:0")
    assert allowed_for_y(platform) == [True, True, True, False]
    for selector in ("far/cpu:0", "far/ram", "far"):
        assert allowed_for_y(platform, options=NodeOptions(allowed=(selector,))) == [False, False, False, True]
    assert allowed_for_y(platform, options=NodeOptions(allowed=("cpu",))) == [True, True, False, False]
    assert allowed_for_y(platform, options=NodeOptions(allowed=("cpu", "far"))) == [True, True, False, True]


def test_a_label_or_a_kind_does_not_name_a_device_on_demand() -> None:
    with pytest.raises(GraphError, match=r"no device .* is 'cloud'; it has .*far/cpu:0 \(cpu, when named\)"):
        problem_of(graph_(options=NodeOptions(allowed=("cloud",))), on_demand("far/cpu:0"))


def test_a_device_on_demand_takes_what_may_be_in_its_memory_only() -> None:
    platform = replace(on_demand("far/cpu:0"), home="far/ram")
    assert allowed_for_y(platform, keep_on=("far",)) == [False, False, False, True]
    near_too = on_demand("cpu:0", "cpu:1")
    assert allowed_for_y(near_too, keep_on=("near",)) == [False, False, True, False]
    assert allowed_for_y(near_too, keep_on=("ram",)) == [True, True, False, False]


def test_a_platform_of_nothing_but_devices_on_demand() -> None:
    everything = on_demand(*(device.name for device in PLATFORM.devices))
    with pytest.raises(GraphError, match="node 'h': no device of platform 'two hosts' takes tasks that do not name it"):
        problem_of(graph_(), everything)


def test_tasks_of_one_process_share_its_interpreter_unless_it_is_emulated() -> None:
    rates = Rates({"float32": 1e9}, 1e9, 4e-6)
    devices = tuple(replace(device, rates=rates) for device in PLATFORM.devices)
    graph, times = graph_(), Times(np.ones((2, 2)), np.zeros((2, 2)), np.array([0, 0, 1, 0], dtype=np.int32))
    problem = assemble(graph, PLATFORM.with_devices(devices), times)
    assert problem.dispatcher.tolist() == [0, 0, 0, 1]
    assert problem.dispatch_seconds.tolist() == [4e-6, 4e-6]
    emulated = assemble(graph, replace(PLATFORM.with_devices(devices), emulated=True), times)
    assert emulated.dispatcher.tolist() == [-1, -1, -1, -1]
