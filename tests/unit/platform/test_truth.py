import math
from dataclasses import replace
from pathlib import Path
from statistics import mean, stdev

from hetsched.platform.platform import Platform, Truth
from hetsched.platform.truth import compute_factor, true_link_seconds, true_seconds

PLATFORM = Platform.load(Path(__file__).parents[3] / "configs" / "platforms" / "one-gpu-workstation.yaml")
GPU = PLATFORM.device("gpu:0")


def seconds(platform: Platform, key: str) -> float:
    return true_seconds(platform, GPU, family="matmul", nominal_seconds=2.0, key=key)


def test_factors_by_name_then_kind_then_default():
    truth = Truth({"cuda": {"default": 2.0, "matmul": 3.0}, "gpu:0": {"relu": 5.0}})
    assert [compute_factor(truth, GPU, family) for family in ("relu", "matmul", "other")] == [5.0, 3.0, 2.0]
    assert compute_factor(truth, PLATFORM.device("cpu:0"), "matmul") == 1.0


def test_without_noise_it_is_the_factor():
    quiet = replace(PLATFORM, truth=Truth({"cuda": {"default": 1.5}}, {"pcie0.up": 2.0}))
    assert seconds(quiet, "0/a") == 3.0
    links = {link.name: link for link in PLATFORM.links}
    assert true_link_seconds(quiet, [links["pcie0.up"], links["pcie0.down"]], nominal_seconds=1.0, key="x") == 2.0
    assert true_link_seconds(quiet, [links["pcie0.down"]], nominal_seconds=1.0, key="x") == 1.0
    assert true_link_seconds(quiet, [], nominal_seconds=0.0, key="x") == 0.0
    assert seconds(replace(PLATFORM, truth=None), "0/a") == 2.0


def test_noise_is_deterministic_and_as_wide_as_it_says():
    noisy = replace(PLATFORM, truth=Truth(noise=0.2, seed=1))
    assert seconds(noisy, "0/a") == seconds(noisy, "0/a")
    assert seconds(noisy, "0/a") != seconds(noisy, "1/a")
    assert seconds(noisy, "0/a") != seconds(replace(noisy, truth=Truth(noise=0.2, seed=2)), "0/a")
    logs = [math.log(seconds(noisy, f"{run}/a") / 2.0) for run in range(2000)]
    assert abs(mean(logs)) < 0.02
    assert 0.18 < stdev(logs) < 0.22
