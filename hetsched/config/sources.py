"""Inputs and constants of a pipeline file: from a `SourceModel` to the values themselves."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hetsched.config.imports import allowed_function
from hetsched.config.schema import SourceModel
from hetsched.errors import ConfigError, ExecutionError
from hetsched.graph.values import describe, torch_dtype


def load_source(name: str, model: SourceModel, folder: Path, allow_imports: Sequence[str]) -> dict[str, Any]:
    """The values of one source by node name; a mapping or a source with branches gives several, ``name.part``.

    Args:
        name: of the source.
        model: what the file says.
        folder: what relative paths are relative to.
        allow_imports: packages whose functions ``call`` may name.

    Raises:
        ConfigError: it cannot be read, or has fewer items than branches.
        ExecutionError: the called function raised.
    """
    value = _FORMS[model.form](model, folder, allow_imports)
    if model.branches is not None:
        return {f"{name}.{branch}": part for branch, part in enumerate(_cut(value, model.branches))}
    if isinstance(value, Mapping):
        return {f"{name}.{part}": item for part, item in value.items()}
    return {name: value}


def _cut(value: Any, n_parts: int) -> tuple[Any, ...]:
    """A list, or a tensor along its first dimension, in parts of nearly equal length."""
    if not isinstance(value, list | tuple | torch.Tensor) or (isinstance(value, torch.Tensor) and not value.dim()):
        raise ConfigError(f"has {n_parts} branches and so must be a list or a tensor, not {describe(value)}")
    if len(value) < n_parts:
        raise ConfigError(f"has {n_parts} branches but only {len(value)} items")
    bounds = [part * len(value) // n_parts for part in range(n_parts + 1)]
    return tuple(value[start:end] for start, end in itertools.pairwise(bounds))


def _value(model: SourceModel, _folder: Path, _allow: Sequence[str]) -> Any:
    if not isinstance(model.value, int | float | list):
        if model.value is None or isinstance(model.value, Mapping):
            raise ConfigError("value must be a number, a string or nested lists of numbers")
        return model.value
    try:
        return torch.tensor(model.value, dtype=torch_dtype(model.dtype) if model.dtype else None)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ConfigError(f"value is no tensor: {error}") from error


def _random(model: SourceModel, _folder: Path, _allow: Sequence[str]) -> torch.Tensor:
    generator = torch.Generator().manual_seed(model.seed or 0)
    try:
        drawn = torch.randn(model.random or (), generator=generator)
    except RuntimeError as error:
        raise ConfigError(f"a tensor of shape {list(model.random or ())} does not fit in memory") from error
    return drawn.to(torch_dtype(model.dtype)) if model.dtype else drawn


def _file(model: SourceModel, folder: Path, _allow: Sequence[str]) -> Any:
    path = folder / Path(model.file or "").expanduser()
    read = _READERS.get(path.suffix.lower(), Path.read_bytes)
    try:
        return read(path)
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror or error}") from error
    except Exception as error:
        raise ConfigError(f"{path} is no {path.suffix} file, or holds more than plain data") from error


def _files(model: SourceModel, folder: Path, _allow: Sequence[str]) -> list[bytes]:
    pattern = Path(model.files or "").expanduser()
    root = Path(pattern.anchor) if pattern.is_absolute() else folder
    try:
        paths = sorted(path for path in root.glob(str(pattern.relative_to(pattern.anchor))) if path.is_file())
        found = [path.read_bytes() for path in paths]
    except (NotImplementedError, ValueError) as error:
        raise ConfigError(f"{model.files!r} is no file pattern: {error}") from error
    except OSError as error:
        raise ConfigError(f"cannot read {error.filename}: {error.strerror}") from error
    if not found:
        raise ConfigError(f"no file matches {model.files!r} in {root}")
    return found


def _call(model: SourceModel, _folder: Path, allow_imports: Sequence[str]) -> Any:
    function = allowed_function(model.call or "", allow_imports)
    try:
        return function(**model.with_)
    except Exception as error:
        raise ExecutionError(f"{model.call} raised {type(error).__name__}: {error}") from error


def _read_npz(path: Path) -> dict[str, torch.Tensor]:
    with np.load(path, allow_pickle=False) as arrays:
        return {name: torch.from_numpy(arrays[name]) for name in arrays.files}


_READERS: Mapping[str, Callable[[Path], Any]] = {
    ".npy": lambda path: torch.from_numpy(np.load(path, allow_pickle=False)),
    ".npz": _read_npz,
    ".pt": lambda path: torch.load(path, map_location="cpu", weights_only=True),
    ".txt": lambda path: path.read_text(encoding="utf-8"),
}
"""By suffix; any other file is its bytes. None of them runs code that is in the file."""

_FORMS: Mapping[str, Callable[[SourceModel, Path, Sequence[str]], Any]] = {
    "value": _value,
    "file": _file,
    "files": _files,
    "random": _random,
    "call": _call,
}
