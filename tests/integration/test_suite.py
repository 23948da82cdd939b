"""What every executor must do on every platform."""

from __future__ import annotations

import random
import threading
import time
from typing import Any

import networkx as nx
import numpy as np
import pytest
import torch
from settings import Setting, sequential

import hetsched


def test_chain(setting: Setting) -> None:
    graph = nx.DiGraph()
    graph.add_node(0, value=torch.zeros(3))
    for i in range(1, 51):
        graph.add_node(i, op=torch.add, params={"other": i})
        graph.add_edge(i - 1, i)
    assert torch.equal(setting.run(graph)[50], torch.full((3,), float(sum(range(51)))))


def test_diamond(setting: Setting) -> None:
    g = hetsched.TaskGraph()
    x = g.input("x", shape=(4, 4))
    left = g.add("relu", x, name="left")
    right = g.add("sigmoid", x, name="right")
    g.add("matmul", left, right, name="out")
    value = torch.randn(4, 4)
    result = setting.run(g, {"x": value})
    torch.testing.assert_close(result["out"], value.relu() @ value.sigmoid())


def test_wide_fan_out_and_tree(setting: Setting) -> None:
    g = hetsched.TaskGraph()
    x = g.input("x", shape=(8,))
    layer = [g.add("mul", x, torch.tensor(float(i)), name=f"leaf{i}") for i in range(64)]
    level = 0
    while len(layer) > 1:
        level += 1
        layer = [
            g.add("add", a, b, name=f"n{level}.{i}")
            for i, (a, b) in enumerate(zip(layer[::2], layer[1::2], strict=True))
        ]
    result = setting.run(g, {"x": torch.ones(8)})
    assert torch.equal(result[layer[0]], torch.full((8,), float(sum(range(64)))))


def test_difference_of_sums_across_devices(setting: Setting) -> None:
    a, b, c = (torch.tensor(value) for value in ([1.0, 2.0], [3.0, 5.0], [10.0, 20.0]))
    g = hetsched.TaskGraph()
    for name, value in (("a", a), ("b", b), ("c", c)):
        g.constant(value, name=name)
    g.add("add", "a", "b", name="left", device=setting.device(0))
    g.add("add", "b", "c", name="right", device=setting.device(-1))
    g.add("sub", "left", "right", name="out", device=setting.device(1))
    result = setting.run(g)
    assert torch.equal(result["out"], (a + b) - (b + c))
    assert {span.lane for span in result.trace.of_kind("compute")} == {
        setting.device(0),
        setting.device(-1),
        setting.device(1),
    }


def test_an_operand_used_twice(setting: Setting) -> None:
    g = hetsched.TaskGraph()
    x = g.constant(torch.tensor([2.0, 3.0]), name="x")
    y = g.add("mul", x, x, name="y")
    g.add("dot", y, y, name="z")
    assert setting.run(g)["z"].item() == 16.0 + 81.0


def test_plain_networkx_with_arg_and_keyword_edges(setting: Setting) -> None:
    graph = nx.DiGraph()
    graph.add_node("x", value=torch.tensor([[1.0, 2.0]]))
    graph.add_node("w", value=torch.tensor([[3.0, 4.0]]))
    graph.add_node("b", value=torch.tensor([10.0]))
    graph.add_node("y", op=torch.nn.functional.linear)
    graph.add_edge("b", "y", arg="bias")
    graph.add_edge("w", "y", arg=1)
    graph.add_edge("x", "y", arg=0)
    graph.add_node("z", op="sub")
    graph.add_edge("y", "z", arg=(0, 1))
    result = setting.run(graph, outputs=["y", "z"])
    assert result["y"].tolist() == [[21.0]]
    assert result["z"].tolist() == [[0.0]]


def test_tuple_outputs_by_slot(setting: Setting) -> None:
    g = hetsched.TaskGraph()
    x = g.constant(torch.arange(6.0), name="x")
    g.add("split", x, size=(2, 4), name="parts", device=setting.device(-1))
    g.add("sum", g.ref("parts", 0), name="first", device=setting.device(0))
    g.add("sum", g.ref("parts", 1), name="second")
    g.add("concat", g.ref("parts", 1), g.ref("parts", 0), name="swapped")
    result = setting.run(g, outputs=["first", "second", "swapped", "parts"])
    assert (result["first"].item(), result["second"].item()) == (1.0, 14.0)
    assert result["swapped"].tolist() == [2.0, 3.0, 4.0, 5.0, 0.0, 1.0]
    assert [part.tolist() for part in result["parts"]] == [[0.0, 1.0], [2.0, 3.0, 4.0, 5.0]]


