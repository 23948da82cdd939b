"""The ladder: given, measured, roofline, prior."""

import math
from dataclasses import replace

import pytest

from hetsched.cost.history import MAX_SAMPLES
from hetsched.cost.model import CostModel, Estimate
from hetsched.cost.roofline import PRIOR, Roofline
from hetsched.errors import CostError
from hetsched.graph.frozen import FrozenGraph, NodeOptions, Operand, Task, Value
from hetsched.graph.ops import Op
from hetsched.graph.values import TensorSpec
from hetsched.platform.platform import Device, Host, Link, Memory, Platform, Process, Rates
from hetsched.trace.trace import Span, Trace

RATES = Rates({"float32": 1e9, "float64": 5e8}, 1e9, 1e-6)
CPU = Device("cpu:0", "cpu", "ram", "M", rates=RATES)
GPU = Device("gpu:0", "cuda", "ram", "G", rates=Rates({"float32": 1e12}, 1e11, 1e-5))
PLATFORM = Platform(
    "p", (Host("h"),), (Process("h", "h"),), (Memory("ram", "h"),), (CPU, replace(CPU, name="cpu:1"), GPU)
)
OP = Op("work", {"any": abs})


def task(name: str = "t", **more: object) -> Task:
    return Task(name, name, OP, (Operand(0, 0),), (1,), **({"flops": 2e6, "n_bytes": 1e6} | more))


def graph(*tasks: Task) -> FrozenGraph:
    source = Value("s", "s", None, spec=TensorSpec((2, 2), "float32"), is_input=True)
    return FrozenGraph(tasks, (source, Value("o", "o", 0)), {})


def trace(*seconds: float, name: str = "t", lane: str = "cpu:0", **more: object) -> Trace:
    return Trace(tuple(Span("compute", name, lane, 0.0, s, **more) for s in seconds), max(seconds))


def test_it_is_a_cost_model():
    model: CostModel = Roofline()
    assert model


def test_roofline_is_the_slower_of_computing_and_moving():
    model = Roofline()
    assert model.estimate(task(), graph(task()), CPU) == Estimate(1e-6 + 2e-3, 0.5 * (1e-6 + 2e-3), "roofline")
    moving = task(n_bytes=1e7)
    assert model.estimate(moving, graph(moving), CPU).seconds == 1e-6 + 1e-2
    double = task(dtype="float64")
    assert model.estimate(double, graph(double), CPU).seconds == 1e-6 + 4e-3


@pytest.mark.parametrize(
    ("what", "device"),
    [(task(flops=None), CPU), (task(n_bytes=None), CPU), (task(), replace(CPU, rates=None)), (task(flops=None), GPU)],
)
def test_nothing_known_is_a_wide_prior(what, device):
    assert Roofline().estimate(what, graph(what), device) == PRIOR
    assert PRIOR.deviation_seconds > PRIOR.seconds


def test_given_seconds_win():
    learnt = Roofline().refined(trace(1.0, 2.0), graph(task()), PLATFORM)
    for seconds, device, expected in (
        (0.25, CPU, 0.25),
        ({"cpu": 0.5, "gpu:0": 3}, CPU, 0.5),
        ({"cpu": 0.5, "gpu:0": 3}, GPU, 3),
        ({"cpu": 0.5, "cpu:0": 0.0}, CPU, 0.0),
    ):
        given = task(options=NodeOptions(seconds=seconds))
        assert learnt.estimate(given, graph(given), device) == Estimate(expected, 0.0, "given")
    elsewhere = task(options=NodeOptions(seconds={"cuda": 1.0}))
    assert learnt.estimate(elsewhere, graph(elsewhere), CPU).source == "measured"


@pytest.mark.parametrize("seconds", [math.nan, -1.0, math.inf, "3"])
def test_given_seconds_must_be_numbers(seconds):
    wrong = task("bad", options=NodeOptions(seconds=seconds))
    with pytest.raises(
        CostError, match=r"node 'bad': seconds on cpu:0 is .*; it must be a finite number, zero or more"
    ):
        Roofline().estimate(wrong, graph(wrong), CPU)


