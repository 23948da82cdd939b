"""Pipeline files: what they may say, and what is said about those that are wrong."""

import json
import pickle
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from hetsched.config import Job, load_job, save_outputs
from hetsched.errors import ConfigError, ExecutionError

GOOD = """\
name: tiny
parameters: {which: b}
inputs:
  a: {value: [[1, 2], [3, 4]], dtype: float32}
  b: {random: [2, 2], seed: 1}
constants:
  w: {value: 2.5}
tasks:
  product:
    op: matmul
    of: [a, $which]
    device: cpu:0
  scaled: {op: mul, of: [product, w]}
outputs: [scaled]
"""


@pytest.fixture
def load(tmp_path):
    def write_and_load(text: str, **settings) -> Job:
        (tmp_path / "job.yaml").write_text(text)
        return load_job(tmp_path / "job.yaml", **settings)

    return write_and_load


@pytest.fixture
def refused(load, tmp_path):
    def message(text: str, **settings) -> str:
        with pytest.raises(ConfigError) as caught:
            load(text, **settings)
        said = str(caught.value).replace(f"{tmp_path}/", "")
        assert "\n" not in said
        return said

    return message


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package `mine` that only a caller may allow; notes when it is imported."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "code.py").write_text(
        "from os import getcwd\n"
        "def double(x): return x * 2\n"
        "def pair(size=1): return {'ones': [1] * size, 'two': 2}\n"
        "def parts(): return ['x', 'y', 'z']\n"
        "def broken(): raise ValueError('no data')\n"
    )
    (tmp_path / "mine" / "bad.py").write_text("import nothing_of_this_name\n")
    monkeypatch.syspath_prepend(tmp_path)
    yield "mine"
    for name in [name for name in sys.modules if name.partition(".")[0] == "mine"]:
        del sys.modules[name]


# What a file becomes


def test_good_file_becomes_graph_inputs_and_outputs(load):
    job = load(GOOD)
    assert (job.name, job.outputs, job.settings, job.save) == ("tiny", ("scaled",), {}, {})
    assert list(job.graph) == ["a", "b", "w", "product", "scaled"]
    assert job.graph.nodes["product"] == {"op": "matmul", "params": {}, "device": "cpu:0"}
    assert job.graph.nodes["a"] == {"input": True, "shape": (2, 2), "dtype": "float32"}
    assert {(u, v): d["arg"] for u, v, d in job.graph.edges(data=True)} == {
        ("a", "product"): 0,
        ("b", "product"): 1,
        ("product", "scaled"): 0,
        ("w", "scaled"): 1,
    }
    assert set(job.inputs) == {"a", "b"}
    assert torch.equal(job.inputs["a"], torch.tensor([[1.0, 2], [3, 4]]))
    assert job.graph.nodes["w"]["value"].item() == 2.5


def test_random_input_is_the_same_each_time(load):
    assert torch.equal(load(GOOD).inputs["b"], load(GOOD).inputs["b"])
    assert not torch.equal(load(GOOD).inputs["b"], load(GOOD, overrides=["inputs.b.seed=2"]).inputs["b"])


def test_tasks_may_stand_in_any_order(load):
    job = load("name: x\ntasks: {second: {op: relu, of: first}, first: {op: relu, of: a}}\ninputs: {a: {value: [1.0]}}")
    assert list(job.graph) == ["a", "first", "second"]


def test_operands_by_keyword_and_slot(load):
    job = load(
        "name: x\ninputs: {a: {value: [1.0, 2.0]}}\ntasks:\n"
        "  cut: {op: split, of: a, with: {size: 1}}\n"
        "  one: {op: add, of: [cut#0, {node: cut, slot: 1}]}\n"
        "  two: {op: add, of: {a: one, b: cut#1}}\n"
    )
    assert job.graph.edges["cut", "one"] == {"arg": (0, 1), "slot": (0, 1)}
    assert job.graph.edges["cut", "two"] == {"arg": "b", "slot": 1}
    assert job.graph.nodes["cut"]["params"] == {"size": 1}


def test_branches_are_written_out_and_joined(load):
    job = load(
        "name: x\nparameters: {n: 3}\ninputs: {a: {value: [1.0, 2, 3, 4], branches: $n}}\n"
        "constants: {w: {value: [2.0]}}\n"
        "tasks: {m: {op: mul, of: [a, w]}, all: {op: concat, of: m, join: true}}\n"
        "outputs: [m, all]\n"
    )
    assert {key: part.tolist() for key, part in job.inputs.items()} == {"a.0": [1], "a.1": [2], "a.2": [3, 4]}
    assert set(job.graph.predecessors("m.1")) == {"a.1", "w"}
    assert list(job.graph.predecessors("all")) == ["m.0", "m.1", "m.2"]
    assert job.outputs == ("m.0", "m.1", "m.2", "all")


