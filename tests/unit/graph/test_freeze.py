import gc
import math
import pickle
import time
from dataclasses import FrozenInstanceError, fields, replace

import networkx as nx
import numpy as np
import pytest
import torch

import hetsched.graph.library  # noqa: F401 -- the registry is needed before freeze is
from hetsched.errors import CostError, GraphError
from hetsched.graph.freeze import freeze, input_keys
from hetsched.graph.ops import OPS, Op, op
from hetsched.graph.task_graph import TaskGraph
from hetsched.graph.values import ObjectSpec, TensorSpec, TupleSpec


def task(frozen, name):
    return next(task for task in frozen.tasks if task.name == name)


def value(frozen, name):
    return next(value for value in frozen.values if value.name == name)


def operands(frozen, name):
    return {operand.arg: frozen.values[operand.value].name for operand in task(frozen, name).operands}


def plain(*edges, **nodes):
    """A plain DiGraph: nodes as keyword=attributes, edges as (from, to[, attributes])."""
    graph = nx.DiGraph()
    for key, attributes in nodes.items():
        graph.add_node(key, **attributes)
    for source, target, *attributes in edges:
        graph.add_edge(source, target, **(attributes[0] if attributes else {}))
    return graph


def refused(graph, *parts, error=GraphError, **arguments):
    """Assert that freezing fails with one error that says all of ``parts``."""
    with pytest.raises(error) as caught:
        freeze(graph, **arguments)
    assert type(caught.value) is error
    for part in parts:
        assert part in str(caught.value)


def make_pair(x):
    return x, x


class TestPlainGraphs:
    def test_matmul_of_two_constants(self):
        graph = plain(
            ("a", "c"), ("b", "c"),
            a={"value": torch.ones(2, 3)}, b={"value": torch.ones(3, 4)}, c={"op": "matmul", "label": "product"},
        )  # fmt: skip
        frozen = freeze(graph)
        assert [value.name for value in frozen.values] == ["a", "b", "c"]
        assert value(frozen, "a").is_constant
        assert value(frozen, "a").data is graph.nodes["a"]["value"]
        made = task(frozen, "c")
        assert value(frozen, "c").spec == TensorSpec((2, 4), "float32")
        assert (made.flops, made.n_bytes, made.dtype) == (48.0, 4 * (6 + 12 + 8), "float32")
        assert dict(frozen.requested) == {"c": 2}

    def test_empty_graph(self):
        frozen = freeze(nx.DiGraph())
        assert (frozen.tasks, frozen.values, dict(frozen.requested)) == ((), (), {})

    def test_only_inputs_are_their_own_sinks(self):
        frozen = freeze(plain(a={}, b={"value": 3}))
        assert dict(frozen.requested) == {"a": 0, "b": 1}

    def test_unused_source_beside_tasks_is_no_sink_and_is_pruned(self):
        graph = TaskGraph()
        graph.input("unused")
        graph.add("relu", graph.input("x"), name="y")
        frozen = freeze(graph, inputs={"unused": torch.ones(1), "x": torch.ones(2)})
        assert list(frozen.requested) == ["y"]
        assert [value.name for value in frozen.values] == ["x", "y"]
        assert input_keys(graph) == ("unused", "x")

    def test_any_object_is_a_value(self):
        things = {"array": np.ones(3), "pair": (torch.ones(2), 1), "table": {"a": 1}, "text": "hello", "nothing": None}
        frozen = freeze(plain(**{key: {"value": thing} for key, thing in things.items()}, odd={"value": object()}))
        assert value(frozen, "array").spec == ObjectSpec("ndarray", 24)
        assert value(frozen, "pair").spec == TupleSpec((TensorSpec((2,), "float32"), ObjectSpec("int", 8)))
        assert value(frozen, "odd").n_bytes is None

    def test_keys_of_any_hashable_kind(self):
        graph = nx.DiGraph()
        graph.add_node((0, 1), value=torch.ones(2))
        graph.add_node(7, op="neg")
        graph.add_edge((0, 1), 7)
        frozen = freeze(graph)
        assert frozen.tasks[0].key == 7
        assert list(frozen.requested) == [7]

    def test_attributes_of_other_tools_are_left_alone(self):
        freeze(plain(a={"value": 1, "label": "A", "color": "red", "shape": "box", "weight": 3, "type": "x"}))
        freeze(plain(a={"shape": "ellipse", "name": "A"}))