def test_views_and_aliases(setting: Setting) -> None:
    g = hetsched.TaskGraph()
    x = g.input("x", shape=(4, 6))
    t = g.add("transpose", x, dim0=0, dim1=1, name="t", device=setting.device(-1))
    r = g.add("reshape", t, shape=(3, 8), name="r")
    same = g.add("identity", r, name="same", device=setting.device(0))
    g.add("add", same, r, name="out")
    value = torch.randn(4, 6)
    before = value.clone()
    result = setting.run(g, {"x": value}, outputs=["t", "out"])
    assert torch.equal(result["t"], value.T)
    assert torch.equal(result["out"], 2 * value.T.reshape(3, 8))
    assert torch.equal(value, before)


@pytest.mark.parametrize("dtype", [torch.int64, torch.int32, torch.bool, torch.float64, torch.bfloat16, torch.float16])
def test_dtypes(setting: Setting, dtype: torch.dtype) -> None:
    a = torch.tensor([[0, 1], [1, 1]]).to(dtype)
    graph = nx.DiGraph()
    graph.add_node("a", value=a)
    graph.add_node("b", op=torch.logical_or if dtype == torch.bool else torch.add, device=setting.device(-1))
    graph.add_edge("a", "b", arg=(0, 1))
    graph.add_node("c", op=torch.t, device=setting.device(0))
    graph.add_edge("b", "c")
    result = setting.run(graph)["c"]
    assert result.dtype == dtype
    assert torch.equal(result, (torch.logical_or(a, a) if dtype == torch.bool else a + a).T)


def test_zero_size_tensors(setting: Setting) -> None:
    g = hetsched.TaskGraph()
    x = g.constant(torch.empty(0, 3), name="x")
    g.add("matmul", x, torch.ones(3, 2), name="y", device=setting.device(-1))
    g.add("sum", "y", name="z", device=setting.device(0))
    result = setting.run(g, outputs=["y", "z"])
    assert result["y"].shape == (0, 2)
    assert result["z"].item() == 0.0


def test_values_that_are_no_tensors(setting: Setting) -> None:
    lock = threading.Lock()
    graph = nx.DiGraph()
    graph.add_node("words", value=["b", "a"])
    graph.add_node("lock", value=lock)
    graph.add_node("array", value=np.arange(3))
    graph.add_node("sorted", op=sorted)
    graph.add_edge("words", "sorted")
    graph.add_node("count", op=lambda array, words: {"n": len(words), "sum": int(array.sum())})
    graph.add_edge("array", "count")
    graph.add_edge("words", "count")
    graph.add_node("guarded", op=lambda guard, count: (guard, count["n"]))
    graph.add_edge("lock", "guarded")
    graph.add_edge("count", "guarded")
    result = setting.run(graph, outputs=["sorted", "count", "guarded"])
    assert result["sorted"] == ["a", "b"]
    assert result["count"] == {"n": 2, "sum": 3}
    assert result["guarded"][0] is lock
    assert result["guarded"][1] == 2


def test_nested_tensors_cross_devices(setting: Setting) -> None:
    @hetsched.op(kinds=("any",))
    def pack(x: torch.Tensor) -> dict[str, Any]:
        return {"double": x * 2, "list": [x, (x + 1, "text")]}

    @hetsched.op(kinds=("any",))
    def unpack(packed: dict[str, Any]) -> torch.Tensor:
        return packed["double"] + packed["list"][1][0]

    g = hetsched.TaskGraph()
    g.input("x", shape=(2,))
    g.add(pack, "x", name="packed", device=setting.device(-1))
    g.add(unpack, "packed", name="out", device=setting.device(0))
    assert setting.run(g, {"x": torch.tensor([1.0, 2.0])})["out"].tolist() == [4.0, 7.0]


