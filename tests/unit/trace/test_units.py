import pytest

from hetsched.trace.units import show_bytes, show_seconds


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0.0, "0 s"),
        (1.0, "1.00 s"),
        (123.4, "123 s"),
        (0.0456, "45.6 ms"),
        (9.996e-3, "10.0 ms"),
        (999.7e-6, "1.00 ms"),
        (2.5e-6, "2.50 µs"),
        (3e-9, "3.00 ns"),
        (4e-10, "0.40 ns"),
        (-0.002, "-2.00 ms"),
    ],
)
def test_seconds(seconds: float, shown: str) -> None:
    assert show_seconds(seconds) == shown


@pytest.mark.parametrize(
    ("n_bytes", "shown"),
    [(0, "0 B"), (1023, "1023 B"), (1024, "1.00 KiB"), (3 << 19, "1.50 MiB"), (64 << 30, "64.0 GiB")],
)
def test_bytes(n_bytes: float, shown: str) -> None:
    assert show_bytes(n_bytes) == shown
