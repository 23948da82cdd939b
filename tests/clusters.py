"""A cluster of three unlike nodes: as Ray is told to start it, and as an emulated platform that fits on it."""

from dataclasses import replace

from hetsched.platform.cluster import GpuFacts, NodeFacts, describe_cluster
from hetsched.platform.platform import Platform, Rates, Truth

NODES = (
    {"num_cpus": 2, "labels": {"site": "hospital"}},
    {"num_cpus": 1, "num_gpus": 1, "labels": {"site": "cloud"}, "resources": {"camera": 1}},
    {"num_cpus": 1, "num_gpus": 2, "labels": {"site": "cloud", "disk": "fast"}},
)
"""What nodes have besides the head, which only leads; the GPUs exist in Ray's books alone."""

_CPU = {1: Rates({"float32": 5e10}, 1e10, 5e-6)}


def _gpu(index: int, teraflops: float) -> GpuFacts:
    return GpuFacts(index, "cuda", f"emulated {teraflops:g}", 8e9, Rates({"float32": teraflops * 1e12}, 5e11, 8e-6))


def three_nodes() -> Platform:
    """The three nodes with the GPUs that they claim to have, emulated; real mail is as slow as the emulated kind."""
    facts = (
        NodeFacts("", "plain", {"site": "hospital"}, 2, 16e9, "emulated", _CPU),
        NodeFacts("", "single", {"site": "cloud", "resource:camera": "1"}, 1, 16e9, "emulated", _CPU, (_gpu(0, 5),)),
        NodeFacts("", "double", {"disk": "fast"}, 1, 16e9, "emulated", _CPU, (_gpu(0, 20), _gpu(1, 20))),
    )
    return replace(describe_cluster(facts, "three-nodes"), emulated=True, truth=Truth(noise=0.05), time_scale=1.0)
