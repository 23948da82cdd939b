"""Seconds and bytes as people read them."""

from __future__ import annotations

_SECONDS = ((1.0, "s"), (1e-3, "ms"), (1e-6, "µs"), (1e-9, "ns"))
_BYTES = ((1 << 40, "TiB"), (1 << 30, "GiB"), (1 << 20, "MiB"), (1 << 10, "KiB"))


def seconds_unit(seconds: float) -> tuple[float, str]:
    """The unit in which a time reads best, as seconds per unit and the unit's name."""
    if seconds <= 0:
        return 1.0, "s"
    # 999.7 µs would be shown as 1000 µs
    return next(((size, name) for size, name in _SECONDS if seconds >= 0.9995 * size), _SECONDS[-1])


def show_seconds(seconds: float) -> str:
    """A time in the unit that suits it: ``1.23 ms``."""
    size, unit = seconds_unit(abs(seconds))
    return f"{_three_digits(seconds / size)} {unit}"


def show_bytes(n_bytes: float) -> str:
    """A size in the binary unit that suits it: ``64.0 MiB``."""
    for size, unit in _BYTES:
        if n_bytes >= size:
            return f"{_three_digits(n_bytes / size)} {unit}"
    return f"{n_bytes:.0f} B"


def _three_digits(number: float) -> str:
    digits = 2 if abs(number) < 9.995 else 1 if abs(number) < 99.95 else 0
    return f"{number:.{digits}f}" if number else "0"