class TestOrder:
    def test_insertion_order_breaks_ties(self):
        graph = nx.DiGraph()
        graph.add_node("z", op=dict)
        graph.add_node("late", op=dict)
        graph.add_node("m", op=dict)
        graph.add_node("a", op=dict)
        graph.add_edge("a", "late")
        assert [task.name for task in freeze(graph).tasks] == ["z", "m", "a", "late"]

    def test_operands_follow_the_order_of_their_edges(self):
        graph = plain(("b", "c"), ("a", "c"), a={}, b={}, c={"op": "sub"})
        assert operands(freeze(graph), "c") == {0: "b", 1: "a"}

    def test_arg_places_positions_keywords_and_repetitions(self):
        graph = plain(
            ("a", "c", {"arg": (2, 0)}), ("b", "c", {"arg": "scale"}), ("d", "c"), a={}, b={}, d={}, c={"op": print}
        )
        frozen = freeze(graph)
        assert operands(frozen, "c") == {0: "a", 1: "d", 2: "a", "scale": "b"}
        assert [operand.arg for operand in task(frozen, "c").operands] == [0, 1, 2, "scale"]

    def test_positions_and_slots_may_be_numpys_numbers(self):
        edges = [("a", "c", {"arg": np.int64(1)}), ("b", "c", {"arg": np.int32(0), "slot": np.int64(1)})]
        graph = plain(*edges, a={}, b={"op": print}, c={"op": "sub"})
        assert operands(freeze(graph), "c") == {0: "b#1", 1: "a"}


class TestOutputs:
    def chain(self):
        graph = TaskGraph()
        x = graph.input("x")
        y = graph.add("relu", x, name="y")
        graph.add("neg", y, name="z")
        graph.add("exp", graph.input("other"), name="w")
        return graph

    def test_what_is_not_asked_for_is_pruned(self):
        frozen = freeze(self.chain(), outputs=["y"])
        assert [task.name for task in frozen.tasks] == ["y"]
        assert [value.name for value in frozen.inputs] == ["x"]

    def test_order_of_the_request_is_kept(self):
        assert list(freeze(self.chain(), outputs=["w", "x", "y"]).requested) == ["w", "x", "y"]

    def test_a_text_is_one_key(self):
        assert list(freeze(self.chain(), outputs="z").requested) == ["z"]

    def test_one_key_that_is_no_text(self):
        graph = nx.DiGraph()
        graph.add_nodes_from([(1, {"value": 1}), (2, {"value": 2})])
        assert list(freeze(graph, outputs=2).requested) == [2]

    def test_nothing_asked_for(self):
        assert freeze(self.chain(), outputs=[]).tasks == ()

    def test_unknown_output(self):
        refused(plain(result={"value": 1}), "requested output 'resutl'", "did you mean 'result'", outputs=["resutl"])
        refused(plain(result={"value": 1}), "requested output ['a']", "it has: result", outputs=[["a"]])


