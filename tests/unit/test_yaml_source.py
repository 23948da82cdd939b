"""Strict YAML: plain data, the line of every field, and one clear error for everything else."""

import math
import os
import random
from pathlib import Path

import pytest

from hetsched.errors import ConfigError, HetschedError, PlatformError
from hetsched.yaml_source import MAX_FILE_BYTES, did_you_mean, parse_yaml, plain_value, read_yaml, show_place

PLATFORMS = Path(__file__).parents[2] / "configs" / "platforms"


def test_fields_know_their_lines():
    document = parse_yaml("a: 1\nb:\n  - x\n  - {c: 2,\n     d: 3}\n", "f.yaml", ConfigError)
    assert document.data == {"a": 1, "b": ["x", {"c": 2, "d": 3}]}
    assert document.line_of(("b", 0)) == 3
    assert document.line_of(("b", 1, "d")) == 5
    assert document.line_of(("b", 1, "missing", "deeper")) == 4
    assert document.line_of(()) == 1
    assert str(document.error(("b", 1, "c"), "is wrong")) == "f.yaml:4: b[1].c: is wrong"
    assert isinstance(document.error((), "x"), ConfigError)


@pytest.mark.parametrize(
    ("text", "meaning"),
    [
        ("3", 3),
        ("-7", -7),
        ("+7", 7),
        ("007", 7),
        ("0x10", 16),
        ("0o17", 15),
        ("1e-5", 1e-5),
        (".5", 0.5),
        ("-.5e3", -500.0),
        ("1.", 1.0),
        ("-.inf", -math.inf),
        ("true", True),
        ("False", False),
        ("null", None),
        ("~", None),
        ("", None),
        ("on", "on"),
        ("12:30", "12:30"),
        ("2001-01-01", "2001-01-01"),
        ("1_000", "1_000"),
        (".", "."),
        ("1" * 5000, float("inf")),
    ],
)
def test_plain_values(text, meaning):
    value = plain_value(text)
    assert value == meaning
    assert type(value) is type(meaning)


def test_quoted_values_are_text():
    assert parse_yaml("a: '3'\nb: \"true\"\n", "f", ConfigError).data == {"a": "3", "b": "true"}


@pytest.mark.parametrize(
    ("text", "line", "words"),
    [
        ("a: 1\nb: 2\na: 3\n", 3, "already"),
        ("a: &x 1\nb: *x\n", 1, "anchors"),
        ("b: *x\n", 1, "aliases"),
        ("a: 1\nb: !!python/object/apply:os.system [ls]\n", 2, "tag"),
        ("a: !mine 1\n", 1, "tag"),
        ("a: 1\n---\nb: 2\n", 2, "second document"),
        ("? [1]\n: 2\n", 1, "key"),
        ("!t a: 1\n", 1, "key"),
        ("a: [1\n", 2, "not valid YAML"),
        ("a: b: c\n", 1, "not valid YAML"),
        ("a: \x01\n", 1, "not valid YAML"),
        ("a: 1\n\tb: 1\n", 2, "not valid YAML"),
        ("a: " + "[" * 5000, 1, "nested"),
        ("- 1\n", 1, "list"),
        ("\nhello\n", 2, "single value"),
    ],
)
def test_errors_name_file_and_line(text, line, words):
    with pytest.raises(PlatformError, match=rf"^f\.yaml:{line}: .*{words}"):
        parse_yaml(text, "f.yaml", PlatformError)


@pytest.mark.parametrize("text", ["", "\n\n", "# only a comment\n", "---\n"])
def test_empty(text):
    with pytest.raises(ConfigError, match=r"f: is empty; see configs/"):
        parse_yaml(text, "f", ConfigError)


def test_alias_bomb_is_refused_without_growing():
    lines = ["l0: &l0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"l{n}: &l{n} [{', '.join([f'*l{n - 1}'] * 9)}]" for n in range(1, 30)]
    with pytest.raises(ConfigError, match="anchors"):
        parse_yaml("\n".join(lines), "f", ConfigError)


def test_unreadable_files(tmp_path):
    with pytest.raises(ConfigError, match=r"cannot be read \(No such file.*check the path"):
        read_yaml(tmp_path / "missing.yaml", ConfigError)
    with pytest.raises(ConfigError, match="not a regular file"):
        read_yaml(tmp_path, ConfigError)
    os.mkfifo(tmp_path / "fifo")
    with pytest.raises(ConfigError, match="not a regular file"):
        read_yaml(tmp_path / "fifo", ConfigError)
    with pytest.raises(ConfigError, match="cannot be read"):
        read_yaml("nul\0byte", ConfigError)


def test_wrong_bytes(tmp_path):
    path = tmp_path / "f.yaml"
    path.write_bytes(b"a: 1\nb: \xff\n")
    with pytest.raises(ConfigError, match=r"f\.yaml:2: is not UTF-8"):
        read_yaml(path, ConfigError)
    path.write_bytes(b"#" * (MAX_FILE_BYTES + 1))
    with pytest.raises(ConfigError, match="longer than"):
        read_yaml(path, ConfigError)
    path.write_bytes("\ufeffa: µ".encode())
    assert read_yaml(path, ConfigError).data == {"a": "µ"}


def test_places_and_hints():
    assert show_place(("devices", 0, "kind")) == "devices[0].kind"
    assert did_you_mean("devises", ["devices", "links"]) == "did you mean 'devices'?"
    assert did_you_mean("zzz", ["b", "a"]) == "known are: a, b"
    assert did_you_mean("zzz", []) == "known are: none"


def test_mutated_files_read_or_raise_one_error():
    text = (PLATFORMS / "two-node-cluster.yaml").read_text(encoding="utf-8")
    draw = random.Random(0)
    refused = []
    for _ in range(150):
        mutated = list(text)
        for _ in range(draw.randint(1, 6)):
            at = draw.randrange(len(mutated))
            mutated[at : at + draw.choice([0, 1, 40])] = draw.choice("\n\t:{}[]&*!|>'\"%@`-?#,\0 aé9")
        try:
            parse_yaml("".join(mutated), "f", ConfigError)
        except HetschedError as problem:
            refused.append(str(problem))
    assert len(refused) > 50
    assert all(message.startswith("f:") for message in refused)