def test_files_are_read_relative_to_the_pipeline(load, tmp_path, monkeypatch):
    np.save(tmp_path / "a.npy", np.arange(3))
    np.savez(tmp_path / "b.npz", x=np.ones(2), y=np.zeros(1))
    torch.save({"w": torch.ones(2)}, tmp_path / "c.pt")
    (tmp_path / "d.txt").write_text("hello")
    (tmp_path / "e.png").write_bytes(b"\x89PNG")
    (tmp_path / "f.png").write_bytes(b"second")
    monkeypatch.chdir("/")
    job = load(
        "name: x\ninputs: {a: {file: a.npy}, b: {file: b.npz}, c: {file: c.pt}, d: {file: d.txt}, e: {file: e.png},"
        " all: {files: '*.png'}}"
    )
    assert job.inputs["a"].tolist() == [0, 1, 2]
    assert job.inputs["b.x"].tolist() == [1, 1]
    assert job.inputs["c.w"].tolist() == [1, 1]
    assert job.inputs["d"] == "hello"
    assert job.inputs["e"] == b"\x89PNG"
    assert job.inputs["all"] == [b"\x89PNG", b"second"]


def test_run_settings_and_platform_path(load, tmp_path):
    (tmp_path / "machine.yaml").write_text("name: m\n")
    job = load(GOOD + "run: {platform: machine.yaml, scheduler: heft, seed: 3}\n")
    assert job.settings == {"platform": tmp_path / "machine.yaml", "scheduler": "heft", "seed": 3}


# Overrides


def test_overrides_reach_parameters_tasks_and_absent_sections(load):
    job = load(GOOD, overrides=["parameters.which=a", "run.seed=7", "outputs=[product]", "tasks.scaled.of.1=a"])
    assert list(job.graph.predecessors("product")) == ["a"]
    assert job.settings == {"seed": 7}
    assert job.outputs == ("product",)
    assert "a" in job.graph.predecessors("scaled")


@pytest.mark.parametrize(
    ("override", "said"),
    [
        ("nothing", "--set nothing: is not of the form a.b=c"),
        ("a..b=1", "--set a..b=1: is not of the form a.b=c"),
        ("parameters.whch=a", "--set parameters.whch=a: there is no parameter 'whch'; did you mean 'which'?"),
        ("run.sed=1", "--set run.sed=1: run.sed: unknown key; did you mean 'seed'?"),
        ("run.seed=x", "--set run.seed=x: run.seed: should be a valid integer; it is 'x'"),
        ("tasks.product.of.5=a", "--set tasks.product.of.5=a: tasks.product.of is a list of 2 items; it has no '5'"),
        ("name.x=1", "--set name.x=1: name is the value 'tiny'; it has no 'x'"),
        ("tasks.product.of.0=zz", "--set tasks.product.of.0=zz: tasks.product.of[0]: there is no 'zz'"),
        ("name=!!python/object:os.system x", "tag"),
    ],
)
def test_wrong_override_is_named(refused, override, said):
    assert said in refused(GOOD, overrides=[override])