class TestSlots:
    def test_one_value_for_each_used_slot(self):
        graph = TaskGraph()
        parts = graph.add("split", graph.input("x", shape=(6, 2)), size=2, name="parts")
        graph.add("add", graph.ref(parts, 0), graph.ref(parts, 2), name="sum")
        frozen = freeze(graph)
        assert [frozen.values[index].name for index in task(frozen, "parts").outputs] == ["parts#0", "parts#2"]
        assert value(frozen, "parts#2").slot == 2
        assert value(frozen, "parts#2").spec == TensorSpec((2, 2), "float32")
        assert frozen.values[value(frozen, "parts#0").alias].name == "x"
        assert operands(frozen, "sum") == {0: "parts#0", 1: "parts#2"}

    def test_a_whole_that_is_used_too_owns_the_slots(self):
        graph = TaskGraph()
        parts = graph.add("chunk", graph.input("x", shape=(6, 2)), chunks=2, name="parts")
        graph.add("neg", graph.ref(parts, 1), name="last")
        frozen = freeze(graph, outputs=["parts", "last"])
        assert [frozen.values[index].name for index in task(frozen, "parts").outputs] == ["parts", "parts#1"]
        assert frozen.values[value(frozen, "parts#1").alias].name == "parts"
        assert frozen.values[value(frozen, "parts").alias].name == "x"

    def test_several_slots_over_one_edge(self):
        graph = plain(
            ("a", "b"), ("b", "c", {"arg": (0, 1), "slot": (1, 0)}), a={}, b={"op": make_pair}, c={"op": "sub"}
        )
        assert operands(freeze(graph), "c") == {0: "b#1", 1: "b#0"}

    def test_one_slot_for_several_args(self):
        graph = plain(("a", "b"), ("b", "c", {"arg": (0, 1), "slot": 1}), a={}, b={"op": make_pair}, c={"op": "sub"})
        assert operands(freeze(graph), "c") == {0: "b#1", 1: "b#1"}

    def test_slot_that_does_not_exist(self):
        graph = TaskGraph()
        parts = graph.add("chunk", graph.input("x", shape=(6, 2)), chunks=2, name="parts")
        graph.add("neg", graph.ref(parts, 2), name="last")
        refused(graph, "'parts'", "slot 2", "2 outputs")

    def test_slot_of_a_single_output(self):
        graph = TaskGraph()
        y = graph.add("neg", graph.input("x", shape=(6, 2)), name="y")
        graph.add("neg", graph.ref(y, 0))
        refused(graph, "'y'", "drop the slot")

    def test_slot_of_a_source(self):
        graph = TaskGraph()
        graph.add("neg", graph.ref(graph.input("x"), 0), name="y")
        refused(graph, "'y'", "slot 0 of 'x'")

    def test_a_slot_and_a_node_of_one_name(self):
        graph = TaskGraph()
        graph.input("y#1")
        y = graph.add(make_pair, graph.input("x"), name="y")
        graph.add("add", graph.ref(y, 1), "y#1")
        refused(graph, "'y#1'", "rename")


class TestInputs:
    def test_declared_and_unknown(self):
        graph = TaskGraph()
        graph.add("add", graph.input("a", shape=(2,), dtype=torch.float64), graph.input("b"), name="c")
        frozen = freeze(graph)
        assert value(frozen, "a").spec == TensorSpec((2,), "float64")
        assert value(frozen, "b").spec is None
        assert value(frozen, "c").spec is None
        assert task(frozen, "c").flops is None
        assert [value.name for value in frozen.inputs] == ["a", "b"]

    def test_given_values_and_specs_tell_more(self):
        graph = TaskGraph()
        graph.add("add", graph.input("a"), graph.input("b"), name="c")
        frozen = freeze(graph, inputs={"a": torch.ones(2, 1), "b": TensorSpec((3,), "float32")})
        assert value(frozen, "c").spec == TensorSpec((2, 3), "float32")

    def test_a_constant_becomes_an_input(self):
        graph = TaskGraph()
        graph.add("neg", graph.constant(torch.ones(2), name="w"))
        w = value(freeze(graph, inputs={"w": torch.ones(5)}), "w")
        assert w.is_input
        assert w.data is None
        assert w.spec == TensorSpec((5,), "float32")

    def test_unknown_input(self):
        graph = TaskGraph()
        graph.input("weight")
        refused(graph, "input 'wieght'", "did you mean 'weight'", inputs={"wieght": 1})

    def test_input_that_is_a_task(self):
        refused(plain(a={"op": dict}), "input 'a'", "task", inputs={"a": 1})

    def test_given_contradicts_declared(self):
        graph = TaskGraph()
        graph.input("x", shape=(2, 2))
        refused(graph, "input 'x'", "float32[2, 2]", "float32[3]", inputs={"x": torch.ones(3)})
        refused(graph, "input 'x'", "float64[2, 2]", inputs={"x": torch.ones(2, 2, dtype=torch.float64)})
        refused(graph, "input 'x'", "torch.as_tensor", inputs={"x": np.ones((2, 2))})

    @pytest.mark.parametrize("shape", [(-1, 2), (None, 2), (1.5,), (True,)])
    def test_bad_shape(self, shape):
        refused(plain(x={"shape": shape}), "node 'x'", "shape")

    def test_bad_dtype(self):
        refused(plain(x={"shape": (2,), "dtype": "float31"}), "node 'x'", "float31")


class TestViews:
    def test_a_view_shares_its_operands_storage(self):
        graph = TaskGraph()
        x = graph.input("x", shape=(2, 6))
        y = graph.add("reshape", x, shape=(3, 4), name="y")
        z = graph.add("transpose", y, dim0=0, dim1=1, name="z")
        graph.add("neg", z, name="w")
        frozen = freeze(graph)
        assert frozen.values[value(frozen, "y").alias].name == "x"
        assert frozen.values[value(frozen, "z").alias].name == "y"
        assert value(frozen, "w").alias is None
        assert task(frozen, "z").flops == task(frozen, "z").n_bytes == 0


