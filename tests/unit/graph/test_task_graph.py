import networkx as nx
import numpy as np
import pytest
import torch

from hetsched.errors import GraphError
from hetsched.graph.freeze import freeze
from hetsched.graph.task_graph import Ref, TaskGraph


def test_it_is_a_networkx_graph():
    graph = TaskGraph()
    a = graph.input("a", shape=(2, 2))
    w = graph.constant(torch.ones(2, 2), name="w")
    c = graph.add("matmul", a, w, name="c", device="cpu")
    assert nx.is_directed_acyclic_graph(graph)
    assert list(nx.topological_sort(graph)) == [a, w, c] == ["a", "w", "c"]
    assert graph.nodes["a"] == {"input": True, "shape": (2, 2), "dtype": "float32"}
    assert graph.nodes["c"] == {"op": "matmul", "params": {}, "device": "cpu"}
    assert graph.edges["w", "c"] == {"arg": 1}


def test_names_are_made_and_never_taken():
    graph = TaskGraph()
    first = graph.add(torch.relu, graph.constant(1.0))
    assert first == "relu_1"
    assert graph.add(lambda: 1) == "lambda_2"
    with pytest.raises(GraphError, match="'relu_1' exists already"):
        graph.input("relu_1")


def test_operands_used_twice_by_keyword_and_by_slot():
    graph = TaskGraph()
    a = graph.input("a")
    graph.add(print, a, a, graph.ref(a), sep=graph.ref(a), end="", name="b")
    assert graph.edges["a", "b"] == {"arg": (0, 1, 2, "sep")}
    assert graph.nodes["b"]["params"] == {"end": ""}
    graph.add(print, graph.ref("b", 0), graph.ref("b"), name="c")
    assert graph.edges["b", "c"] == {"arg": (0, 1), "slot": (0, None)}
    assert graph.ref("b", 1) == Ref("b", 1)
    assert [task.name for task in freeze(graph).tasks] == ["b", "c"]


def test_tensors_and_arrays_become_constants():
    graph = TaskGraph()
    graph.add("add", torch.ones(1), torch.ones(1), name="c")
    graph.add(np.sum, np.ones(3), name="d")
    assert len(freeze(graph).constants) == 3


@pytest.mark.parametrize("operand", ["nobody", 5, [1, 2]])
def test_operand_that_is_no_node(operand):
    graph = TaskGraph()
    with pytest.raises(GraphError, match=r"node 'c': operand 0 is .* no node of this graph; add it first, or wrap"):
        graph.add("neg", operand, name="c")
