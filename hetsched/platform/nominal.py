"""Links that nobody has measured yet; they stand until `hetsched.cost.calibrate` has."""

from hetsched.platform.platform import Link

NOMINAL_PCIE = Link("", latency_seconds=10e-6, bytes_per_second=12e9)
"""A PCIe 3.0 x16 slot in practice."""

NOMINAL_MAIL = Link("", latency_seconds=1e-3, bytes_per_second=1.3e9)
"""Between two processes through Ray's object store: 1 KB took 1.0 ms and 64 MB 51 ms between two actors of one node."""

NOMINAL_NIC = Link("", latency_seconds=0.5e-3, bytes_per_second=1.25e9)
"""Ten-gigabit Ethernet, one way of one node; two of them make one hop of mail."""
