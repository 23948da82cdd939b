"""A Ray of this process's own: on loopback only, and gone without a trace when it is ended."""

from __future__ import annotations

import contextlib
import os
import secrets
import shutil
import signal
import tempfile
import threading
from pathlib import Path
from typing import Any

import psutil

from hetsched.errors import ExecutionError
from hetsched.execute.ray_cluster.environment import LOOPBACK, QUIET, ray_environment, token_settings
from hetsched.platform.discover import usable_cores

_OBJECT_STORE_BYTES = 2 * 2**30
"""Memory is taken as values come; what does not fit is written to disk, slowly."""

_END_SECONDS = 5.0
"""How long Ray's processes may take to end before they are killed."""


class PrivateRay:
    """Started on construction, with a directory of its own and a token that only this user can read.

    Raises:
        ExecutionError: it does not start.
    """

    def __init__(self) -> None:
        # Not wherever TMPDIR points to: the paths of Ray's sockets must stay below 108 characters.
        self._directory = Path(tempfile.mkdtemp(prefix="hetsched-", dir=os.environ.get("RAY_TMPDIR", "/tmp")))
        self._processes: list[psutil.Process] = []
        self._sigterm = signal.getsignal(signal.SIGTERM)
        try:
            self._start()
        except BaseException as error:
            self.end()
            if isinstance(error, ExecutionError) or not isinstance(error, Exception):
                raise
            raise ExecutionError(f"Ray does not start on this machine: {error}") from error

    def _start(self) -> None:
        settings: dict[str, str | None] = {**QUIET, **LOOPBACK, "RAY_ADDRESS": None}
        if os.environ.get("RAY_AUTH_MODE", "token").lower() == "token":
            token = self._directory / "token"
            token.write_text(secrets.token_hex(32), encoding="ascii")
            settings |= token_settings(token)
        with ray_environment(settings) as ray:
            init(
                ray,
                address="local",
                num_cpus=usable_cores(),
                include_dashboard=False,
                object_store_memory=min(_OBJECT_STORE_BYTES, psutil.virtual_memory().available // 4),
                _temp_dir=str(self._directory),
            )
            addresses = {entry["NodeManagerAddress"] for entry in ray.nodes()}
        if not addresses <= {"127.0.0.1", "::1"}:
            raise ExecutionError(f"the private Ray listens on {', '.join(sorted(addresses))}, not on loopback only")

    def end(self) -> None:
        """Let Ray shut down, kill what is left of it, remove its files; all of that even when interrupted."""
        self._note_processes()
        try:
            import ray

            connected = ray.is_initialized()
            ray.shutdown()
            if connected:  # else nobody has asked them to end
                psutil.wait_procs(self._processes, timeout=_END_SECONDS)
        finally:
            self._note_processes()
            for process in self._processes:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()
            psutil.wait_procs(self._processes, timeout=_END_SECONDS)
            shutil.rmtree(self._directory, ignore_errors=True)
            _handle_sigterm(self._sigterm)

    def _note_processes(self) -> None:
        """Remember Ray's processes of this directory, and what they have started."""
        for child in psutil.Process().children():
            with contextlib.suppress(psutil.NoSuchProcess, psutil.AccessDenied):
                if any(str(self._directory) in word for word in child.cmdline()):
                    self._processes += [child, *child.children(recursive=True)]


def init(ray: Any, **settings: Any) -> None:
    """Call ``ray.init`` without its chatter; a handler of SIGTERM that the user has set stays."""
    sigterm = signal.getsignal(signal.SIGTERM)
    ray.init(log_to_driver=False, logging_level="WARNING", **settings)
    if sigterm != signal.SIG_DFL:
        _handle_sigterm(sigterm)


def _handle_sigterm(handler: Any) -> None:
    if handler is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, handler)
