"""Platform files: what they may say, and one error with file, line and cure for everything else."""

import random
from pathlib import Path

import pytest

from hetsched.errors import PlatformError
from hetsched.platform.files import load_platform, parse_platform
from hetsched.platform.platform import Link, Platform, Route

FILES = Path(__file__).parents[3] / "configs" / "platforms"

SMALL = """\
name: small
emulated: true
hosts: {box: 4}
memories:
  ram: 8GiB
  vram:0: {capacity: 1GiB}
devices:
  cpu:*:
    count: 2
    kind: cpu
    memory: ram
    rates: {flops: {float32: 1 GFLOP/s}, bandwidth: 1 GB/s, overhead: 1us}
  gpu:0:
    kind: cuda
    memory: vram:0
    rates: {flops: {float32: 9 GFLOP/s}, bandwidth: 9 GB/s, overhead: 1us}
links:
  down: {from: ram, to: "vram:0", latency: 10us, bandwidth: 1 GB/s}
  up: {latency: 10us, bandwidth: 1 GB/s}
routes:
  - {from: "vram:0", to: ram, over: [up]}
layouts: [2x1, 1x2]
truth:
  seed: 3
  noise: 0.1
  factors: {cuda: {default: 2.0}}
  links: {down: 1.5}
"""


def test_small():
    platform = parse_platform(SMALL)
    assert [device.name for device in platform.devices] == ["cpu:0", "cpu:1", "gpu:0"]
    assert platform.devices[0].rates.flops_per_second == {"float32": 1e9}
    assert platform.hosts[0].n_cores == 4
    assert platform.memories[1].capacity_bytes == 2**30
    assert platform.links == (Link("down", 1e-5, 1e9), Link("up", 1e-5, 1e9))
    assert platform.routes == (Route("ram", "vram:0", ("down",)), Route("vram:0", "ram", ("up",)))
    assert [str(layout) for layout in platform.layouts] == ["box:2x1", "box:1x2"]
    assert platform.truth.factors == {"cuda": {"default": 2.0}}
    assert platform.truth.link_factors == {"down": 1.5}
    assert platform.home == "ram"


def test_stars_count():
    platform = load_platform(FILES / "four-gpu-server.yaml")
    assert [device.memory for device in platform.devices if device.kind == "cuda"] == [f"vram:{n}" for n in range(4)]
    assert len(platform.routes) == 4 * 2 + 4 * 3


@pytest.mark.parametrize("path", sorted(FILES.glob("*.yaml")), ids=lambda path: path.stem)
def test_shipped_files(path):
    platform = Platform.load(path)
    assert platform.name == path.stem
    assert platform.emulated
    assert platform.truth is not None
    assert platform.truth.noise > 0
    reached = {platform.home}
    for _ in platform.memories:
        reached |= {route.target for route in platform.routes if route.source in reached}
    assert reached == {memory.name for memory in platform.memories}
    assert all(
        (route.target, route.source) in {(r.source, r.target) for r in platform.routes} for route in platform.routes
    )


def test_cluster_has_hosts_and_labels():
    platform = load_platform(FILES / "two-node-cluster.yaml")
    assert platform.host_of("node1/vram:0").name == "node1"
    assert platform.matches(platform.device("node0/gpu:1"), "hall-a")
    assert not platform.matches(platform.device("node1/gpu:0"), "hall-a")


def test_a_name_is_enough_for_a_real_platform():
    platform = parse_platform("memories: {ram: }\ndevices: {cpu:0: {kind: cpu, memory: ram}}\n", "dir/mine.yaml")
    assert (platform.name, platform.emulated, platform.devices[0].rates) == ("mine", False, None)


