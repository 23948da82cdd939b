"""What tests of all kinds share: one Ray cluster of several nodes, since starting Ray takes seconds."""

from __future__ import annotations

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import clusters
import pytest

_FAST_HEALTH_CHECKS = {
    "health_check_initial_delay_ms": 0,
    "health_check_period_ms": 300,
    "health_check_timeout_ms": 1000,
    "health_check_failure_threshold": 3,
}


@pytest.fixture(scope="session")
def ray_cluster() -> Iterator[str]:
    """Address of a cluster of three unlike nodes, whose GPUs exist only in Ray's books."""
    from hetsched.execute.ray_cluster.environment import LOOPBACK, QUIET, ray_environment, token_settings

    directory = Path(tempfile.mkdtemp(prefix="ray-test-", dir="/tmp"))  # paths of sockets must be short
    token = directory / "token"
    token.write_text(secrets.token_hex(32), encoding="ascii")
    settings = {**QUIET, **LOOPBACK, **token_settings(token)}
    with pytest.MonkeyPatch.context() as patch:
        for name, value in settings.items():
            patch.delenv(name, raising=False) if value is None else patch.setenv(name, value)
        with ray_environment(settings):
            from ray.cluster_utils import Cluster

            common = {"node_ip_address": "127.0.0.1", "object_store_memory": 100 * 2**20, "include_dashboard": False}
            head = {"num_cpus": 0, "temp_dir": str(directory), "_system_config": _FAST_HEALTH_CHECKS, **common}
            Path("/tmp/ray").mkdir(exist_ok=True)  # where Cluster notes its address, wherever its own files are
            cluster = Cluster(initialize_head=True, head_node_args=head)
            for node in clusters.NODES:
                cluster.add_node(**node, **common)
        yield cluster.address
        cluster.shutdown()
        shutil.rmtree(directory, ignore_errors=True)
