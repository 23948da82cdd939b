"""Functions that a pipeline file names, taken only from packages that the caller allows."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Callable, Sequence
from typing import Any

from hetsched.errors import ConfigError


def allowed_function(reference: str, allow_imports: Sequence[str]) -> Callable[..., Any]:
    """The function that ``package.module:function`` names.

    Raises:
        ConfigError: the caller does not allow its package, or there is no such module or function.
    """
    module_name, _, function_name = reference.partition(":")
    parts = [*module_name.split("."), function_name]
    if not all(part.isidentifier() and not part.startswith("__") for part in parts):
        raise ConfigError(f"{reference!r} names no function; write package.module:function")
    if not _is_allowed(module_name, allow_imports):
        raise ConfigError(
            f"{reference!r} is the file's own choice of code; allow it with --allow-import {parts[0]} "
            f"(allow_imports=[{parts[0]!r}]) if you trust that package"
        )
    try:
        module = importlib.import_module(module_name)
    except Exception as error:
        raise ConfigError(f"{module_name!r} cannot be imported: {type(error).__name__}: {error}") from error
    function: Callable[..., Any] | None = getattr(module, function_name, None)
    if not callable(function):
        raise ConfigError(f"module {module_name!r} has no function {function_name!r}")
    home = function.__module__ if inspect.isroutine(function) or inspect.isclass(function) else module_name
    if not _is_allowed(home or "builtins", allow_imports):
        raise ConfigError(f"{reference!r} is defined in {home or 'builtins'!r}, which is not allowed")
    return function


def _is_allowed(module_name: str, allow_imports: Sequence[str]) -> bool:
    return any(module_name == package or module_name.startswith(f"{package}.") for package in allow_imports)
