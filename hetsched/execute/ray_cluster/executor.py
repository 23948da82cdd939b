"""The Ray executor: a plan's processes are actors; the driver, whose memory is home, takes part as one more process.

The driver alone decides: it starts every run, learns of every failure, and stops the others. Values go from actor to
actor.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Collection, Mapping
from typing import Any

import ray
from ray.exceptions import RayError
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from hetsched.errors import ExecutionError
from hetsched.execute.executor import Loaded, RatesOf, RunSettings
from hetsched.execute.ray_cluster.actor import actor_class
from hetsched.execute.ray_cluster.cluster import Cluster
from hetsched.execute.ray_cluster.loaded import LoadedOnCluster
from hetsched.execute.ray_cluster.parcels import can_travel
from hetsched.execute.ray_cluster.places import ProcessPlace, place_processes
from hetsched.execute.ray_cluster.reports import answer_of
from hetsched.graph.frozen import FrozenGraph
from hetsched.graph.values import Spec, spec_of
from hetsched.plan.plan import Plan
from hetsched.platform.cluster import DRIVER, discover_cluster, with_driver
from hetsched.platform.platform import Platform

log = logging.getLogger(__name__)

_START_SECONDS = 60.0
"""How long actors may take to start before the request is given up as one that the cluster cannot satisfy."""


class RayExecutor:
    """Runs plans on a Ray cluster; owns its connection and its actors until it is closed.

    Args:
        address: of a cluster to join; None starts a private one on this machine, on loopback only.
        token_path: file with the cluster's token; see `Cluster.join`.

    Raises:
        ExecutionError: the cluster cannot be started or joined.
    """

    def __init__(self, address: str | None = None, token_path: str | None = None) -> None:
        self._cluster = Cluster.start() if address is None else Cluster.join(address, token_path=token_path)
        self._actors: dict[tuple[str, ProcessPlace], Any] = {}
        self.turn = threading.Lock()

    def prepare(self, platform: Platform | None, rates_of: RatesOf | None = None) -> Platform:
        """The cluster as discovered, or the platform that the user gave, with the driver as one more host."""
        described = discover_cluster(self._cluster, rates_of) if platform is None else platform
        if any(process.name == DRIVER for process in described.processes):
            return described
        here = next((node for node in self._cluster.nodes if node.is_driver_node), None)
        return with_driver(described, {} if here is None else here.labels)

    def spec_of(self, reference: object) -> Spec | None:
        asked = ray.remote(num_cpus=0)(spec_of)  # where the value is, so that it need not come here
        spec: Spec | None = answer_of(asked.remote(reference))
        return spec

    def must_stay_home(self, value: object) -> bool:
        """Values that cannot be pickled are used in the driver only."""
        return not can_travel(value)

    def load(self, plan: Plan, graph: FrozenGraph, platform: Platform, settings: RunSettings) -> Loaded:
        """Send each process its part of the plan, and constants to their places."""
        return LoadedOnCluster(self, plan, graph, platform, settings)

    def actors(self, platform: Platform, processes: Collection[str]) -> dict[str, Any]:
        """A running actor for each process, by name; those that run already are taken again.

        Raises:
            ExecutionError: the cluster has no place for one of them.
        """
        places = place_processes(platform, self._cluster.nodes)
        keys = {process: (process, places[process]) for process in processes}
        new = {key: _start_actor(*key) for key in keys.values() if key not in self._actors}
        try:
            _await_start(new)
        except BaseException:
            for actor in new.values():
                ray.kill(actor)
            raise
        self._actors |= new
        return {process: self._actors[key] for process, key in keys.items()}

    def is_running(self, actor: Any) -> bool:
        """Whether an actor is one of those that run."""
        return any(actor is other for other in self._actors.values())

    def kill(self, actor: Any) -> None:
        """End an actor that does not answer any more, or is lost; a new one takes its place when it is needed."""
        ray.kill(actor)
        self._actors = {key: other for key, other in self._actors.items() if other is not actor}

    def close(self) -> None:
        """Kill the actors and leave the cluster; closing twice is fine."""
        for actor in self._actors.values():
            ray.kill(actor)
        self._actors = {}
        self._cluster.close()


def _await_start(actors: Mapping[tuple[str, ProcessPlace], Any]) -> None:
    pings = {actor.ping.remote(): key for key, actor in actors.items()}
    _, pending = ray.wait(list(pings), num_returns=len(pings), timeout=_START_SECONDS) if pings else ([], [])
    failed = [pings[ref] for ref in pending]
    for ref, key in pings.items():
        if key in failed:
            continue
        try:
            ray.get(ref)
        except RayError as error:
            log.debug("actor %s did not start", key[0], exc_info=error)
            failed.append(key)
    if failed:
        wanted = "; ".join(f"{process} ({place})" for process, place in failed)
        raise ExecutionError(
            f"the cluster did not start {wanted} within {_START_SECONDS:.0f} s; "
            "another job may hold its CPUs and GPUs, or its nodes lack hetsched"
        )


def _start_actor(process: str, place: ProcessPlace) -> Any:
    options = {
        "num_cpus": place.num_cpus,
        "num_gpus": place.num_gpus,
        "scheduling_strategy": NodeAffinitySchedulingStrategy(place.node_id, soft=False),
    }
    return actor_class().options(**options).remote(process)