class TestWrongGraphs:
    @pytest.mark.parametrize("graph", [nx.Graph(), {"a": 1}, None])
    def test_no_digraph(self, graph):
        refused(graph, type(graph).__name__, "networkx.DiGraph")

    def test_multigraph(self):
        refused(nx.MultiDiGraph(), "multigraph", "arg=(0, 1)")

    def test_cycle_names_its_nodes(self):
        graph = plain(
            ("x", "a"), ("a", "b"), ("b", "a"), ("b", "end"),
            x={}, a={"op": "add"}, b={"op": "neg"}, end={"op": "neg"},
        )  # fmt: skip
        refused(graph, "cycle", "a -> b -> a")

    def test_self_loop(self):
        refused(plain(("a", "a"), a={"op": "neg"}), "a -> a")

    def test_two_keys_of_one_name(self):
        graph = nx.DiGraph()
        graph.add_nodes_from([1, "1"], value=0)
        refused(graph, "1", "'1'", "rename one")

    def test_op_and_value(self):
        refused(plain(a={"op": "neg", "value": 1}), "node 'a'", "both op and value")

    def test_neither_but_predecessors(self):
        refused(plain(("a", "b"), a={}, b={}), "node 'b'", "no op", "'a'")

    def test_value_with_predecessors(self):
        refused(plain(("a", "b"), a={}, b={"value": 1}), "node 'b'", "a value", "'a'")

    def test_unknown_op(self):
        refused(plain(a={"op": "matmull"}), "node 'a'", "matmull", "did you mean 'matmul'")
        refused(plain(a={"op": 3}), "node 'a'", "int")

    def test_near_misses_of_attributes(self):
        refused(plain(a={"op": "neg", "parms": {}}), "node 'a'", "'parms'", "'params'")
        refused(plain(a={"op": "neg", "devcie": "cpu"}), "node 'a'", "'devcie'", "'device'")
        refused(plain(a={"vaule": 1}), "node 'a'", "'vaule'", "'value'")

    def test_params_that_are_no_mapping(self):
        refused(plain(a={"op": "neg", "params": [1]}), "node 'a'", "params")


class TestWrongEdges:
    def two(self, first, second, **params):
        return plain(("a", "c", first), ("b", "c", second), a={}, b={}, c={"op": print, "params": params})

    def test_true_is_no_position(self):
        graph = plain(("a", "c", {"arg": 0}), ("b", "c", {"arg": True}), a={}, b={}, c={"op": "add"})
        refused(graph, "node 'c'", "arg=True", "a position, a keyword, or a tuple of them")

    def test_missing_position(self):
        refused(self.two({"arg": 0}, {"arg": 2}), "node 'c'", "operand 1 is missing")

    def test_position_given_twice(self):
        refused(self.two({"arg": 0}, {"arg": 0}), "node 'c'", "operand 0 is given twice", "'a'", "'b'")

    def test_keyword_given_twice(self):
        refused(self.two({"arg": "x"}, {"arg": "x"}), "node 'c'", "operand 'x' is given twice")

    def test_keyword_in_params_too(self):
        refused(self.two({"arg": 0}, {"arg": "sep"}, sep=" "), "node 'c'", "'sep'", "in params")

    @pytest.mark.parametrize("arg", [-1, 1.5, True, (0, None), ()])
    def test_bad_arg(self, arg):
        refused(self.two({"arg": arg}, {}), "node 'c'", "'a'", "arg")

    @pytest.mark.parametrize("slot", [-1, "x", True])
    def test_bad_slot(self, slot):
        refused(self.two({"slot": slot}, {}), "node 'c'", "'a'", "slot")

    def test_tuples_of_unlike_length(self):
        refused(self.two({"arg": (0, 1), "slot": (0, 1, 2)}, {}), "node 'c'", "one slot for each arg")


