"""`import hetsched` is cheap: heavy packages wait until someone needs them."""

import statistics
import subprocess
import sys
from pathlib import Path

import pytest

import hetsched

NOT_YET = ("ray", "numba", "pydantic", "matplotlib", "plotly", "typer", "rich", "PIL", "sklearn", "ortools", "scipy")
LIMIT_SECONDS = 0.35


def seconds_after_torch() -> float:
    code = "import torch, time; began = time.perf_counter(); import hetsched; print(time.perf_counter() - began)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return float(done.stdout)


def modules_after(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return {module.partition(".")[0] for module in done.stdout.split()}


def test_importing_hetsched_imports_nothing_that_can_wait() -> None:
    everything = "import hetsched; [getattr(hetsched, name) for name in hetsched.__all__]"
    for statement in ("import hetsched", everything):
        assert not (modules_after(statement) - modules_after("import torch")).intersection(NOT_YET)


def test_commands_that_need_no_tensor_do_not_wait_for_torch() -> None:
    assert "torch" not in modules_after("import hetsched; hetsched.Problem, hetsched.solve")


def test_every_public_name_is_there_for_people_and_type_checkers() -> None:
    source = Path(hetsched.__file__).read_text()
    for name in hetsched.__all__:
        assert getattr(hetsched, name) is not None
        assert f"import {name} as {name}\n" in source
    assert source.count(" as ") == len(hetsched.__all__)
    assert set(hetsched.__all__) <= set(dir(hetsched))
    with pytest.raises(AttributeError, match="no attribute 'rum'"):
        hetsched.rum  # noqa: B018  (asking is the test)


def test_the_library_is_there_before_a_user_registers_an_op() -> None:
    code = "import hetsched; hetsched.op(name='matmul')(print)"
    done = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    assert "op 'matmul' is registered already" in done.stderr


@pytest.mark.slow
def test_importing_hetsched_costs_little_more_than_torch() -> None:
    seconds_after_torch()  # fills the disk cache and writes byte code
    samples = []
    for _ in range(5):  # a busy machine makes single samples lie: the median of three to five must be small
        samples.append(seconds_after_torch())
        if len(samples) >= 3 and statistics.median(samples) < LIMIT_SECONDS:
            return
    pytest.fail(f"import hetsched costs {statistics.median(samples):.2f} s over import torch; not < {LIMIT_SECONDS} s")
