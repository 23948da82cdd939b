"""Finding out quickly whether a cluster can be joined: left alone, Ray asks a wrong address for minutes."""

from __future__ import annotations

import importlib
import socket
import threading
from queue import Empty, SimpleQueue
from typing import Any

from hetsched.errors import ExecutionError
from hetsched.execute.ray_cluster.environment import LOOPBACK, ray_environment
from hetsched.execute.ray_cluster.private import init

_CONNECT_SECONDS = 3.0
_ANSWER_SECONDS = 12.0


def join(address: str) -> None:
    """Connect this process to a cluster that runs, or see that it is connected to it already.

    Raises:
        ExecutionError: nothing answers there, the token is wrong, or this process is connected to another cluster.
    """
    if "://" in address:
        raise ExecutionError(
            f"address {address!r}: Ray Client is not supported; run on a node of the cluster (`ray job submit` does), "
            "and give host:port or auto"
        )
    for settings in ({}, LOOPBACK):  # unless told so, Ray takes 127.0.0.1 for this host's address on the network
        with ray_environment(settings) as ray:
            found = _resolve(address)
            if not _listens(found):
                continue
            _knock(found)
            try:
                init(ray, address=found)
            except Exception as error:
                ray.shutdown()
                reason = str(error).partition("\n")[0]
                raise ExecutionError(
                    f"cannot join the cluster at {found}: {reason}; this process must run on one of its nodes"
                ) from error
            return
    raise ExecutionError(f"nothing listens at {address}; is the cluster up, and its port right? `ray status` tells")


def require_connected_to(ray: Any, address: str) -> None:
    """See that the cluster this process is connected to is the one that is asked for.

    Raises:
        ExecutionError: it is another one.
    """
    connected = str(ray.get_runtime_context().gcs_address)
    if address != "auto" and _resolve(address) != connected:
        raise ExecutionError(
            f"this process is connected to the Ray cluster at {connected}, not {address}; call ray.shutdown() first"
        )


def _resolve(address: str) -> str:
    """``host:port``, also of ``auto``."""
    from ray._private.services import canonicalize_bootstrap_address

    reason = "no cluster runs on this machine" if address == "auto" else "it is not host:port, nor auto"
    try:
        found = canonicalize_bootstrap_address(address) or ""
    except (ValueError, ConnectionError) as error:
        found, reason = "", str(error).partition("\n")[0]
    if not found.rpartition(":")[2].isdigit():
        raise ExecutionError(
            f"address {address!r}: {reason}; `ray start --head` starts a cluster and prints its host:port"
        )
    return str(found)


def _listens(address: str) -> bool:
    host, _, port = address.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_SECONDS).close()
    except (OSError, OverflowError):
        return False
    return True


def _knock(address: str) -> None:
    """Ask the cluster who it is, in a thread, since the call does not end where no answer comes."""
    answer: SimpleQueue[Exception | None] = SimpleQueue()

    def ask() -> None:
        compiled: Any = importlib.import_module("ray._raylet")
        try:
            compiled.GcsClient(address=address)
        except Exception as error:  # noqa: BLE001  (told below, in the caller's thread)
            answer.put(error)
        else:
            answer.put(None)

    threading.Thread(target=ask, name="hetsched knocks", daemon=True).start()
    try:
        error = answer.get(timeout=_ANSWER_SECONDS)
    except Empty:
        raise ExecutionError(
            f"what listens at {address} did not answer as Ray does within {_ANSWER_SECONDS:.0f} s; is it Ray's port?"
        ) from None
    if error is not None:
        raise ExecutionError(
            f"the cluster at {address} refuses this process: {error}; a wrong or missing token looks like a lost "
            "connection too: set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to the file with the cluster's token"
        ) from error
