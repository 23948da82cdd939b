"""A private Ray: on loopback only, never somebody else's, gone without a trace."""

import gc
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from hetsched.errors import ExecutionError
from hetsched.execute.ray_cluster import environment as ray_settings
from hetsched.execute.ray_cluster.cluster import Cluster
from hetsched.platform.cluster import NODE_ID, discover_cluster
from hetsched.platform.discover import cpu_model, usable_cores
from hetsched.platform.platform import Rates

LISTEN = "0A"
"""The state of a listening socket in /proc/net/tcp."""


@pytest.fixture
def room(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The directory that private Rays make theirs in."""
    room = Path(tempfile.mkdtemp(prefix="ray-", dir="/tmp"))  # paths of sockets must be short
    monkeypatch.setenv("RAY_TMPDIR", str(room))
    yield room
    room.rmdir()


def ray_processes() -> set[psutil.Process]:
    return set(psutil.Process().children(recursive=True))


def listening_inodes() -> dict[str, str]:
    """Hexadecimal address of every listening TCP socket of this machine, by inode."""
    found = {}
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        for line in Path(table).read_text(encoding="ascii").splitlines()[1:]:
            words = line.split()
            if words[3] == LISTEN:
                found[words[9]] = words[1].rpartition(":")[0]
    return found


def listening_addresses(process: psutil.Process) -> set[str]:
    inodes = listening_inodes()
    found = set()
    for entry in Path(f"/proc/{process.pid}/fd").iterdir():
        try:
            target = os.readlink(entry)
        except FileNotFoundError:  # closed meanwhile
            continue
        inode = target.removeprefix("socket:[").removesuffix("]")
        if target.startswith("socket:[") and inode in inodes:
            found.add(inodes[inode])
    return found


LOOPBACK = {"0100007F", "0000000000000000FFFF00000100007F", "00000000000000000000000001000000"}


def test_a_private_ray_from_start_to_end(monkeypatch: pytest.MonkeyPatch, ray_cluster: str, room: Path) -> None:
    monkeypatch.setenv("RAY_ADDRESS", ray_cluster)
    monkeypatch.delenv("RAY_AUTH_TOKEN_PATH")
    environment, before, handler = dict(os.environ), ray_processes(), signal.getsignal(signal.SIGTERM)
    shared_memory = set(os.listdir("/dev/shm"))
    cluster = Cluster.start()
    try:
        started = ray_processes() - before
        assert len(started) > 3
        assert dict(os.environ) == environment

        (node,) = cluster.nodes  # and not those of the cluster that RAY_ADDRESS names
        assert (node.n_cpus, node.n_gpus, node.address, node.is_driver_node) == (usable_cores(), 0, "127.0.0.1", True)

        def add_one(number: int) -> int:
            return number + 1

        def refuse(_: int) -> None:
            raise ValueError("no\nthanks")

        def end_the_process(_: int) -> None:
            os._exit(1)

        assert cluster.ask(add_one, [(node, 1), (node, 2)]) == [2, 3]
        with pytest.raises(ExecutionError, match=r"cannot answer: .*thanks") as caught:
            cluster.ask(refuse, [(node, 0)])
        assert "\n" not in str(caught.value)
        with pytest.raises(ExecutionError, match="cannot answer"):
            cluster.ask(end_the_process, [(node, 0)])

        platform = discover_cluster(cluster, lambda device: Rates({"float32": 1e9}, 1e9, 1e-6))
        assert [device.name for device in platform.devices] == [f"node0/cpu:{n}" for n in range(usable_cores())]
        assert {device.model for device in platform.devices} == {cpu_model()}
        assert all(device.rates is not None for device in platform.devices)
        assert platform.hosts[0].labels[NODE_ID] == node.node_id

        listeners = {p: listening_addresses(p) for p in (psutil.Process(), *(ray_processes() - before))}
        assert sum(map(len, listeners.values())) > 3
        assert {address for addresses in listeners.values() for address in addresses} <= LOOPBACK
        started = ray_processes() - before
    finally:
        cluster.close()
    assert not [process for process in started if process.is_running()]
    assert ray_processes() == before
    assert not list(room.iterdir())
    assert set(os.listdir("/dev/shm")) == shared_memory
    assert signal.getsignal(signal.SIGTERM) == handler
    cluster.close()  # closing twice is fine


def test_a_connection_of_the_users_own_is_used_and_stays(ray_cluster: str) -> None:
    with ray_settings.ray_environment({**ray_settings.QUIET, **ray_settings.LOOPBACK}) as ray:
        ray.init(address=ray_cluster, log_to_driver=False)
    try:
        started, joined = Cluster.start(), Cluster.join(ray_cluster)
        assert len(started.nodes) == len(joined.nodes) == 4
        with pytest.raises(ExecutionError, match=r"connected to the Ray cluster at .*, not 127\.0\.0\.1:1; call ray"):
            Cluster.join("127.0.0.1:1")
        started.close()
        joined.close()
        assert ray.is_initialized()
    finally:
        ray.shutdown()


@pytest.mark.filterwarnings("ignore:subprocess .* is still running:ResourceWarning")  # Ray loses its Popen objects
def test_an_interrupt_while_it_starts_leaves_nothing(monkeypatch: pytest.MonkeyPatch, room: Path) -> None:
    from ray._private.node import Node

    started: set[psutil.Process] = set()
    start = Node.start_ray_processes

    def start_and_interrupt(node: Node) -> None:
        start(node)
        started.update(ray_processes())
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(Node, "start_ray_processes", start_and_interrupt)
    before, environment = ray_processes(), dict(os.environ)
    with pytest.raises(KeyboardInterrupt):
        Cluster.start()
    gc.collect()  # the Popen objects now, while their warning is ignored
    assert len(started - before) > 2
    assert not [process for process in started - before if process.is_running()]
    assert not list(room.iterdir())
    assert dict(os.environ) == environment


UNHANDLED = """
import psutil
import ray  # before hetsched can say how
from hetsched.execute.ray_cluster.cluster import Cluster

cluster = Cluster.start()
(node,) = cluster.nodes
print(node.address, *(process.pid for process in psutil.Process().children(recursive=True)))
raise RuntimeError("the user's own mistake")
"""


def test_an_exception_that_nobody_handles_leaves_nothing(room: Path) -> None:
    done = subprocess.run([sys.executable, "-c", UNHANDLED], capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1] == "RuntimeError: the user's own mistake"
    address, *pids = done.stdout.split()
    assert address == "127.0.0.1"
    assert len(pids) > 3
    assert not [pid for pid in pids if psutil.pid_exists(int(pid))]
    assert not list(room.iterdir())
