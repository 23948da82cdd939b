from pathlib import Path

import pytest

from hetsched.graph.frozen import FrozenGraph, NodeOptions, Task
from hetsched.graph.ops import Op
from hetsched.platform.layout import layout_of
from hetsched.platform.platform import Platform
from hetsched.rewrite import candidates

FILES = Path(__file__).parents[3] / "configs" / "platforms"
WORKSTATION = Platform.load(FILES / "one-gpu-workstation.yaml")


def graph(**options: object) -> FrozenGraph:
    return FrozenGraph((Task("t", "t", Op("work", {"any": abs}), (), (), options=NodeOptions(**options)),), (), {})


def layouts(platform: Platform, asked: FrozenGraph) -> list[str]:
    return [str(layout_of(candidate, platform.hosts[0].name)) for _, candidate in candidates(asked, platform)]


def test_as_given_comes_first():
    asked = graph()
    first = next(iter(candidates(asked, WORKSTATION)))
    assert first[0] is asked
    assert first[1] is WORKSTATION
    assert layouts(WORKSTATION, asked) == [f"workstation:{layout}" for layout in ("8x1", "4x2", "2x4", "1x8")]


def test_the_present_layout_is_not_tried_twice():
    server = Platform.load(FILES / "four-gpu-server.yaml")
    assert layouts(server, graph()) == [f"server:{layout}" for layout in ("8x4", "32x1", "16x2", "1x32")]


@pytest.mark.parametrize("options", [{"allowed": ("cpu:3",)}, {"seconds": {"cpu:0": 1.0, "cuda": 1.0}}])
def test_cpu_devices_that_a_graph_names_stay(options):
    assert layouts(WORKSTATION, graph(**options)) == ["workstation:8x1"]


@pytest.mark.parametrize("options", [{"allowed": ("cpu", "gpu:0")}, {"seconds": {"cpu": 1.0}}])
def test_kinds_and_gpus_may_be_named(options):
    assert len(layouts(WORKSTATION, graph(**options))) == 4


def test_clusters_keep_theirs():
    cluster = Platform.load(FILES / "two-node-cluster.yaml")
    assert [platform for _, platform in candidates(graph(), cluster)] == [cluster]