def test_constants_shared_by_many_tasks(setting: Setting) -> None:
    g = hetsched.TaskGraph()
    w = g.constant(torch.full((16, 16), 0.5), name="w")
    g.input("x", shape=(16, 16))
    for i in range(20):
        g.add("matmul", "x", w, name=f"y{i}", device=setting.device(i))
    with setting.compile(g) as program:
        moved = [copy for copy in program.plan.setup if copy.value == "w"]
        assert len({copy.target for copy in moved}) == len(moved)
        for scale in (1.0, 2.0):
            result = program.run({"x": torch.full((16, 16), scale)})
            assert all(torch.equal(result[f"y{i}"], torch.full((16, 16), 8.0 * scale)) for i in range(20))


def test_tasks_run_where_they_are_pinned(setting: Setting) -> None:
    g = hetsched.TaskGraph()
    g.input("x", shape=(4,))
    wanted = {}
    for i in range(12):
        wanted[f"y{i}"] = setting.device(i * 5)
        g.add("add", "x", "x", name=f"y{i}", device=wanted[f"y{i}"])
    result = setting.run(g, {"x": torch.ones(4)})
    assert {span.name: span.lane for span in result.trace.of_kind("compute")} == wanted


def test_only_what_is_requested_is_run(setting: Setting) -> None:
    graph = nx.DiGraph()
    graph.add_node("x", value=torch.ones(2))
    for name in ("wanted", "unwanted"):
        graph.add_node(name, op=lambda x: x + 1)
        graph.add_edge("x", name)
    result = setting.run(graph, outputs=["wanted", "x"])
    assert [span.name for span in result.trace.of_kind("compute")] == ["wanted"]
    assert list(result.outputs) == ["wanted", "x"]
    with pytest.raises(KeyError, match=r"unwanted.*outputs="):
        result["unwanted"]


def test_random_ops_draw_by_seed_and_task(setting: Setting) -> None:
    g = hetsched.TaskGraph()
    g.add("randn", size=(100,), name="a")
    g.add("randn", size=(100,), name="b")
    first, again, other = (setting.run(g, seed=seed) for seed in (1, 1, 2))
    assert torch.equal(first["a"], again["a"])
    assert not torch.equal(first["a"], first["b"])
    assert not torch.equal(first["a"], other["a"])


def test_inputs_are_never_changed_and_outputs_are_at_home(setting: Setting) -> None:
    g = hetsched.TaskGraph()
    g.input("x", shape=(3,))
    g.add("add", "x", "x", name="y", device=setting.device(-1))
    x = torch.tensor([1.0, 2.0, 3.0])
    result = setting.run(g, (x,))
    assert result["y"].device.type == "cpu"
    assert x.tolist() == [1.0, 2.0, 3.0]


def test_a_program_runs_many_times(setting: Setting) -> None:
    g = hetsched.TaskGraph()
    g.input("x", shape=(2,))
    for i in range(10):
        g.add("add", "x" if i == 0 else f"n{i - 1}", "x", name=f"n{i}", device=setting.device(i))
    with setting.compile(g) as program:
        for i in range(8):
            assert program.run({"x": torch.full((2,), float(i))})["n9"].tolist() == [11.0 * i] * 2


def test_empty_graph(setting: Setting) -> None:
    result = setting.run(nx.DiGraph())
    assert dict(result.outputs) == {}
    assert result.makespan_seconds >= 0


@pytest.mark.parametrize("seed", [0, 1])
def test_random_graph_of_2000_tasks(setting: Setting, seed: int) -> None:
    if seed and (setting.scheduler == "auto" or setting.executor == "ray"):
        pytest.skip("one random graph is enough where all may be on one device, or where letters take milliseconds")
    rng = random.Random(seed)
    graph = nx.DiGraph()
    graph.add_node(0, value=torch.arange(4.0))
    for i in range(1, 2001):
        before = sorted(rng.sample(range(i), min(i, rng.choice((1, 2)))))
        graph.add_node(i, op=torch.sin if len(before) == 1 else rng.choice((torch.add, torch.sub, torch.maximum)))
        graph.add_edges_from((b, i) for b in before)
    expected = sequential(graph)
    result = setting.run(graph)
    assert result.outputs
    for key, value in result.outputs.items():
        torch.testing.assert_close(value, expected[key], msg=f"node {key}")


