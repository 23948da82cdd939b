"""What every result says of the machine it was made on, and where results go."""

from __future__ import annotations

import json
import os
import platform
from datetime import UTC, datetime
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import torch

from hetsched.platform.discover import cpu_model, usable_cores

RESULTS = Path(__file__).parent / "results"


def described() -> dict[str, Any]:
    """Processor, cores, load, accelerator and versions."""
    packages = {}
    for package in ("hetsched", "torch", "numpy", "networkx", "ray"):
        try:
            packages[package] = version(package)
        except PackageNotFoundError:
            packages[package] = None
    return {
        "cpu": cpu_model(),
        "n_cores": usable_cores(),
        "load_before": os.getloadavg()[0],
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "python": platform.python_version(),
        "packages": packages,
    }


def save(name: str, machine: dict[str, Any], results: dict[str, Any]) -> Path:
    """Write ``results/NAME.json``."""
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    when = datetime.now(UTC).isoformat(timespec="seconds")
    path.write_text(json.dumps({"when": when, "machine": machine, "results": results}, indent=1) + "\n")
    return path
