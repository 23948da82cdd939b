"""The connection to Ray: to a private one on this machine, or to a cluster that the user asked to join."""

from __future__ import annotations

import atexit
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hetsched.errors import ExecutionError
from hetsched.execute.ray_cluster.environment import LOOPBACK, QUIET, ray_environment, read_again, token_settings
from hetsched.execute.ray_cluster.join import join, require_connected_to
from hetsched.execute.ray_cluster.private import PrivateRay
from hetsched.platform.cluster import NODE_ID, Node

T = TypeVar("T")
A = TypeVar("A")

_ANSWER_SECONDS = 60.0
"""How long nodes may take to answer a question; importing torch on busy ones takes some seconds."""

_STANDARD_RESOURCES = ("CPU", "GPU", "memory", "object_store_memory")


class Cluster:
    """A connection to Ray; whoever made it closes it, at the latest when the interpreter ends.

    Where the user's process is connected already, that connection is used, and stays open.
    """

    def __init__(self, leave: Callable[[], None] | None) -> None:
        self._leave = leave
        atexit.register(self.close)

    @classmethod
    def start(cls) -> Cluster:
        """Start a private Ray on this machine, which listens on loopback only and is gone after `close`.

        Raises:
            ExecutionError: Ray does not start.
        """
        with ray_environment({**QUIET, **LOOPBACK}) as ray:
            connected = ray.is_initialized()
        return cls(None if connected else PrivateRay().end)

    @classmethod
    def join(cls, address: str, *, token_path: str | Path | None = None) -> Cluster:
        """Join a running cluster, from one of its nodes.

        Args:
            address: ``host:port`` of its head, or ``auto`` for the one that runs on this machine.
            token_path: file with its token; without, ``RAY_AUTH_MODE`` and ``RAY_AUTH_TOKEN_PATH`` say, as Ray has it.

        Raises:
            ExecutionError: nothing answers there, the token is wrong, or this process is connected to another cluster.
        """
        settings: dict[str, str | None] = dict(QUIET)
        if token_path is not None:
            if not Path(token_path).is_file():
                raise ExecutionError(f"token file {str(token_path)!r} does not exist; give the cluster's own")
            settings |= token_settings(Path(token_path))
        with ray_environment(settings) as ray:
            if ray.is_initialized():
                require_connected_to(ray, address)
                return cls(None)
            join(address)
            return cls(ray.shutdown)

    @property
    def nodes(self) -> tuple[Node, ...]:
        """Those alive: the driver's first, the others by host name, address, and what they have."""
        import ray

        here = ray.get_runtime_context().get_node_id()
        nodes = (_node(entry, here) for entry in ray.nodes() if entry["Alive"])
        return tuple(sorted(nodes, key=lambda node: (not node.is_driver_node, node.hostname, str(node), node.node_id)))

    def ask(self, function: Callable[[A], T], questions: Sequence[tuple[Node, A]]) -> list[T]:
        """Call a function on some nodes at once, each with its own argument; the answers in order.

        Raises:
            ExecutionError: a node does not answer in time, or the function fails there.
        """
        import ray
        from ray.exceptions import RayError
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        asked = []
        for node, argument in questions:
            # A process that has looked at GPUs must not become an actor: it would see all of them, not just its own.
            task = ray.remote(num_cpus=0, max_retries=0, max_calls=1 if node.n_gpus else 0)(function)
            where = NodeAffinitySchedulingStrategy(node.node_id, soft=False)
            asked.append(task.options(scheduling_strategy=where).remote(argument))
        _, late = ray.wait(asked, num_returns=len(asked), timeout=_ANSWER_SECONDS) if asked else ([], [])
        for ref in late:
            ray.cancel(ref, force=True)
        answers: list[T] = []
        for (node, _), ref in zip(questions, asked, strict=True):
            if ref in late:
                raise ExecutionError(f"node {node} did not answer within {_ANSWER_SECONDS:.0f} s")
            try:
                answers.append(ray.get(ref))
            except RayError as error:
                reason = str(error).strip().rpartition("\n")[2]
                raise ExecutionError(f"node {node} cannot answer: {reason}; does it have this hetsched?") from error
        return answers

    def close(self) -> None:
        """Leave the cluster; a private one leaves no process and no file. Closing twice is fine."""
        atexit.unregister(self.close)
        leave, self._leave = self._leave, None
        if leave is not None:
            leave()
            read_again()  # the user's own next connection has other settings


def _node(entry: Mapping[str, Any], here: str) -> Node:
    resources = entry["Resources"]
    custom = {name: float(n) for name, n in sorted(resources.items()) if name not in _STANDARD_RESOURCES}
    return Node(
        node_id=entry["NodeID"],
        name=entry["NodeName"],
        hostname=entry["NodeManagerHostname"],
        address=entry["NodeManagerAddress"],
        n_cpus=int(resources.get("CPU", 0)),
        n_gpus=int(resources.get("GPU", 0)),
        labels={name: text for name, text in sorted(entry["Labels"].items()) if name != NODE_ID},
        resources={name: n for name, n in custom.items() if not name.startswith("node:")},
        is_driver_node=entry["NodeID"] == here,
    )