# Errors of the file


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (GOOD.replace("device:", "dvice:"), ":12: tasks.product.dvice: unknown key; did you mean 'device'"),
        (GOOD.replace("outputs:", "output:"), ":14: output: unknown key; did you mean 'outputs'?"),
        (GOOD.replace("cpu:0", "3"), ":12: tasks.product.device: should be a valid string; it is 3"),
        (GOOD.replace("seed: 1", "seed: '1'"), ":5: inputs.b.seed: should be a valid integer; it is '1'"),
        (GOOD.replace("matmul", "matmull"), ":10: tasks.product.op: unknown op 'matmull'; did you mean 'matmul'"),
        (GOOD.replace("[product, w]", "[prduct, w]"), ":13: tasks.scaled.of[0]: there is no 'prduct'; did you"),
        (GOOD.replace("[scaled]", "[scaledd]"), ":14: outputs[0]: there is no 'scaledd'; did you mean 'scaled'"),
        (GOOD.replace("$which", "$whch"), ":11: tasks.product.of[1]: there is no parameter 'whch'; did you mean"),
        (GOOD.replace("[a, $which]", "[a, scaled]"), ":9: tasks.product: is part of a cycle: product -> "),
        (GOOD.replace("of: [a, $which]", "of: 3"), ":11: tasks.product.of: 3 is no operand; write a name"),
        (GOOD.replace("of: [a, $which]", "of: a#x"), ":11: tasks.product.of: 'a#x': after '#' comes the number"),
        (GOOD.replace("op: matmul", "of: a"), ":11: tasks.product.of: the key stands on line 10 already"),
        (GOOD.replace("    op: matmul\n", ""), ":9: tasks.product.op: is missing; add it"),
        (GOOD.replace("name: tiny\n", ""), ":1: name: is missing; add it"),
        (GOOD.replace("  w: {", "  a: {"), ":7: constants.a: 'a' is an input or a constant already"),
        (GOOD.replace("  scaled: {", "  a.b: {"), ":13: tasks.a.b: a name may not be empty or contain '.' or"),
        (GOOD.replace("float32}", "flot32}"), ":4: inputs.a.dtype: 'flot32' is no dtype"),
        (GOOD.replace("[3, 4]]", "[3]]"), ":4: inputs.a.value: value is no tensor"),
        (GOOD.replace("{value: 2.5}", "{}"), ":7: constants.w: has no source; give exactly one of value, file"),
        (GOOD.replace("2.5}", "2.5, file: x}"), ":7: constants.w: has value and file; give exactly one of"),
        (GOOD.replace("2.5}", "2.5, with: {x: 1}}"), ":7: constants.w: 'with' belongs to 'call', not to 'value'"),
        (GOOD.replace("2.5}", "2.5, branches: 2}"), ":7: constants.w.value: has 2 branches and so must be a list"),
        (GOOD.replace("2.5}", "[1], branches: 2}"), ":7: constants.w.value: has 2 branches but only 1 items"),
        (GOOD.replace("    device: cpu:0", "    with: {device: x}"), ":9: tasks.product: 'device' is an option"),
        (GOOD.replace("device: cpu:0", "seconds: -1"), ":12: tasks.product.seconds: -1 is no time; give seconds"),
        (GOOD.replace("device: cpu:0", "seconds: .nan"), ":12: tasks.product.seconds: nan is no time"),
        (GOOD.replace("device: cpu:0", "join: true"), ":12: tasks.product.join: no operand has branches"),
        (GOOD.replace("device: cpu:0", "parts: 0"), ":12: tasks.product.parts: should be greater than or equal"),
        (GOOD + "run: {scheduler: heftt}\n", ":15: run.scheduler: unknown scheduler 'heftt'; did you mean 'heft'"),
        (GOOD + "run: {executor: loca}\n", ":15: run.executor: unknown executor 'loca'; did you mean 'local'"),
        (GOOD + "run: {objective: speed}\n", ":15: run.objective: unknown objective 'speed'; known are: energy,"),
        (GOOD + "run: {platform: none.yaml}\n", ":15: run.platform: there is no file none.yaml"),
        (GOOD + "save: {product: x.npy}\n", ":15: save.product: 'product' is no output; known are: scaled"),
        (GOOD + "save: {scaled: ../x.npy}\n", ":15: save.scaled: '../x.npy' is not below the current folder"),
        (GOOD + "save: {scaled: /tmp/x.npy}\n", ":15: save.scaled: '/tmp/x.npy' is not below the current folder"),
        (GOOD + "save: {scaled: x.exe}\n", ":15: save.scaled: 'x.exe' must end in one of .npy, .pt, .json"),
        ("name: x\ninputs: {a: {file: gone.npy}}", ":2: inputs.a.file: cannot read gone.npy: No such file"),
        ("name: x\ninputs: {a: {files: '*.png'}}", ":2: inputs.a.files: no file matches '*.png'"),
        ("name: x\ninputs: {a: {random: [9999999, 9999999999]}}", ":2: inputs.a.random: a tensor of shape [9999999, "),
        ("a: &a [x]\nb: &b [*a, *a]\nname: *b", ":1: anchors (&) and aliases (*) are not taken"),
        ("name: !!python/object/apply:os.system ['true']", ":1: the tag"),
        ("name: [", ":2: is not valid YAML"),
        ("", ": is empty"),
        ("- 1", ":1: the top level is a list"),
    ],
)  # fmt: skip
def test_error_names_file_line_field_and_cure(refused, text, said):
    assert refused(text).startswith(f"job.yaml{said}")


