"""How long things really take on an emulated platform: nominal time x hidden factor x noise; no cost model reads it."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from hashlib import blake2b

from hetsched.platform.platform import Device, Link, Platform, Truth

DEFAULT = "default"


def true_seconds(platform: Platform, device: Device, *, family: str, nominal_seconds: float, key: str) -> float:
    """True time of one computation.

    Args:
        platform: whose truth it is.
        device: that computes.
        family: of the op.
        nominal_seconds: the time by the device's rates, or the given one.
        key: what is computed and in which run; equal keys get equal noise.
    """
    truth = platform.truth or Truth()
    return nominal_seconds * compute_factor(truth, device, family) * _noise(truth, f"{device.name}/{key}")


def true_link_seconds(platform: Platform, links: Sequence[Link], *, nominal_seconds: float, key: str) -> float:
    """True time of one copy over links that are all busy meanwhile; the one with the worst factor holds it up."""
    truth = platform.truth or Truth()
    default = truth.link_factors.get(DEFAULT, 1.0)
    factor = max((truth.link_factors.get(link.name, default) for link in links), default=1.0)
    return nominal_seconds * factor * _noise(truth, "/".join([*(link.name for link in links), key]))


def compute_factor(truth: Truth, device: Device, family: str) -> float:
    """True over nominal seconds, without noise: by device name, then kind; by op family, then ``default``."""
    for who in (device.name, device.kind):
        factors = truth.factors.get(who, {})
        if (factor := factors.get(family, factors.get(DEFAULT))) is not None:
            return factor
    return 1.0


def _noise(truth: Truth, key: str) -> float:
    if truth.noise == 0:
        return 1.0
    seed = int.from_bytes(blake2b(f"{truth.seed}/{key}".encode(), digest_size=8).digest(), "big")
    return math.exp(random.Random(seed).gauss(0.0, truth.noise))
