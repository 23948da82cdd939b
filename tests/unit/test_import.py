"""`import hetsched` is cheap: heavy packages wait until someone needs them."""

import statistics
import subprocess
import sys
import time

import pytest

NOT_YET = ("ray", "numba", "pydantic", "matplotlib", "plotly", "typer", "rich", "PIL", "sklearn", "ortools", "scipy")
LIMIT_SECONDS = 0.35


def seconds_of(statement: str) -> float:
    started = time.perf_counter()
    subprocess.run([sys.executable, "-c", statement], check=True)
    return time.perf_counter() - started


def modules_after(statement: str) -> set[str]:
    code = f"{statement}; import sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    return {module.partition(".")[0] for module in done.stdout.split()}


def test_importing_hetsched_imports_nothing_that_can_wait() -> None:
    assert not (modules_after("import hetsched") - modules_after("import torch")).intersection(NOT_YET)


@pytest.mark.slow
def test_importing_hetsched_costs_little_more_than_torch() -> None:
    seconds_of("import torch, hetsched")  # fills the disk cache and writes byte code
    extra = []
    for _ in range(
        5
    ):  # a busy machine makes single pairs lie: the median of the first three, or of five, must be small
        torch_alone = seconds_of("import torch")
        extra.append(seconds_of("import torch, hetsched") - torch_alone)
        if len(extra) >= 3 and statistics.median(extra) < LIMIT_SECONDS:
            return
    pytest.fail(
        f"import hetsched costs {statistics.median(extra):.2f} s over import torch; the limit is {LIMIT_SECONDS} s"
    )