class TestWrongOperands:
    def test_missing(self):
        graph = TaskGraph()
        graph.add("matmul", graph.input("a"), name="c")
        refused(graph, "node 'c': op 'matmul' takes 2 operands and got 1; add the missing edge")

    def test_extra(self):
        graph = TaskGraph()
        a = graph.input("a")
        graph.add("relu", a, a, name="c")
        refused(graph, "node 'c': op 'relu' takes 1 operand and got 2; remove an edge")

    def test_shape(self):
        graph = TaskGraph()
        graph.add("matmul", graph.input("a", shape=(2, 3)), graph.input("b", shape=(4, 5)), name="c")
        refused(graph, "node 'c'", "op 'matmul'", "float32[2, 3]", "float32[4, 5]", "reduction dim")

    def test_dtype(self):
        graph = TaskGraph()
        graph.add("matmul", graph.input("a", shape=(2, 2)), graph.input("b", shape=(2, 2), dtype="int64"), name="c")
        refused(graph, "node 'c'", "op 'matmul'", "float32", "int64", "cast")

    def test_parameter(self):
        graph = TaskGraph()
        graph.add("softmax", graph.input("a", shape=(2, 3)), dimension=1, name="c")
        refused(graph, "node 'c'", "op 'softmax'", "dimension")

    def test_no_tensor(self):
        graph = TaskGraph()
        graph.add("relu", graph.constant(np.ones(3)), name="c")
        refused(graph, "node 'c'", "op 'relu'", "ndarray", "torch.as_tensor")

    def test_a_list_of_numbers_is_no_tensor(self):
        graph = TaskGraph()
        graph.add("matmul", graph.constant([[1, 2], [3, 4]]), graph.constant([5, 6]), name="c")
        refused(graph, "node 'c'", "op 'matmul'", "((int, int), (int, int))", "torch.as_tensor")

    def test_only_what_is_asked_for_is_inferred(self):
        graph = TaskGraph()
        a = graph.input("a", shape=(2, 3))
        graph.add("matmul", a, a, name="bad")
        graph.add("neg", a, name="good")
        assert [task.name for task in freeze(graph, outputs=["good"]).tasks] == ["good"]


class TestOptions:
    def options(self, **options):
        return freeze(plain(a={"op": dict, **options})).tasks[0].options

    def test_devices(self):
        assert self.options().allowed == ()
        assert self.options(device="gpu:0").allowed == ("gpu:0",)
        assert self.options(devices=["cpu", "cuda", "cpu"]).allowed == ("cpu", "cuda")
        assert self.options(devices="cuda").allowed == ("cuda",)

    @pytest.mark.parametrize(
        "wrong",
        [
            {"device": 0}, {"device": ["cpu"]}, {"devices": 3}, {"devices": ["cpu", 3]}, {"keep_on": 5},
            {"device": "cpu", "devices": ["cpu"]}, {"parts": 0}, {"parts": 1.5}, {"parts": True},
            {"release": "yes"}, {"splittable": 1}, {"devices": [""]},
        ],
    )  # fmt: skip
    def test_wrong_types(self, wrong):
        refused(plain(a={"op": dict, **wrong}), "node 'a'", next(iter(wrong)))

    def test_given_times(self):
        assert self.options(seconds=2).seconds == 2.0
        assert self.options(seconds=np.float64(0.5)).seconds == 0.5
        assert self.options(seconds={"cpu": 1, "cuda": 0}).seconds == {"cpu": 1.0, "cuda": 0.0}

    @pytest.mark.parametrize("seconds", [math.nan, -1, math.inf, "1", True, {"cpu": math.nan}, {"cpu": None}])
    def test_wrong_times(self, seconds):
        refused(plain(a={"op": dict, "seconds": seconds}), "node 'a'", "seconds", error=CostError)

    def test_the_rest(self):
        made = self.options(splittable=False, parts=4)
        assert (made.splittable, made.parts) == (False, 4)

    @pytest.mark.parametrize("option", [{"device": "cpu"}, {"seconds": 1.0}])
    def test_on_a_source(self, option):
        refused(plain(a={"value": 1, **option}), "node 'a'", next(iter(option)))


class TestKeepOn:
    def kept(self, **options):
        graph = TaskGraph()
        secret = graph.input("secret", keep_on=["hospital", "ram"])
        derived = graph.add("neg", secret, name="derived")
        graph.add("add", derived, graph.input("public", **options.pop("public", {})), name="mixed", **options)
        return freeze(graph)

    def test_what_derives_from_it_is_kept_too(self):
        frozen = self.kept()
        assert value(frozen, "mixed").keep_on == ("hospital", "ram")
        assert value(frozen, "public").keep_on == ()

    def test_limits_intersect(self):
        assert value(self.kept(public={"keep_on": "ram"}), "mixed").keep_on == ("ram",)
        assert value(self.kept(keep_on="hospital"), "mixed").keep_on == ("hospital",)

    def test_release(self):
        assert value(self.kept(release=True), "mixed").keep_on == ()
        assert value(self.kept(release=True, keep_on="cloud"), "mixed").keep_on == ("cloud",)

    def test_nowhere_left(self):
        with pytest.raises(GraphError, match=r"'mixed'.*nowhere.*'public'.*cloud.*release=True"):
            self.kept(public={"keep_on": "cloud"})