def test_further_errors_are_counted(refused):
    said = refused(GOOD.replace("device:", "dvice:").replace("seed:", "sed:"))
    assert said.startswith("job.yaml:5: inputs.b.sed")
    assert said.endswith("(and 1 more)")


def test_unreadable_files(tmp_path, load, refused):
    for path in (tmp_path / "gone.yaml", tmp_path):
        with pytest.raises(ConfigError, match=path.name):
            load_job(path)
    (tmp_path / "binary.yaml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="UTF-8"):
        load_job(tmp_path / "binary.yaml")


# Files never run code


class _Trap:
    def __reduce__(self):
        return (Path.touch, (Path("sprung"),))


def test_pickles_in_data_files_are_refused(refused, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    np.save(tmp_path / "a.npy", np.array([_Trap()], dtype=object), allow_pickle=True)
    torch.save(_Trap(), tmp_path / "a.pt")
    (tmp_path / "b.pt").write_bytes(pickle.dumps(_Trap()))
    for name in ("a.npy", "a.pt", "b.pt"):
        assert f"{name} is no {name[1:]} file, or holds more than plain data" in refused(
            f"name: x\ninputs: {{a: {{file: {name}}}}}"
        )
    assert not (tmp_path / "sprung").exists()


def test_code_is_taken_only_from_packages_that_the_caller_allows(load, refused, package):
    text = GOOD.replace("matmul", "mine.code:double").replace("{value: 2.5}", "{call: mine.code:pair, with: {size: 2}}")
    said = refused(text)
    assert said.startswith("job.yaml:7: constants.w.call: 'mine.code:pair' is the file's own choice of code; allow it")
    assert "--allow-import mine" in said
    assert "mine" not in sys.modules
    assert "the file's own choice" in refused(text, allow_imports=["min", "other"])
    job = load(text.replace("[product, w]", "[product, w.two]"), allow_imports=["mine"])
    assert job.graph.nodes["w.ones"]["value"] == [1, 1]
    assert job.graph.nodes["product"]["op"](3) == 6


@pytest.mark.parametrize(
    ("reference", "said"),
    [
        ("mine.code:getcwd", "'mine.code:getcwd' is defined in 'posix', which is not allowed"),
        ("mine.code:gone", "module 'mine.code' has no function 'gone'"),
        ("mine.bad:f", "'mine.bad' cannot be imported: ModuleNotFoundError"),
        ("mine.code:double.__globals__", "names no function"),
        ("mine.code:__loader__", "names no function"),
        (":f", "names no function"),
    ],
)
def test_wrong_reference_is_explained(refused, package, reference, said):
    text = f"name: x\nconstants: {{a: {{call: '{reference}'}}}}"
    assert said in refused(text, allow_imports=[package])


def test_part_must_be_named(refused, package):
    text = "name: x\nconstants: {w: {call: mine.code:pair}}\ntasks: {t: {op: relu, of: w}}"
    assert "there is no 'w'; it has parts; name one of w.ones, w.two" in refused(text, allow_imports=[package])


def test_called_function_gives_branches(load, package):
    job = load("name: x\ninputs: {a: {call: mine.code:parts, branches: 3}}", allow_imports=[package])
    assert job.inputs == {"a.0": ["x"], "a.1": ["y"], "a.2": ["z"]}


def test_called_function_that_raises_fails_the_job(load, package):
    with pytest.raises(
        ExecutionError, match=r"job\.yaml:2: inputs\.a\.call: mine\.code:broken raised ValueError: no data"
    ):
        load("name: x\ninputs: {a: {call: mine.code:broken}}", allow_imports=[package])


# Outputs in files


def test_outputs_are_saved(load, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    job = load(GOOD + "save: {scaled: out/deep/s.npy}\n")
    assert save_outputs({"scaled": torch.ones(2)}, job.save) == (Path("out/deep/s.npy"),)
    assert np.load("out/deep/s.npy").tolist() == [1, 1]
    save_outputs({"a": torch.ones(1), "b": [1, torch.zeros(2)]}, {"a": Path("a.pt"), "b": Path("b.json")})
    assert torch.load("a.pt", weights_only=True).tolist() == [1]
    assert json.loads(Path("b.json").read_text()) == [1, [0, 0]]


def test_output_that_cannot_be_saved_is_named(tmp_path):
    with pytest.raises(ExecutionError, match="output 'a' cannot be saved"):
        save_outputs({"a": object()}, {"a": tmp_path / "a.json"})
