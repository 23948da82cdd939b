"""Numbers with units as people write them: ``32GiB``, ``12 GB/s``, ``10us``, ``1.5 TFLOP/s``."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from contextlib import suppress
from decimal import Decimal
from typing import Literal

Unit = Literal["B", "s", "B/s", "FLOP/s"]

_DECIMAL = {"": 1.0, "k": 1e3, "M": 1e6, "G": 1e9, "T": 1e12, "P": 1e15}
_BINARY = {"Ki": 2.0**10, "Mi": 2.0**20, "Gi": 2.0**30, "Ti": 2.0**40}
_BYTES = {f"{prefix}B": scale for prefix, scale in (_DECIMAL | _BINARY).items()}
_BITS = {f"{prefix}bit": scale / 8 for prefix, scale in _DECIMAL.items()}

UNITS: Mapping[Unit, Mapping[str, float]] = {
    "B": _BYTES,
    "s": {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6, "ns": 1e-9},
    "B/s": {f"{unit}/s": scale for unit, scale in (_BYTES | _BITS).items()},
    "FLOP/s": {f"{prefix}FLOP/s": scale for prefix, scale in _DECIMAL.items()},
}
"""Scale of every unit that a base unit may be written in."""

_EXAMPLES: Mapping[Unit, str] = {"B": "32GiB", "s": "10us", "B/s": "12 GB/s", "FLOP/s": "1.5 TFLOP/s"}
_QUANTITY = re.compile(r"([-+]?[0-9.]+(?:[eE][-+]?[0-9]+)?)\s*(\S+)")


def quantity(written: object, unit: Unit) -> float:
    """What a number with or without a unit means, in the base unit.

    Raises:
        ValueError: it is not a number, or not of this unit; says how to write one.
    """
    if isinstance(written, int | float) and not isinstance(written, bool):
        return float(written)
    match = _QUANTITY.fullmatch(written.strip()) if isinstance(written, str) else None
    scale = UNITS[unit].get(match[2]) if match else None
    if match and scale is not None:
        with suppress(ArithmeticError):  # such as "1.2.3 s": not a number, said below
            return float(Decimal(match[1]) * Decimal(str(scale)))  # 10us is 1e-5 exactly
    raise ValueError(f"is {written!r}; write a number in {unit}, or one with its unit, such as {_EXAMPLES[unit]}")


def show_bytes(n_bytes: float) -> str:
    """``25769803776`` -> ``24.0 GiB``."""
    if math.isinf(n_bytes):
        return "unlimited"
    for prefix, scale in reversed(_BINARY.items()):
        if n_bytes >= scale:
            return f"{n_bytes / scale:.1f} {prefix}B"
    return f"{n_bytes:.0f} B"
