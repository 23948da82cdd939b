"""Rates are measured once, remembered, and survive a broken or read-only cache."""

import json
import logging
from dataclasses import replace
from pathlib import Path

import pytest
import torch

from hetsched.cost import calibrate, measure
from hetsched.cost.calibrate import host_rates, with_rates
from hetsched.cost.measure import LinkRates
from hetsched.cost.store import cache_dir
from hetsched.platform.platform import Device, Host, Link, Memory, Platform, Process, Rates, Route

RATES = Rates({"float32": 2e9, "float64": 1e9}, 3e9, 1e-6)


@pytest.fixture
def measured(monkeypatch):
    """The numbers of threads that were measured."""
    seen: list[int] = []

    def fake(n_threads: int) -> Rates:
        seen.append(n_threads)
        return RATES

    monkeypatch.setattr(calibrate, "measure_cpu", fake)
    return seen


def host(*devices: Device, **more: object) -> Platform:
    memories = [Memory("ram", "h"), Memory("vram:0", "h")]
    return Platform("p", (Host("h", 2),), (Process("h", "h"),), tuple(memories), devices, **more)


CPUS = (Device("cpu:0", "cpu", "ram", "M"), Device("cpu:1", "cpu", "ram", "M"))


def forget(monkeypatch) -> None:
    monkeypatch.setattr(calibrate, "_MEASURED", {})


def test_equal_devices_are_measured_once(cache, measured):
    assert [device.rates for device in with_rates(host(*CPUS)).devices] == [RATES, RATES]
    assert measured == [1]


def test_every_number_of_threads_is_measured(cache, measured):
    with_rates(host(CPUS[0], replace(CPUS[1], n_threads=2)))
    assert measured == [1, 2]


def test_known_rates_stay(cache, measured):
    known = host(replace(CPUS[0], rates=Rates({"float32": 1.0}, 1.0, 1.0)))
    assert with_rates(known) == known
    assert measured == []
    assert not cache.exists()


def test_emulated_platforms_and_clusters_are_left_alone(cache, measured):
    emulated = host(*CPUS, emulated=True)
    cluster = replace(host(*CPUS), hosts=(Host("h"), Host("other")))
    assert with_rates(emulated) is emulated
    assert with_rates(cluster) is cluster
    assert measured == []


def test_the_next_process_reads_the_cache(cache, measured, monkeypatch):
    first = with_rates(host(*CPUS))
    forget(monkeypatch)
    assert with_rates(host(*CPUS)) == first
    assert measured == [1]
    entries = json.loads((cache / "rates.json").read_text())
    assert list(entries) == [f"cpu|M|1|torch {torch.__version__}"]
    assert [path.name for path in cache.iterdir()] == ["rates.json"]


BROKEN = [
    "",
    "not json",
    "[1, 2]",
    "[" * 100_000,
    '{"KEY": 3}',
    '{"KEY": {"flops_per_second": {"float64": 1.0}, "bytes_per_second": 1.0, "overhead_seconds": 1.0}}',
    '{"KEY": {"flops_per_second": {"float32": NaN}, "bytes_per_second": 1.0, "overhead_seconds": 1.0}}',
    '{"KEY": {"flops_per_second": {"float32": 1.0}, "bytes_per_second": -1.0, "overhead_seconds": 1.0}}',
    '{"KEY": {"flops_per_second": {"float32": 1.0}, "bytes_per_second": 1.0}}',
    '{"KEY": {"flops_per_second": {"float32": 1.0}, "bytes_per_second": 1.0, "overhead_seconds": 1.0, "up": 1}}',
]


@pytest.mark.parametrize("content", BROKEN)
def test_a_broken_cache_is_set_aside(cache, measured, caplog, content):
    cache.mkdir()
    content = content.replace("KEY", f"cpu|M|1|torch {torch.__version__}")
    (cache / "rates.json").write_text(content)
    with caplog.at_level(logging.WARNING):
        assert with_rates(host(*CPUS)).devices[0].rates == RATES
    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "setting it aside" in caplog.messages[0]
    assert (cache / "rates.json.broken").read_text() == content
    assert measured == [1]
    assert len(json.loads((cache / "rates.json").read_text())) == 1


