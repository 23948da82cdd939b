import operator

import pytest
import torch
import torch.nn.functional as F  # noqa: N812 -- everybody's name for it
from torch.utils import _pytree as pytree

from hetsched.errors import GraphError
from hetsched.graph.freeze import freeze
from hetsched.graph.from_torch import from_function
from hetsched.graph.values import spec_of


def execute(graph, *examples):
    """Run a graph task by task; also holds every inferred spec against the value that is really made."""
    frozen = freeze(graph)
    leaves = [leaf for leaf in pytree.tree_leaves(examples) if isinstance(leaf, torch.Tensor)]
    given = dict(zip([key for key in graph if graph.nodes[key].get("input")], leaves, strict=True))
    values = {
        index: given[value.key] if value.is_input else value.data
        for index, value in enumerate(frozen.values)
        if value.producer is None
    }
    with torch.no_grad():
        for task in frozen.tasks:
            args = [values[operand.value] for operand in task.operands if isinstance(operand.arg, int)]
            keywords = {operand.arg: values[operand.value] for operand in task.operands if isinstance(operand.arg, str)}
            tensors = [arg for arg in args if isinstance(arg, torch.Tensor)]
            versions = [tensor._version for tensor in tensors]
            made = task.op.kernel_for("cpu")(*args, **task.params, **keywords)
            assert versions == [tensor._version for tensor in tensors], f"{task.name} changed an operand"
            for index in task.outputs:
                slot = frozen.values[index].slot
                values[index] = made if slot is None else made[slot]
                assert frozen.values[index].spec in (None, spec_of(values[index])), task.name
    return {key: values[index] for key, index in frozen.requested.items()}


def assert_equal(function, *examples):
    """The graph's outputs equal the function's, in order; returns the graph."""
    graph = from_function(function, *examples)
    made = execute(graph, *examples)
    wanted = pytree.tree_leaves(function(*examples))
    assert len(made) == len(wanted)
    for name, reference in zip(made, wanted, strict=True):
        torch.testing.assert_close(made[name], reference, atol=1e-6, rtol=1e-6, msg=name)
    return graph


def inputs(graph):
    return [key for key in graph if graph.nodes[key].get("input")]


def sinks(graph):
    return list(freeze(graph).requested)


def normal(*shape, seed=0):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed + sum(shape)))


def mlp_loss(params, x, y):
    for layer in range(3):
        x = x @ params[f"w{layer}"] + params[f"b{layer}"]
        if layer < 2:
            x = torch.relu(x)
    return F.mse_loss(x, y)


def test_mlp_step_of_gradient_descent():
    def step(params, x, y):
        gradients, loss = torch.func.grad_and_value(mlp_loss)(params, x, y)
        return {name: params[name] - 0.1 * gradients[name] for name in params}, loss

    params = {f"w{layer}": normal(2, 2, seed=layer) for layer in range(3)}
    params |= {f"b{layer}": normal(2, seed=layer) for layer in range(3)}
    x, y = torch.tensor([[1.0, 2], [2, 3]]), torch.tensor([[3.0, 4], [4, 5]])
    graph = assert_equal(step, params, x, y)
    assert inputs(graph) == [*(f"params.{name}" for name in params), "x", "y"]
    assert sinks(graph) == [*(f"out.0.{name}" for name in params), "out.1"]
    assert graph.nodes["params.w0"]["shape"] == (2, 2)


def test_cnn_step_of_adam():
    def loss_of(params, images, labels):
        x = F.max_pool2d(torch.relu(F.conv2d(images, params["conv"], params["conv_bias"], padding=1)), 2)
        x = F.layer_norm(x.flatten(1), (4 * 4 * 4,))
        return F.cross_entropy(F.linear(x, params["head"]), labels)

    def step(state, images, labels):
        gradients, loss = torch.func.grad_and_value(loss_of)(state["params"], images, labels)
        new = {"params": {}, "m": {}, "v": {}, "t": state["t"] + 1}
        for name, gradient in gradients.items():
            new["m"][name] = 0.9 * state["m"][name] + 0.1 * gradient
            new["v"][name] = 0.999 * state["v"][name] + 0.001 * gradient * gradient
            m = new["m"][name] / (1 - 0.9 ** new["t"])
            v = new["v"][name] / (1 - 0.999 ** new["t"])
            new["params"][name] = state["params"][name] - 1e-2 * m / (v.sqrt() + 1e-8)
        return {"state": new, "loss": loss}

    params = {"conv": normal(4, 1, 3, 3), "conv_bias": normal(4), "head": normal(10, 64)}
    zeros = {name: torch.zeros_like(value) for name, value in params.items()}
    state = {"params": params, "m": zeros, "v": dict(zeros), "t": torch.tensor(0.0)}
    graph = assert_equal(step, state, normal(5, 1, 8, 8), torch.tensor([1, 2, 3, 4, 9]))
    assert "out.state.params.conv" in sinks(graph)
    assert "out.loss" in sinks(graph)
    known = [task.flops is not None for task in freeze(graph).tasks]
    assert sum(known) == len(known), [task.op.name for task in freeze(graph).tasks if task.flops is None]


def test_one_output_is_called_out():
    graph = assert_equal(lambda x: x + 1, normal(3))
    assert sinks(graph) == ["out"]
    assert inputs(graph) == ["x"]


