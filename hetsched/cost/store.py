"""A small JSON file in the user's cache directory; losing it costs a measurement and nothing else."""

from __future__ import annotations

import json
import logging
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


def cache_dir() -> Path:
    """``HETSCHED_CACHE_DIR``, else ``hetsched`` in ``XDG_CACHE_HOME``, else in ``~/.cache``."""
    if own := os.environ.get("HETSCHED_CACHE_DIR"):
        return Path(own)
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "hetsched"


def read_entries(path: Path) -> dict[str, Any]:
    """The file's entries; none where it is missing or unreadable, and a broken file is set aside with one warning."""
    try:
        entries = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(entries, dict):
            raise ValueError("the top level is not a mapping")
    except FileNotFoundError:
        return {}
    except OSError as reason:
        logger.info("cannot read %s (%s); going on without", path, reason)
        return {}
    except (ValueError, RecursionError) as reason:
        set_aside(path, str(reason))
        return {}
    return entries


def set_aside(path: Path, reason: str) -> None:
    """Rename a broken file, so that it can be looked at and is not read again."""
    aside = path.with_name(f"{path.name}.broken")
    logger.warning("%s is broken (%s); setting it aside as %s and measuring again", path, reason, aside.name)
    try:
        path.replace(aside)
    except OSError as problem:
        logger.info("cannot rename %s (%s); going on without", path, problem)


def write_entries(path: Path, entries: Mapping[str, Any]) -> None:
    """Put entries into the file beside those of other processes; where that cannot be written, go on without."""
    merged = read_entries(path) | dict(entries)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                json.dump(merged, file, indent=1, sort_keys=True)
            Path(temporary).replace(path)
        except BaseException:
            Path(temporary).unlink(missing_ok=True)
            raise
    except OSError as reason:
        logger.info("cannot write %s (%s); measuring again next time", path, reason)
