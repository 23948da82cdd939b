import math

import pytest

from hetsched.platform.units import quantity, show_bytes


@pytest.mark.parametrize(
    ("written", "unit", "meaning"),
    [
        ("32GiB", "B", 32 * 2**30),
        ("32 GB", "B", 32e9),
        ("512 B", "B", 512),
        ("12 GB/s", "B/s", 12e9),
        ("25 Gbit/s", "B/s", 3.125e9),
        ("10us", "s", 1e-5),
        ("10 µs", "s", 1e-5),
        ("1.5 TFLOP/s", "FLOP/s", 1.5e12),
        ("1e3 kFLOP/s", "FLOP/s", 1e6),
        (3, "B", 3.0),
        (1e-5, "s", 1e-5),
        (math.inf, "B", math.inf),
    ],
)
def test_quantities(written, unit, meaning):
    assert quantity(written, unit) == meaning


@pytest.mark.parametrize(
    ("written", "unit"),
    [
        ("32", "B"),
        ("GiB", "B"),
        ("3 GB", "s"),
        ("1.2.3 s", "s"),
        ("3 parsecs", "s"),
        (True, "B"),
        (None, "B"),
        ([], "s"),
    ],
)
def test_what_is_no_quantity(written, unit):
    with pytest.raises(ValueError, match=r"write a number in .*, such as"):
        quantity(written, unit)


def test_show_bytes():
    assert [show_bytes(n) for n in (0, 1023, 24 * 2**30, math.inf)] == ["0 B", "1023 B", "24.0 GiB", "unlimited"]
