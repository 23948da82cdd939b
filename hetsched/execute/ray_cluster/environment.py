"""Ray reads its settings from the environment, some of them at import; here they are given, and taken back again."""

from __future__ import annotations

import importlib
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

QUIET = {"RAY_USAGE_STATS_ENABLED": "0"}
"""Nothing is sent to the makers of Ray."""

LOOPBACK = {"RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0"}
"""The one setting that makes all of Ray listen on 127.0.0.1; it is made for other systems, and works on Linux too."""


def _is_loopback_only() -> bool:
    """Whether the environment asks Ray to stay on loopback."""
    return all(os.environ.get(name) == value for name, value in LOOPBACK.items())


def token_settings(path: Path) -> dict[str, str | None]:
    """Use the token in that file, whatever the user's environment says."""
    return {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN_PATH": str(path), "RAY_AUTH_TOKEN": None}


@contextmanager
def ray_environment(settings: Mapping[str, str | None]) -> Iterator[Any]:
    """The ray module, under some settings (None unsets a variable); afterwards the environment is as it was.

    What ray has read already, because it was imported or used before, is made to agree.
    """
    before = dict(os.environ)  # all of it, as ray.init sets some variables itself
    _set(settings)
    try:
        import ray
        from ray._private import ray_constants

        reaches_out = ray_constants.ENABLE_RAY_CLUSTER
        if not ray.is_initialized():
            ray_constants.ENABLE_RAY_CLUSTER = not _is_loopback_only()
            read_again()
        try:
            yield ray
        finally:
            ray_constants.ENABLE_RAY_CLUSTER = reaches_out
    finally:
        _set({name: before.get(name) for name in os.environ.keys() | before.keys()})


def read_again() -> None:
    """Let Ray, while it is not connected, forget the token and the settings that it has read."""
    compiled: Any = importlib.import_module("ray._raylet")
    compiled.Config.initialize("")
    if hasattr(compiled, "AuthenticationTokenLoader"):  # older Rays have no tokens
        compiled.AuthenticationTokenLoader.instance().reset_cache()


def _set(settings: Mapping[str, str | None]) -> None:
    for name, value in settings.items():
        if value is None:
            os.environ.pop(name, None)
        elif os.environ.get(name) != value:
            os.environ[name] = value
