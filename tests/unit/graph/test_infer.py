import math
import warnings
from dataclasses import replace

import pytest
import torch

import hetsched.graph.library  # noqa: F401 -- fills the registry
from hetsched.errors import CostError, GraphError
from hetsched.graph.infer import Inference, infer
from hetsched.graph.ops import OPS, op, resolve
from hetsched.graph.values import ObjectSpec, TensorSpec, TupleSpec


def f32(*shape):
    return TensorSpec(shape, "float32")


def pure(function, **settings):
    return op(pure=True, **settings)(function)


class TestUnknown:
    def test_unknown_operands_give_an_unknown_output(self):
        assert infer(OPS["matmul"], [f32(2, 2), None]) == Inference(dtype="float32")
        assert infer(OPS["conv2d"], [None], keywords={"weight": f32(1, 1, 1, 1)}).spec is None

    def test_impure_functions_are_not_called(self):
        def explode(x):
            raise AssertionError("called")

        assert infer(op(explode), [f32(2)]).spec is None

    def test_data_dependent_outputs(self):
        assert infer(resolve(torch.nonzero, "n"), [f32(5)]).spec is None
        assert infer(pure(lambda x: x[: int(x.sum())]), [f32(5)]).spec is None
        assert infer(pure(lambda x: x[x > 0]), [f32(5)]).spec is None

    def test_objects_are_not_traced(self):
        called = []
        assert infer(pure(called.append), [ObjectSpec("Image", None)]).spec is None
        assert infer(OPS["add"], [f32(2), ObjectSpec("float", 8)]).spec is None
        assert not called

    def test_a_torch_function_that_fails_is_only_unknown(self):
        assert infer(resolve(torch.matmul, "n"), [f32(2, 3), f32(2, 3)]).spec is None


class TestKnown:
    def test_raw_torch_functions(self):
        made = infer(resolve(torch.matmul, "n"), [f32(2, 3), f32(3, 4)])
        assert (made.spec, made.flops, made.n_bytes) == (f32(2, 4), 48.0, 4.0 * (6 + 12 + 8))
        assert infer(resolve(torch.nn.functional.relu, "n"), [f32(7)]).flops == 7
        assert infer(resolve(torch.logaddexp, "n"), [f32(7), f32(7)]).flops == 7
        assert infer(resolve(torch.linalg.inv, "n"), [f32(3, 3)]) == Inference(
            f32(3, 3), (None,), None, 72.0, "float32"
        )
        assert infer(resolve(torch.randn, "n"), [], {"size": (3, 4)}).spec == f32(3, 4)

    def test_aten_operators(self):
        aten = torch.ops.aten
        assert infer(resolve(aten.addmm.default, "n"), [f32(4), f32(2, 3), f32(3, 4)]).flops == 48 + 8
        convolution = infer(
            resolve(aten.convolution.default, "n"),
            [f32(1, 3, 8, 8), f32(4, 3, 3, 3)],
            {
                "stride": [1, 1], "padding": [0, 0], "dilation": [1, 1],
                "transposed": False, "output_padding": [0, 0], "groups": 1,
            },
            {"bias": f32(4)},
        )  # fmt: skip
        assert convolution.flops == 2 * 144 * 27 + 144
        assert infer(resolve(aten.threshold_backward.default, "n"), [f32(5), f32(5)], {"threshold": 0}).flops == 5

    def test_keyword_operands(self):
        made = infer(OPS["linear"], [f32(3, 4)], {}, {"weight": f32(5, 4), "bias": f32(5)})
        assert (made.spec, made.flops) == (f32(3, 5), 135.0)
        with pytest.raises(GraphError, match=r"weight=float32\[5, 3\]"):
            infer(OPS["linear"], [f32(3, 4)], {}, {"weight": f32(5, 3)})

    def test_views_and_slots(self):
        made = infer(pure(lambda x, y: (y[0], x + y, x.T)), [f32(2, 2), f32(2, 2)])
        assert made.spec == TupleSpec((f32(2), f32(2, 2), f32(2, 2)))
        assert made.views == (1, None, 0)
        assert made.whole_view is None
        assert infer(pure(lambda x: x.view(4)), [f32(2, 2)]).whole_view == 0

    def test_equal_uses_are_traced_once_and_unequal_params_apart(self):
        called = []

        @op(pure=True)
        def fill(x, value):
            called.append(value)
            return torch.full_like(x, value, dtype=None if isinstance(value, float) else torch.int64)

        for _ in range(3):
            assert infer(fill, [f32(2)], {"value": 1}).spec == TensorSpec((2,), "int64")
            assert infer(fill, [f32(2)], {"value": 1.0}).spec == f32(2)
        assert called == [1, 1.0]

    def test_params_that_cannot_be_compared_are_still_traced(self):
        assert infer(pure(lambda x, table: x + table[0]), [f32(2)], {"table": torch.ones(1, 2)}).spec is None
        assert infer(pure(lambda x, change: change(x)), [f32(2)], {"change": torch.neg}).spec == f32(2)

    def test_an_ops_own_rule_and_formulas(self):
        @op(infer=lambda operands, params: f32(params["n"]), flops=lambda operands, output, params: 2.0 * params["n"])
        def opaque(x, n):
            raise AssertionError("called")

        made = infer(opaque, [ObjectSpec("str", 3)], {"n": 4})
        assert (made.spec, made.flops, made.n_bytes) == (f32(4), 8.0, 19.0)

    def test_warnings_are_kept_for_the_run(self):
        def warn(x):
            warnings.warn("now", stacklevel=1)
            return x + 1

        assert infer(pure(warn), [f32(2)]).spec == f32(2)

    def test_gradients_and_default_device_are_left_as_they_were(self):
        infer(OPS["tanh"], [f32(3, 3, 3)], {})
        infer(OPS["sum"], [f32(3, 3, 3)], {})
        assert torch.is_grad_enabled()
        assert torch.ones(1).device.type == "cpu"


class TestWrong:
    @pytest.mark.parametrize("amount", [math.nan, -1.0, math.inf])
    def test_formula_that_gives_no_number(self, amount):
        with pytest.raises(CostError, match="flops formula gave"):
            infer(pure(lambda x: x + 1, flops=lambda *_: amount), [f32(2)])

    def test_formula_that_raises(self):
        with pytest.raises(GraphError, match=r"flops formula raised ZeroDivisionError"):
            infer(pure(lambda x: x + 1, flops=lambda *_: 1 / 0), [f32(2)])

    def test_arity(self):
        with pytest.raises(GraphError, match=r"'conv2d' takes 2 to 3 operands and got 1; add"):
            infer(OPS["conv2d"], [None])
        with pytest.raises(GraphError, match=r"'stack' takes 1 or more operands and got 0; add"):
            infer(OPS["stack"], [])
        with pytest.raises(GraphError, match=r"'one' takes 1 operand and got 2; remove"):
            infer(replace(OPS["relu"], name="one"), [None, None])