def test_bytes_that_are_no_text(cache, measured, caplog):
    cache.mkdir()
    (cache / "rates.json").write_bytes(b"\xff\xfe\x00")
    assert with_rates(host(*CPUS)).devices[0].rates == RATES
    assert len(caplog.messages) == 1


def test_a_cache_that_cannot_be_written(tmp_path, measured, monkeypatch, caplog):
    forget(monkeypatch)
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("HETSCHED_CACHE_DIR", str(tmp_path / "file"))
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert with_rates(host(*CPUS)).devices[0].rates == RATES
    assert measured == [1]
    assert caplog.messages == []


def test_where_the_cache_is(monkeypatch):
    monkeypatch.setenv("HETSCHED_CACHE_DIR", "/a")
    assert cache_dir() == Path("/a")
    monkeypatch.delenv("HETSCHED_CACHE_DIR")
    monkeypatch.setenv("XDG_CACHE_HOME", "/b")
    assert cache_dir() == Path("/b/hetsched")
    monkeypatch.setenv("XDG_CACHE_HOME", "")
    assert cache_dir() == Path.home() / ".cache" / "hetsched"


def test_accelerators_bring_their_links(cache, measured, monkeypatch):
    asked = []

    def fake(device: torch.device) -> tuple[Rates, LinkRates, LinkRates]:
        asked.append(str(device))
        return RATES, LinkRates(1e-5, 2e10), LinkRates(2e-5, 1e10)

    monkeypatch.setattr(calibrate, "measure_accelerator", fake)
    links = (Link("down", 1.0, 1.0), Link("up", 1.0, 1.0), Link("other", 1.0, 1.0))
    routes = (Route("ram", "vram:0", ("down",)), Route("vram:0", "ram", ("up",)))
    platform = host(*CPUS, Device("gpu:3", "cuda", "vram:0", "G"), links=links, routes=routes)
    rated = with_rates(platform)
    assert asked == ["cuda:3"]
    assert rated.device("gpu:3").rates == RATES
    assert rated.links == (Link("down", 1e-5, 2e10), Link("up", 2e-5, 1e10), Link("other", 1.0, 1.0))


def test_an_accelerator_that_cannot_be_measured_stays_unknown(cache, measured, monkeypatch, caplog):
    def fail(device: torch.device) -> None:
        raise RuntimeError("out of memory")

    monkeypatch.setattr(calibrate, "measure_accelerator", fail)
    rated = with_rates(host(*CPUS, Device("gpu:0", "cuda", "vram:0", "G")))
    assert rated.device("gpu:0").rates is None
    assert rated.device("cpu:0").rates == RATES
    assert "cannot measure gpu:0 (out of memory)" in caplog.messages[0]


def test_a_real_measurement(cache, monkeypatch):
    monkeypatch.setattr(measure, "BUDGET_SECONDS", 0.002)
    before = torch.get_num_threads()
    torch.set_num_threads(2)
    try:
        rates = host_rates()
        assert torch.get_num_threads() == 2
    finally:
        torch.set_num_threads(before)
    assert set(rates.flops_per_second) == {"float32", "float64", "bfloat16"}
    assert 1e8 < rates.flops_per_second["float32"] < 1e13
    assert 1e8 < rates.bytes_per_second < 1e13
    assert 1e-8 < rates.overhead_seconds < 1e-3
    assert torch.is_grad_enabled()


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_a_real_measurement_of_a_gpu(cache):
    rates, down, up = measure.measure_accelerator(torch.device("cuda", 0))
    assert rates.flops_per_second["float32"] > 1e11
    assert rates.bytes_per_second > 1e10
    assert min(down.bytes_per_second, up.bytes_per_second) > 1e8