class TestOps:
    def test_users_functions_are_never_called(self):
        def explode(x):
            raise AssertionError("called")

        graph = TaskGraph()
        graph.add(explode, graph.constant(torch.ones(2)), name="y")
        frozen = freeze(graph)
        assert value(frozen, "y").spec is None
        assert task(frozen, "y").op.kernels == {"cpu": explode}
        assert not task(frozen, "y").op.pure

    def test_declared_pure_is_traced(self):
        @op(pure=True)
        def twice(x):
            return torch.cat([x, x])

        graph = TaskGraph()
        graph.add(twice, graph.constant(torch.ones(2)), name="y")
        assert value(freeze(graph), "y").spec == TensorSpec((4,), "float32")

    def test_an_op_by_object(self):
        graph = TaskGraph()
        graph.add(OPS["neg"], graph.constant(torch.ones(2)), name="y")
        assert freeze(graph).tasks[0].op is OPS["neg"]
        assert isinstance(OPS["neg"], Op)


class TestEqualTasks:
    """Tasks that are inferred once must be equal in all that decides the answer."""

    def test_positions_and_keywords_are_told_apart(self):
        @op(pure=True)
        def last(x, y=None, *, other=None):
            return x if other is None else other

        graph = TaskGraph()
        a, b = graph.constant(torch.ones(2), name="a"), graph.constant(torch.ones(3), name="b")
        graph.add(last, a, b, name="positions")
        graph.add(last, a, other=graph.ref(b), name="keyword")
        graph.add(last, a, b, name="positions again")
        graph.add(last, b, other=graph.ref(a), name="keyword of b")
        frozen = freeze(graph)
        assert [value(frozen, task.name).spec.shape for task in frozen.tasks] == [(2,), (3,), (2,), (2,)]

    def test_ops_are_told_apart(self):
        graph = TaskGraph()
        x = graph.constant(torch.ones(2, 3))
        for function in ("neg", torch.t, "neg"):
            graph.add(function, x)
        assert [frozen.spec.shape for frozen in freeze(graph).values[1:]] == [(2, 3), (3, 2), (2, 3)]

    @pytest.mark.parametrize(("one", "other"), [(1, True), (1, 1.0), (True, 1.0)])
    def test_equal_params_of_unlike_type_are_told_apart(self, one, other):
        seen = []

        @op(pure=True)
        def look(x, *, how):
            seen.append(type(how))
            return x

        graph = TaskGraph()
        source = graph.constant(torch.ones(2))
        for how in (one, other, one):
            graph.add(look, source, how=how)
        assert [task.params["how"] for task in freeze(graph).tasks] == [one, other, one]
        assert seen == [type(one), type(other)]

    def test_params_that_only_look_equal_are_each_inferred(self):
        class Size:
            def __init__(self, size):
                self.size = size

            def __repr__(self):
                return "Size"

        @op(pure=True)
        def repeat(x, *, times):
            return x.repeat(times[0].size)

        graph = TaskGraph()
        source = graph.constant(torch.ones(1))
        for size in (2, 3):
            graph.add(repeat, source, times=[Size(size)], name=f"of {size}")
        assert [value(freeze(graph), f"of {size}").spec.shape for size in (2, 3)] == [(2,), (3,)]

    def test_other_operands_are_told_apart(self):
        graph = TaskGraph()
        for name, like in {
            "a": torch.ones(2),
            "b": torch.ones(2),
            "c": torch.ones(3),
            "d": torch.ones(2).int(),
        }.items():
            graph.add("neg", graph.constant(like, name=name), name=f"-{name}")
        frozen = freeze(graph)
        assert [str(value(frozen, f"-{name}").spec) for name in "abcd"] == [
            "float32[2]", "float32[2]", "float32[3]", "int32[2]",
        ]  # fmt: skip

    def test_options_and_keep_on_are_each_tasks_own(self):
        graph = TaskGraph()
        x = graph.constant(torch.ones(2), name="x")
        kept = graph.constant(torch.ones(2), name="kept", keep_on="here")
        graph.add("neg", x, name="free")
        graph.add("neg", kept, name="held")
        graph.add("neg", kept, name="released", release=True, device="cpu")
        graph.add("neg", x, name="pinned", keep_on=["there"])
        frozen = freeze(graph)
        assert {task.name: value(frozen, task.name).keep_on for task in frozen.tasks} == {
            "free": (), "held": ("here",), "released": (), "pinned": ("there",),
        }  # fmt: skip
        assert [task.options.allowed for task in frozen.tasks] == [(), (), ("cpu",), ()]

    def test_one_callable_is_one_op_and_two_are_two(self):
        graph = TaskGraph()
        x = graph.constant(torch.ones(2))
        ops = [make_pair, make_pair, lambda x: x, lambda x: -x, torch.neg, torch.neg, "neg", OPS["neg"]]
        for function in ops:
            graph.add(function, x)
        made = [task.op for task in freeze(graph).tasks]
        assert made[0] is made[1]
        assert made[0].kernels == {"cpu": make_pair}
        assert [made[2].kernels["cpu"], made[3].kernels["cpu"]] == ops[2:4]
        assert made[4] is made[5]
        assert made[6] is made[7] is OPS["neg"]

    def test_an_error_names_its_own_node(self):
        graph = TaskGraph()
        good, bad = graph.constant(torch.ones(2, 2), name="good"), graph.constant(torch.ones(3, 3), name="bad")
        graph.add("matmul", good, good, name="fine")
        graph.add("matmul", good, bad, name="wrong")
        refused(graph, "node 'wrong'", "(float32[2, 2], float32[3, 3])")


