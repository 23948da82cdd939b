"""One cluster for all tests that need several nodes: starting Ray takes seconds."""

import os
import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

SETTINGS = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0", "RAY_USAGE_STATS_ENABLED": "0", "RAY_AUTH_MODE": "token"}
FAST_HEALTH_CHECKS = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 300,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}
NODES = (
    {"num_cpus": 2, "labels": {"site": "hospital"}},
    {"num_cpus": 1, "num_gpus": 1, "labels": {"site": "cloud"}, "resources": {"camera": 1}},
    {"num_cpus": 1, "num_gpus": 2, "labels": {"site": "cloud", "disk": "fast"}},
)
"""What nodes have besides the head, which only leads."""


def pytest_collection_modifyitems(items):
    here = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(here):
            item.add_marker(pytest.mark.ray)


@pytest.fixture(scope="session")
def ray_cluster(tmp_path_factory) -> Iterator[str]:
    """Address of a cluster of three unlike nodes, whose GPUs exist only in Ray's books."""
    token = tmp_path_factory.mktemp("ray") / "token"
    token.write_text(secrets.token_hex(32), encoding="ascii")
    with pytest.MonkeyPatch.context() as patch:
        for name, value in {**SETTINGS, "RAY_AUTH_TOKEN_PATH": str(token)}.items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster

        common = {"node_ip_address": "127.0.0.1", "object_store_memory": 100 * 2**20, "include_dashboard": False}
        cluster = Cluster(
            initialize_head=True, head_node_args={"num_cpus": 0, "_system_config": FAST_HEALTH_CHECKS, **common}
        )
        for node in NODES:
            cluster.add_node(**node, **common)
        yield cluster.address
        cluster.shutdown()