@pytest.mark.parametrize("index", range(4))
def test_matrix_vector_and_dot(setting: Setting, index: int) -> None:
    device = setting.device(-1 - index)
    g = hetsched.TaskGraph()
    matrix = g.constant(torch.tensor([[1.0, 2.0], [3.0, 4.0]]), name="A")
    g.add("matvec", matrix, torch.tensor([5.0, 6.0]), name="Ax", device=device)
    g.add("dot", torch.tensor([1.0, 2.0]), torch.tensor([3.0, 4.0]), name="xy", device=device)
    result = setting.run(g)
    assert result["Ax"].tolist() == [17.0, 39.0]
    assert result["xy"].item() == 11.0
    assert result.trace.devices_used == (device,)


def _loss(weights: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> torch.Tensor:
    """An MLP 2-2-2-2 with ReLU and mean squared error; weights and biases alternate."""
    w1, b1, w2, b2, w3, b3 = weights
    hidden = torch.relu(torch.relu(x @ w1 + b1) @ w2 + b2)
    return torch.nn.functional.mse_loss(hidden @ w3 + b3, y)


def _step(weights: list[torch.Tensor], x: torch.Tensor, y: torch.Tensor) -> dict[str, Any]:
    gradients, loss = torch.func.grad_and_value(_loss)(weights, x, y)
    return {
        "weights": [w - 0.1 * gradient for w, gradient in zip(weights, gradients, strict=True)],
        "loss": loss,
    }


X, Y = torch.tensor([[1.0, 2.0], [2.0, 3.0]]), torch.tensor([[3.0, 4.0], [4.0, 5.0]])


def _start() -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(29)
    return [(torch.rand(*shape, generator=generator) - 0.5) * 1.4 for shape in ((2, 2), (2,)) * 3]


def _plain_torch(n_steps: int) -> list[tuple[list[torch.Tensor], float]]:
    """The same loop by autograd, in plain torch: weights before each step, and their loss."""
    weights = [w.clone().requires_grad_() for w in _start()]
    history = []
    for _ in range(n_steps + 1):
        loss = _loss(weights, X, Y)
        history.append(([w.detach().clone() for w in weights], loss.item()))
        gradients = torch.autograd.grad(loss, weights)
        with torch.no_grad():
            weights = [(w - 0.1 * gradient).requires_grad_() for w, gradient in zip(weights, gradients, strict=True)]
    return history


def test_an_mlp_trains_as_in_plain_torch(setting: Setting) -> None:
    n_checks, stride = 10, 100
    if setting.executor == "ray" or (setting.platform.emulated and setting.scheduler == "round_robin"):
        n_checks, stride = 2, 10  # every step crosses between processes, or waits for emulated links
    expected = _plain_torch(1000)
    assert expected[-1][1] * 10 < expected[0][1], "the start is one from which the loss falls tenfold"
    graph = hetsched.from_function(_step, _start(), X, Y)
    state = {f"weights.{i}": f"out.weights.{i}" for i in range(6)}
    inputs = {f"weights.{i}": w for i, w in enumerate(_start())} | {"x": X, "y": Y}
    with setting.compile(graph) as program:
        for check in range(1, n_checks + 1):
            result = program.loop(stride, state=state, inputs=inputs)
            inputs |= {weight: result[out] for weight, out in state.items()}
            for i, weight in enumerate(expected[stride * check][0]):
                torch.testing.assert_close(result[f"out.weights.{i}"], weight, atol=1e-5, rtol=0)
            assert result["out.loss"].item() == pytest.approx(expected[stride * check - 1][1], abs=1e-5)


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
    setting.run(_chain(10, broken=-1))  # workers are up
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


@pytest.mark.parametrize("layout", ["to_sparse", "to_sparse_csr"])
@pytest.mark.filterwarnings("ignore:Sparse CSR tensor support is in beta:UserWarning")
def test_sparse_tensors(setting: Setting, layout: str) -> None:
    g = hetsched.TaskGraph()
    g.constant(getattr(torch.eye(3) * 2, layout)(), name="s")
    g.input("x", shape=(3, 2))
    g.add(torch.sparse.mm, "s", "x", name="y", device=setting.device(-1))
    x = torch.arange(6.0).reshape(3, 2)
    assert torch.equal(setting.run(g, {"x": x})["y"], 2 * x)


def test_arrays_given_to_named_ops_are_tensors(setting: Setting) -> None:
    g = hetsched.TaskGraph()
    g.add("matvec", np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([5.0, 6.0]), name="y")
    assert setting.run(g)["y"].tolist() == [17.0, 39.0]
