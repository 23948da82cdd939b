"""`import hetsched` is cheap: heavy packages wait until someone needs them."""

import statistics
import subprocess
import sys

import pytest

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
    assert not (modules_after("import hetsched") - modules_after("import torch")).intersection(NOT_YET)


@pytest.mark.slow
def test_importing_hetsched_costs_little_more_than_torch() -> None:
    seconds_after_torch()  # fills the disk cache and writes byte code
    samples = []
    for _ in range(5):  # a busy machine makes single samples lie: the median of three to five must be small
        samples.append(seconds_after_torch())
        if len(samples) >= 3 and statistics.median(samples) < LIMIT_SECONDS:
            return
    pytest.fail(f"import hetsched costs {statistics.median(samples):.2f} s over import torch; not < {LIMIT_SECONDS} s")