def changed(old: str, new: str) -> str:
    assert old in SMALL
    return SMALL.replace(old, new)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        (changed("emulated:", "emulatd:"), 2, "emulatd: unknown field; did you mean 'emulated'?"),
        (changed("emulated: true", "emulated: maybe"), 2, "emulated: is 'maybe'; it must be true or false"),
        (changed("8GiB", "8 apples"), 5, "memories.ram.capacity: is '8 apples'; write a number in B"),
        (changed("8GiB", "-8GiB"), 5, "it must be a finite number, zero or more"),
        (changed("8GiB", ".nan"), 5, "it must be a finite number, zero or more"),
        (changed("{box: 4}", "{box: 0}"), 3, "hosts.box.cores: is 0; it must be 1 or more"),
        (changed("{box: 4}", "{box: four}"), 3, "it must be a whole number"),
        (changed("{box: 4}", "4"), 3, "hosts: is 4; it must be a mapping"),
        (changed("count: 2", "count: 0"), 9, "it must be from 1 to"),
        (changed("count: 2", "count: 99999999999"), 9, "it must be from 1 to"),
        (changed("cpu:*:", "cpu:"), 9, "the name 'cpu' has no \\*; write one where the number goes"),
        (changed("    count: 2\n", ""), 8, "has a \\* in its name but no `count`"),
        (changed("    memory: ram\n", "    memory: rom\n"), 11, "no memory is called 'rom'; did you mean 'ram'?"),
        (changed("    kind: cuda\n", ""), 13, "devices.gpu:0.kind: is missing; give text"),
        (changed("flops: {float32: 9", "flops: {float64: 9"), 16, "has no float32; give it"),
        (
            changed("{float32: 9 GFLOP/s}", "{float32: 0}"),
            16,
            "float32: is 0; it must be a finite number, more than zero",
        ),
        (
            changed("overhead: 1us}\n  gpu", "overhed: 1us}\n  gpu"),
            12,
            "overhed: unknown field; did you mean 'overhead'?",
        ),
        (changed("bandwidth: 1 GB/s}\n  up", "bandwidth: 10us}\n  up"), 18, "write a number in B/s"),
        (changed('to: "vram:0", lat', 'to: "vram:9", lat'), 18, "no memory is called 'vram:9'"),
        (changed('from: ram, to: "vram:0", lat', "from: ram, lat"), 18, "links.down.to: is missing"),
        (changed("over: [up]", "over: [upp]"), 21, "over\\[0\\]: no link is called 'upp'; did you mean 'up'?"),
        (changed("over: [up]", "over: up"), 21, "it must be a list"),
        (changed("[2x1, 1x2]", "[2x]"), 22, "write workers x threads, such as box:4x1"),
        (changed("[2x1, 1x2]", "[8x1]"), 22, "needs more than the 4 cores"),
        (changed("[2x1, 1x2]", "[other:2x1]"), 22, "write workers x threads"),
        (changed("noise: 0.1", "noise: ten"), 25, "noise: is 'ten'; write a plain number"),
        (changed("{cuda: {", "{cud: {"), 26, "cud: unknown field; did you mean 'cuda'?"),
        (changed("{default: 2.0}", "{default: -1}"), 26, "more than zero"),
        (changed("links: {down: 1.5}", "links: {dwn: 1.5}"), 27, "dwn: unknown field; did you mean 'down'?"),
        (changed("emulated: true\n", ""), 22, "truth: only emulated platforms have one"),
        (changed("name: small", "home: rim"), 1, "home: no memory is called 'rim'"),
        (changed("name: small", "compute: mabye"), 1, "no way to compute is called 'mabye'"),
        (changed("name: small", "time_scale: 0"), 1, "more than zero"),
        ("emulated: true\ndevices: {c: {kind: cpu, memory: ram}}\nmemories: {ram: 1}\n", 2, "c.rates: is missing"),
        ("name: x\nmemories: {ram: 1}\n", 1, "the platform has no device; add one"),
        (
            "hosts: {a: 1, b: 1}\nmemories: {ram: 1}\ndevices: {}\n",
            2,
            "host: is missing; give it, or call the memory a/ram",
        ),
        (changed("name: small", "name: [1]"), 1, "name: is \\[1\\]; it must be text"),
    ],
)
def test_errors_name_the_place_and_the_cure(text, line, message):
    with pytest.raises(PlatformError, match=rf"^p\.yaml:{line}: .*{message}"):
        parse_platform(text, "p.yaml")


def test_what_the_data_refuses_names_the_file():
    twice = SMALL.replace("  gpu:0:", "  cpu:1:")
    with pytest.raises(PlatformError, match=r"^p\.yaml: platform 'small' has two of device 'cpu:1'; rename one"):
        parse_platform(twice, "p.yaml")


def test_mutated_files_load_or_raise_one_error():
    lines = SMALL.splitlines(keepends=True)
    draw = random.Random(1)
    refused = []
    for _ in range(200):
        mutated = list(lines)
        at = draw.randrange(len(mutated))
        word = draw.choice(mutated[at].split() or [""])
        other = draw.choice(["", "3", "-1", ".nan", "[]", "{}", "null", "x", "a: b", "1e400", "'*'", "true"])
        mutated[at] = mutated[at].replace(word, other, 1) if word else other
        try:
            assert isinstance(parse_platform("".join(mutated), "p"), Platform)
        except PlatformError as problem:
            refused.append(str(problem))
    assert len(refused) > 50
    assert all(message.startswith("p:") for message in refused)
