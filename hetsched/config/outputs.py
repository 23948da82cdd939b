"""Writes outputs of a job to the files that its pipeline asks for."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import torch

from hetsched.errors import ExecutionError


def save_outputs(outputs: Mapping[Any, Any], save: Mapping[str, Path]) -> tuple[Path, ...]:
    """Write each named output to its file; returns the files.

    Raises:
        ExecutionError: a file cannot be written, or its format cannot hold the value.
    """
    for key, path in save.items():
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            _WRITERS[path.suffix](path, outputs[key])
        except (OSError, TypeError, ValueError) as error:
            raise ExecutionError(f"output {key!r} cannot be saved to {path}: {error}") from error
    return tuple(save.values())


def _write_npy(path: Path, value: Any) -> None:
    array = value.detach().cpu().numpy() if isinstance(value, torch.Tensor) else np.asarray(value)
    np.save(path, array, allow_pickle=False)


def _write_json(path: Path, value: Any) -> None:
    path.write_text(json.dumps(value, default=_plain) + "\n", encoding="utf-8")


def _plain(value: Any) -> Any:
    if isinstance(value, torch.Tensor | np.ndarray):
        return value.tolist()
    raise TypeError(f"JSON holds no {type(value).__name__}")


_WRITERS: Mapping[str, Callable[[Path, Any], None]] = {
    ".npy": _write_npy,
    ".pt": lambda path, value: torch.save(value, path),
    ".json": _write_json,
}

SAVE_SUFFIXES = tuple(_WRITERS)
"""Formats that outputs can be saved in."""
