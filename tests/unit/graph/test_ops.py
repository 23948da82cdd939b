import functools

import pytest
import torch

import hetsched.graph.library  # noqa: F401 -- fills the registry
from hetsched.errors import GraphError
from hetsched.graph.ops import OPS, Op, callable_name, is_torch_function, op, register, resolve


def double(x):
    return 2 * x


class TestResolve:
    def test_names_objects_and_callables(self):
        assert resolve("add", "n") is OPS["add"]
        made = Op("mine")
        assert resolve(made, "n") is made
        plain = resolve(double, "n")
        assert (plain.name, plain.kernels, plain.pure) == ("double", {"cpu": double}, False)

    def test_unknown(self):
        with pytest.raises(GraphError, match=r"node 'n': unknown op 'softmaxx'; did you mean 'softmax'"):
            resolve("softmaxx", "n")
        with pytest.raises(GraphError, match="unknown op 'qqqq'; known are: abs, add"):
            resolve("qqqq", "n")
        with pytest.raises(GraphError, match="op is a NoneType"):
            resolve(None, "n")

    def test_torch_functions_are_pure_and_run_anywhere(self):
        for function in (torch.matmul, torch.Tensor.add, torch.nn.functional.gelu, torch.ops.aten.mm.default):
            made = resolve(function, "n")
            assert made.pure
            assert made.runs_on("cpu")
            assert made.runs_on("cuda")
            assert resolve(function, "m") is made

    def test_costs_of_torch_functions_come_from_the_library(self):
        assert resolve(torch.matmul, "n").family == resolve(torch.ops.aten.mm, "n").family == "gemm"
        assert resolve(torch.ops.aten._softmax.default, "n").family == "normalize"
        assert resolve(torch.logaddexp, "n").family == "elementwise"
        assert resolve(torch.linalg.inv, "n").flops is None

    def test_random_torch_functions_draw_from_the_generator(self):
        made = resolve(torch.rand, "n")
        assert made.random
        drawn = made.kernel_for("cpu")(3, generator=torch.Generator().manual_seed(1))
        assert torch.equal(drawn, torch.rand(3, generator=torch.Generator().manual_seed(1)))
        assert resolve(torch.bernoulli, "n").random

    @pytest.mark.parametrize(
        ("function", "params", "values"),
        [
            (torch.rand_like, {}, (0.0, 1.0)),
            (torch.randn_like, {"dtype": torch.float64}, (-8.0, 8.0)),
            (torch.randint_like, {"high": 3}, (0.0, 2.0)),
            (torch.poisson, {}, (0.0, 20.0)),
            (torch.nn.functional.dropout, {"p": 0.25}, (0.0, 4 / 3)),
        ],
    )
    def test_random_functions_of_an_operand_draw_from_the_generator(self, function, params, values):
        kernel, ones = resolve(function, "n").kernel_for("cpu"), torch.ones(1000)
        first, again, other = (
            kernel(ones, generator=torch.Generator().manual_seed(seed), **params) for seed in (1, 1, 2)
        )
        assert torch.equal(first, again)
        assert not torch.equal(first, other)
        assert values[0] <= first.min() < first.max() <= values[1] + 1e-6
        assert first.dtype == params.get("dtype", torch.float32)

    def test_dropout_is_torchs_at_both_ends(self):
        kernel, ones = resolve(torch.nn.functional.dropout, "n").kernel_for("cpu"), torch.ones(4)
        assert torch.equal(kernel(ones, training=False, generator=None), ones)
        assert torch.equal(kernel(ones, p=1.0, generator=None), torch.zeros(4))


class TestDecorator:
    def test_bare_keeps_the_function_callable(self):
        made = op(double)
        assert made(4) == 8
        assert made.kernels == {"cpu": double}
        assert made.family == "double"

    def test_settings(self):
        made = op(kinds=("cpu", "cuda"), pure=True, arity=(1, 2), family="mine", infer=lambda *_: None)(double)
        assert made.runs_on("cuda")
        assert (made.arity, made.family, made.pure) == ((1, 2), "mine", True)

    def test_a_kernel_for_another_kind(self):
        made = op(double)
        with pytest.raises(GraphError, match=r"no kernel for 'cuda', only for cpu; add one with @double.kernel"):
            made.kernel_for("cuda")

        @made.kernel("cuda")
        def on_gpu(x):
            return x + x

        assert made.kernel_for("cuda") is on_gpu

    def test_a_name_registers(self, monkeypatch):
        monkeypatch.setattr("hetsched.graph.ops.OPS", {})
        made = op(name="own")(double)
        assert resolve("own", "n") is made
        with pytest.raises(GraphError, match="'own' is registered already"):
            register(Op("own"))


def test_names_of_callables():
    assert callable_name(torch.matmul) == "matmul"
    assert callable_name(torch.Tensor.add) == "add"
    assert callable_name(torch.ops.aten.mm.default) == callable_name(torch.ops.aten.mm) == "aten.mm"
    assert callable_name(functools.partial(double)) == "double"
    assert callable_name(torch.nn.ReLU()) == "ReLU"


def test_who_wrote_a_function():
    assert is_torch_function(torch.add)
    assert is_torch_function(torch.linalg.inv)
    assert is_torch_function(functools.partial(torch.sum, dim=0))
    assert not is_torch_function(double)
    assert not is_torch_function(len)
    assert not is_torch_function(torch.nn.ReLU())
    assert not is_torch_function(torch.nn.Linear)