class TestMaking:
    """Objects that are made quickly are as frozen, comparable and portable as any."""

    def test_made_as_by_the_class(self):
        graph = TaskGraph()
        graph.add("neg", graph.input("x", shape=(2,)), name="y", device="cpu")
        frozen = freeze(graph)
        made = (frozen.tasks[0], frozen.tasks[0].operands[0], frozen.tasks[0].options, *frozen.values)
        for one in made:
            same = replace(one)
            assert type(one) is type(same)
            assert one == same
            assert repr(one) == repr(same)
            assert one.__reduce_ex__(4)[:2] == same.__reduce_ex__(4)[:2]
            with pytest.raises(FrozenInstanceError):
                setattr(one, fields(one)[0].name, None)
        assert pickle.loads(pickle.dumps(frozen.values)) == frozen.values

    @pytest.mark.parametrize("is_enabled", [True, False])
    def test_the_garbage_collector_is_as_it_was(self, is_enabled):
        was_enabled = gc.isenabled()
        try:
            (gc.enable if is_enabled else gc.disable)()
            freeze(plain(x={"shape": (2,)}, y={"op": "neg"}))
        except GraphError:
            assert gc.isenabled() is is_enabled
        else:
            pytest.fail("neg has no operand")
        finally:
            (gc.enable if was_enabled else gc.disable)()


def test_nodes_may_be_added_before_what_they_read():
    late = plain(("x", "y"), ("y", "z"), z={"op": "neg"}, y={"op": "neg"}, x={"shape": (2,)})
    assert [task.name for task in freeze(late).tasks] == ["y", "z"]
    assert operands(freeze(late), "z") == {0: "y"}


def test_views_of_graphs_are_graphs():
    graph = plain(
        ("x", "y"), ("y", "z"), ("z", "w"), x={"shape": (2,)}, y={"op": "neg"}, z={"op": "abs"}, w={"op": "neg"}
    )
    part = nx.subgraph_view(graph, filter_node=lambda key: key != "w")
    assert [task.name for task in freeze(part).tasks] == ["y", "z"]
    assert list(freeze(nx.freeze(graph)).requested) == ["w"]


def test_large_graphs_are_quick():
    graph = TaskGraph()
    generator = torch.Generator().manual_seed(0)
    keys = [graph.constant(torch.ones(4, 4))]
    for number in range(2000):
        first, second = (int(torch.randint(max(0, len(keys) - 50), len(keys), (), generator=generator)) for _ in "ab")
        keys.append(graph.add(("add", "matmul", make_pair)[number % 3 == 1], keys[first], keys[second]))
    freeze(graph)
    start = time.perf_counter()
    assert len(freeze(graph, outputs=keys[1:]).tasks) == 2000
    assert time.perf_counter() - start < 1.0