def test_names_follow_parameters_and_paths():
    def first(pair, *rest, **unused):
        return [pair[0] + rest[1]["deep"][0], {"k": rest[0]}]

    graph = assert_equal(first, (normal(2), normal(3)), normal(4), {"deep": [normal(2)]})
    assert inputs(graph) == ["pair.0", "pair.1", "rest.0", "rest.1.deep.0"]
    assert sinks(graph) == ["out.0", "out.1.k"]


def test_builtins_have_no_parameter_names():
    assert inputs(from_function(torch.add, normal(2), normal(2))) == ["arg0", "arg1"]


def test_tensors_in_lists():
    assert_equal(lambda x, y: torch.cat([x, y, x * 2], dim=1), normal(2, 3), normal(2, 4))
    assert_equal(lambda x, y: torch.stack([y, x]).sum(0), normal(3), normal(3, seed=1))
    assert_equal(lambda x, i: x[:, i], normal(3, 4), torch.tensor([0, 3]))
    graph = from_function(lambda x, y: torch.cat([x, y]), normal(2), normal(2))
    assert freeze(graph).tasks[0].op.name == "aten.cat"
    assert freeze(graph).tasks[0].n_bytes == 32


def test_several_outputs_of_one_operator():
    graph = assert_equal(lambda x: torch.topk(x, 2)[0] + x.chunk(2)[1], normal(4))
    assert {value.slot for value in freeze(graph).values} >= {0, 1}


def test_tensors_from_outside_become_constants():
    weight = normal(3, 3)
    graph = assert_equal(lambda x: x @ weight + torch.tensor([1.0, 2, 3]) + torch.ones(3), normal(2, 3))
    frozen = freeze(graph)
    assert len(frozen.constants) == 3
    assert any(value.data is weight for value in frozen.constants)


def test_factories_are_computed_while_tracing_and_carry_no_device():
    graph = assert_equal(lambda x: x + torch.arange(3) + torch.zeros_like(x) + x.new_zeros(3), normal(3))
    assert all("device" not in task.params for task in freeze(graph).tasks)
    assert not any(task.op.name == "aten.arange" for task in freeze(graph).tasks)


def test_in_place_operators_are_made_functional():
    def accumulate(x):
        total = torch.zeros_like(x)
        for _ in range(3):
            total += x
        total[0] = 7
        return total.relu_()

    assert_equal(accumulate, normal(4))


def test_other_leaves_are_fixed():
    def scaled(x, factor, mode):
        return x * factor if mode == "up" else x / factor

    graph = assert_equal(scaled, normal(2), 3.0, "up")
    assert inputs(graph) == ["x"]


def test_outputs_that_are_inputs_or_no_tensors():
    graph = from_function(lambda x: (x, 3, None), normal(2))
    assert execute(graph, torch.ones(2))["out.1"] == 3
    assert sinks(graph) == ["out.0", "out.1", "out.2"]


def test_dead_code_and_unused_inputs():
    graph = from_function(lambda x, y: (x.exp(), x + 1)[1], normal(2), normal(2))
    assert [task.name for task in freeze(graph).tasks] == ["add", "out"]
    assert inputs(graph) == ["x", "y"]


def test_second_order_gradients_and_vmap():
    assert_equal(torch.func.grad(torch.func.grad(lambda x: x**3)), torch.tensor(2.0))
    assert_equal(torch.func.vmap(torch.dot), normal(3, 4), normal(3, 4, seed=1))


def test_modules_are_functions_too():
    model = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.ReLU(), torch.nn.Linear(4, 2))
    graph = assert_equal(lambda x: model(x).detach(), normal(5, 3))
    assert len(freeze(graph).constants) == 4


def test_names_never_collide():
    graph = assert_equal(lambda add, mul: (add + mul) * mul, normal(2), normal(2))
    assert inputs(graph) == ["add", "mul"]


def test_attention_without_dropout_draws_nothing():
    def attend(q, k, v):
        return F.scaled_dot_product_attention(q, k, v)

    examples = [normal(1, 2, 8, 16, seed=seed) for seed in range(3)]
    assert_equal(attend, *examples)
    with pytest.raises(GraphError, match="draws random numbers"):
        from_function(lambda q: F.scaled_dot_product_attention(q, q, q, dropout_p=0.5), examples[0])


class TestRefused:
    def test_data_dependent_control_flow(self):
        def branches(x):
            return x if x.sum() > 0 else -x

        with pytest.raises(GraphError, match=r"branches' cannot be traced.*torch.where") as caught:
            from_function(branches, normal(2))
        assert caught.value.__cause__ is not None

    def test_an_error_of_the_function(self):
        with pytest.raises(GraphError, match="cannot be traced"):
            from_function(operator.matmul, normal(2, 3), normal(2, 3))

    def test_random_numbers(self):
        with pytest.raises(GraphError, match=r"draws random numbers \(aten.*pass them in"):
            from_function(lambda x: F.dropout(x), normal(2))
        with pytest.raises(GraphError, match="draws random numbers"):
            from_function(lambda x: x + torch.randn(2), normal(2))

    def test_what_is_no_function(self):
        with pytest.raises(GraphError, match="cannot be traced"):
            from_function(5, normal(2))

    def test_an_argument_changed_in_place(self):
        with pytest.raises(GraphError, match="changes 'x' in place; return the new value"):
            from_function(lambda x: x.add_(1), normal(2))

    def test_a_parameter_called_out(self):
        with pytest.raises(GraphError, match="parameter called 'out'"):
            from_function(lambda out: out + 1, normal(2))