def test_the_first_sample_is_dropped():
    model = Roofline().refined(trace(100.0), graph(task()), PLATFORM)
    assert model.estimate(task(), graph(task()), CPU).source == "roofline"
    model = model.refined(trace(3.0), graph(task()), PLATFORM)
    assert model.estimate(task(), graph(task()), CPU) == Estimate(3.0, 0.75, "measured", 1)


def test_median_and_spread():
    model = Roofline().refined(trace(100.0, 1.0, 2.0, 9.0), graph(task()), PLATFORM)
    estimate = model.estimate(task(), graph(task()), CPU)
    assert (estimate.seconds, estimate.source, estimate.n_samples) == (2.0, "measured", 3)
    assert estimate.deviation_seconds == pytest.approx(19**0.5)


def test_devices_of_a_class_learn_together_and_others_do_not():
    both = Trace((*trace(9.0, 1.0).spans, *trace(3.0, lane="cpu:1").spans), 9.0)
    model = Roofline().refined(both, graph(task()), PLATFORM)
    assert model.estimate(task(), graph(task()), CPU).seconds == 2.0
    assert model.estimate(task(), graph(task()), replace(CPU, name="x", rates=None)).seconds == 2.0
    assert model.estimate(task(), graph(task()), GPU).source == "roofline"
    assert model.estimate(task(), graph(task()), replace(CPU, n_threads=2)).source == "roofline"


def test_what_is_learnt_goes_by_op_shapes_and_params():
    model = Roofline().refined(trace(9.0, 1.0), graph(task()), PLATFORM)
    for other in (task(params={"dim": 0}), task(dtype="float64"), replace(task(), op=Op("other", {"any": abs}))):
        assert model.estimate(other, graph(other), CPU).source == "roofline"
    larger = FrozenGraph((task(),), (Value("s", "s", None, spec=TensorSpec((3, 3), "float32")), Value("o", "o", 0)), {})
    assert model.estimate(task(), larger, CPU).source == "roofline"
    renamed = task("another")
    assert model.estimate(renamed, graph(renamed), CPU).source == "measured"


def test_two_lambdas_are_not_one_op():
    one, two = (task(name="t", flops=None) for _ in range(2))
    one = replace(one, op=Op("<lambda>", {"cpu": lambda x: x}))
    two = replace(two, op=Op("<lambda>", {"cpu": lambda x: x}))
    model = Roofline().refined(trace(9.0, 1.0), graph(one), PLATFORM)
    assert model.estimate(one, graph(one), CPU).source == "measured"
    assert model.estimate(two, graph(two), CPU).source == "prior"


def test_params_that_cannot_be_hashed_are_not_learnt():
    listed = task(params={"sizes": [1, 2]})
    model = Roofline().refined(trace(9.0, 1.0), graph(listed), PLATFORM)
    assert model.estimate(listed, graph(listed), CPU).source == "roofline"


def test_what_teaches_nothing():
    known = graph(task())
    model = Roofline()
    assert model.refined(replace(trace(1.0, 2.0), predicted=True), known, PLATFORM) is model
    for useless in (trace(1.0, 2.0, overrun=True), trace(1.0, 2.0, name="who"), trace(1.0, 2.0, lane="ram->vram:0")):
        assert model.refined(useless, known, PLATFORM) == model
    assert not model.history.samples


def test_old_samples_are_forgotten():
    times = [1.0] * (MAX_SAMPLES + 1) + [2.0] * MAX_SAMPLES
    model = Roofline().refined(trace(*times), graph(task()), PLATFORM)
    assert model.estimate(task(), graph(task()), CPU) == Estimate(2.0, 0.0, "measured", MAX_SAMPLES)


def test_transfer():
    estimate = Roofline().transfer(Link("l", 1e-3, 1e6), 2e6)
    assert estimate.seconds == pytest.approx(2.001)
    assert estimate.deviation_seconds > 0


@pytest.mark.parametrize("number", [math.nan, math.inf, -1.0])
def test_estimates_are_finite(number):
    with pytest.raises(CostError, match="must be a finite number"):
        Estimate(number, 0.0, "given")
    with pytest.raises(CostError, match="must be a finite number"):
        Estimate(0.0, number, "given")
