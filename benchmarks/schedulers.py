"""Schedulers beside the best known makespans of ../shared/instances: quality, speed, and the promises made of them.

Run it with ``python benchmarks/schedulers.py``. That compares our schedulers on every instance, each schedule checked
by the folder's own check.py, and SAGA's where ``--saga-python`` (unless said, this Python) has anrg-saga: see
saga_peer.py. ``--scale``, ``--contention``, ``--memory`` and ``--cold`` measure those instead, ``--all`` everything.
Every section prints tables and is stored in results/. The exit status is 1 when a schedule of ours is invalid.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from statistics import geometric_mean, median
from types import ModuleType
from typing import Any

import saga_peer
from instances import FOLDER, Instance, in_own_process, load_checker, load_folder, scopes
from machine import described, save
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Column, Table

import hetsched
from hetsched.schedule import SCHEDULERS

DEFAULT = ("single_device", "heft", "peft", "cpop", "auto", "thorough")
TAKES_BUDGET = ("thorough", "exact")
EXACT_TASKS, EXACT_SECONDS = 40, 20.0
SAGA_SECONDS = 20.0
SAGA_BEST = "saga:best"
QUICK_SECONDS = 0.2
EQUAL = 1e-9
"""Relative; makespans that differ by less are equal, as to check.py."""

Measured = tuple[dict[str, Any], bool]
"""What a section stores, and whether all schedules of ours were valid."""
Section = Callable[[list[Instance], ModuleType], Measured]

console = Console(width=None if sys.stdout.isatty() else 120, highlight=False)


@dataclass(frozen=True)
class Contender:
    """A scheduler of ours, and how long it may take where it takes a budget."""

    scheduler: str
    budget_seconds: float | None = None

    @property
    def label(self) -> str:
        """Name in tables."""
        return self.scheduler if self.budget_seconds is None else f"{self.scheduler}@{self.budget_seconds:g}"

    def solve(self, problem: hetsched.Problem) -> hetsched.Schedule:
        """Its schedule."""
        return hetsched.solve(problem, self.scheduler, self.budget_seconds)


@dataclass(frozen=True)
class Row:
    """A scheduler's result on an instance; without an error it is a valid schedule."""

    instance: str
    family: str
    n_tasks: int
    scheduler: str
    seconds: float = 0.0
    makespan: float = 0.0
    ratio: float = 0.0
    proven: bool = False
    error: str = ""


def checked(instance: Instance, check: ModuleType, label: str, seconds: float, saved: Any, **more: Any) -> Row:
    """The row of a schedule in check.py's format."""
    row = Row(instance.name, instance.family, instance.n_tasks, label, seconds, **more)
    try:
        errors, makespan = check.validate(instance.content, saved)
    except (ValueError, KeyError, TypeError) as error:
        return replace(row, error=f"invalid: {error!r}")
    if errors:
        return replace(row, error=f"invalid: {errors[0]} ({len(errors)} errors)")
    return replace(row, makespan=makespan, ratio=makespan / instance.best)


def as_saved(schedule: hetsched.Schedule) -> Any:
    """What the schedule writes to a file."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "schedule.json"
        schedule.save(path)
        return json.loads(path.read_text(encoding="utf-8"))


def timed(contender: Contender, problem: hetsched.Problem) -> tuple[float, hetsched.Schedule]:
    """Seconds of a warm solve, of a problem that nothing has been worked out of yet: median of three where quick."""

    def once() -> tuple[float, hetsched.Schedule]:
        fresh = replace(problem)
        started = time.perf_counter()
        schedule = contender.solve(fresh)
        return time.perf_counter() - started, schedule

    seconds, schedule = once()
    if contender.scheduler not in TAKES_BUDGET:
        seconds = min(seconds, once()[0])  # the first may have compiled something after all
        if seconds < QUICK_SECONDS:
            seconds = median([seconds, once()[0], once()[0]])
    return seconds, schedule


def run_ours(instances: list[Instance], contenders: list[Contender], check: ModuleType) -> list[Row]:
    """Our rows; what is compiled on first use is, before anything is timed, on the smallest instance of each size."""
    rows: list[Row] = []
    warm: set[tuple[str, int]] = set()
    for instance in sorted(instances, key=lambda each: each.n_tasks):
        problem = hetsched.Problem.load(instance.path)
        size = sum(instance.n_tasks > limit for limit in (50, 150, 500))
        for contender in contenders:
            if contender.scheduler == "exact" and instance.n_tasks > EXACT_TASKS:
                continue
            try:
                if (contender.label, size) not in warm:
                    warm.add((contender.label, size))
                    contender.solve(problem)
                seconds, schedule = timed(contender, problem)
            except Exception as error:  # noqa: BLE001, a scheduler that fails is a result, and ends the run with 1
                wrong = f"failed: {type(error).__name__}: {error}"
                rows.append(Row(instance.name, instance.family, instance.n_tasks, contender.label, error=wrong))
                continue
            proven = schedule.makespan_seconds <= schedule.lower_bound_seconds * (1 + 1e-6)
            rows.append(checked(instance, check, contender.label, seconds, as_saved(schedule), proven=proven))
    return rows


def has_saga(python: str) -> bool:
    """Whether SAGA can be imported there."""
    return subprocess.run([python, "-c", "import saga.schedulers"], capture_output=True, check=False).returncode == 0


def run_saga(python: str, names: Sequence[str], instances: list[Instance], check: ModuleType) -> list[Row]:
    """SAGA's rows, and for each instance its best."""
    by_path = {str(instance.path): instance for instance in instances}
    command = [python, saga_peer.__file__, str(SAGA_SECONDS), ",".join(names), *by_path]
    environment = os.environ | {"PYTHONHASHSEED": "0"}  # it iterates over sets
    rows: list[Row] = []
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, env=environment) as process:
        for line in process.stdout or ():
            made = json.loads(line)
            instance, label = by_path[made["path"]], f"saga:{made['scheduler']}"
            if "error" in made:
                rows.append(Row(instance.name, instance.family, instance.n_tasks, label, error=made["error"]))
            else:
                rows.append(checked(instance, check, label, made["seconds"], made))
    if process.returncode:
        console.print(f"[red]SAGA's process ended early, with {process.returncode}")
    for instance in instances:
        of_it = [row for row in rows if row.instance == instance.name]
        valid = [row for row in of_it if not row.error]
        if valid:
            best, total = min(valid, key=lambda row: row.makespan), sum(row.seconds for row in of_it)
            rows.append(replace(best, scheduler=SAGA_BEST, seconds=total))
    return rows


def print_tables(rows: list[Row]) -> dict[str, dict[str, float]]:
    """Each family and group by itself, then mean ratios beside each other; returns these by scope and label."""
    means: dict[str, dict[str, float]] = {}
    marks: dict[tuple[str, str], str] = {}
    labels = list(dict.fromkeys(row.scheduler for row in rows))
    for scope, families in scopes(row.family for row in rows).items():
        header = "n", "mean ratio", "worst", "instance", "total s", "max s"
        table = Table(Column(min_width=15), *header, title=scope, box=SIMPLE)
        means[scope] = {}
        for label in labels:
            valid = [row for row in rows if row.scheduler == label and row.family in families and not row.error]
            if valid:
                worst = max(valid, key=lambda row: row.ratio)
                seconds = [row.seconds for row in valid]
                of_scope = {row.instance for row in rows if row.family in families}
                marks[scope, label] = "*" if len(valid) < len(of_scope) else ""
                means[scope][label] = mean = geometric_mean([row.ratio for row in valid])
                numbers = (
                    f"{mean:.4f}",
                    f"{worst.ratio:.4f}",
                    worst.instance,
                    f"{sum(seconds):.3f}",
                    f"{max(seconds):.3f}",
                )
                table.add_row(label, str(len(valid)), *numbers)
        console.print(table)
    title = "makespan over best known, geometric mean (*: not over all instances)"
    overview = Table("", *(scope.replace("_", "\n") for scope in means), title=title, box=SIMPLE)
    for label in labels:
        overview.add_row(
            label, *(f"{of[label]:.4f}{marks[scope, label]}" if label in of else "-" for scope, of in means.items())
        )
    console.print(overview)
    return means


def print_remarks(rows: list[Row], instances: list[Instance]) -> None:
    """What deserves a look: invalid, better than known, and where auto is not the best of its rivals."""
    by_name = {instance.name: instance for instance in instances}
    makespans: dict[str, dict[str, float]] = {instance.name: {} for instance in instances}
    for row in rows:
        if row.error:
            console.print(f"[red]{row.scheduler} on {row.instance}: {row.error}", soft_wrap=True)
            continue
        makespans[row.instance][row.scheduler] = row.makespan
        if row.ratio < 1 - EQUAL:
            proof = ", though that was proven optimal" if by_name[row.instance].proven else ""
            known = f"{by_name[row.instance].best!r}{proof}"
            console.print(f"better than best known: {row.instance}: {row.makespan!r} by {row.scheduler}, not {known}")
    for name, of in makespans.items():
        rivals = {label: of[label] for label in ("single_device", "heft", "cpop", "peft") if label in of}
        best = min(rivals, key=rivals.__getitem__, default=None)
        if best is not None and "auto" in of and of["auto"] > rivals[best] * (1 + EQUAL):
            which = "single_device and " * (of["auto"] > rivals.get("single_device", float("inf")) * (1 + EQUAL))
            console.print(f"auto is worse than {which}{best}: {name}: {of['auto'] / rivals[best]:.4f} times as long")
    exact = [row for row in rows if row.scheduler.startswith("exact@") and not row.error]
    if exact:
        share = f"{sum(row.proven for row in exact)} of {len(exact)}"
        agrees = [row.ratio <= 1 + 1e-6 for row in exact if row.proven]
        console.print(f"exact: {share} proven within {EXACT_SECONDS:g} s, {sum(agrees)} at the best known makespan")


def compare(options: argparse.Namespace, instances: list[Instance], check: ModuleType) -> Measured:
    """Makespans and seconds of ours, and of SAGA's where it is there, beside the best known."""
    names = options.schedulers.split(",") + ["exact"] * options.exact
    for name in [name for name in names if name not in SCHEDULERS]:
        console.print(f"skipped: there is no scheduler {name} (yet)")
    budgets = {"thorough": options.budget or [1.0], "exact": [EXACT_SECONDS]}
    contenders = [Contender(n, b) for n in names if n in SCHEDULERS for b in budgets.get(n, [None])]
    rows = run_ours(instances, contenders, check)
    valid = not any(row.error for row in rows)
    if options.saga and not has_saga(options.saga_python):
        console.print(f"skipped: SAGA is not installed for {options.saga_python} (pip install anrg-saga)")
    elif options.saga:
        rows += run_saga(options.saga_python, options.saga.split(","), instances, check)
    means = print_tables(rows)
    print_remarks(rows, instances)
    stored: dict[str, Any] = {i.name: {"family": i.family, "n_tasks": i.n_tasks, "best": i.best} for i in instances}
    for row in rows:
        numbers = {"makespan": row.makespan, "ratio": round(row.ratio, 6), "seconds": round(row.seconds, 6)}
        numbers |= {"proven": True} if row.proven else {}
        stored[row.instance][row.scheduler] = {"error": row.error} if row.error else numbers
    return {"mean_ratios": means, "instances": stored}, valid


def contention(instances: list[Instance], check: ModuleType) -> Measured:
    """Makespans when links carry one copy at a time, planned with that in mind and without, by auto."""
    rows = []
    table = Table(
        "instance", "aware", "unaware", "ratio", title="makespan with contended links (check.py), by auto", box=SIMPLE
    )
    for instance in instances:
        if instance.name.startswith(("dnn_", "v100_")):
            made = [hetsched.solve(hetsched.Problem.load(instance.path, contention=aware)) for aware in (True, False)]
            aware, unaware = (check.contended(instance.content, as_saved(schedule)) for schedule in made)
            rows.append({"instance": instance.name, "aware": aware, "unaware": unaware, "ratio": aware / unaware})
            table.add_row(instance.name, f"{aware:.6g}", f"{unaware:.6g}", f"{aware / unaware:.4f}")
    mean = geometric_mean([row["ratio"] for row in rows]) if rows else None
    console.print(table, f"geometric mean {mean:.4f}" if mean else "no instances")
    return {"rows": rows, "mean_ratio": mean}, True


def memory(instances: list[Instance], check: ModuleType) -> Measured:
    """Makespans under the devices' capacities over heft's without any."""
    contenders = [Contender(name, 2.0 if name in TAKES_BUDGET else None) for name in ("heft", "auto", "thorough")]
    contenders = [contender for contender in contenders if contender.scheduler in SCHEDULERS]
    labels = [contender.label for contender in contenders]
    rows, valid = [], True
    table = Table(
        "instance", *labels, "seconds", title="makespan within capacities over that of heft without", box=SIMPLE
    )
    for instance in instances:
        if not instance.name.startswith("dnn_") or "memory_bytes" not in instance.content:
            continue
        without = hetsched.solve(hetsched.Problem.load(instance.path), "heft").makespan_seconds
        problem = hetsched.Problem.load(instance.path, memory=True)
        cells, times = [], []
        for contender in contenders:
            row: dict[str, Any] = {"instance": instance.name, "scheduler": contender.label}
            try:
                row["seconds"], schedule = timed(contender, problem)
                errors, makespan = check.validate(instance.content, as_saved(schedule), memory=True)
                row |= {"ratio": makespan / without} if not errors else {"error": f"invalid: {errors[0]}"}
            except hetsched.HetschedError as error:
                row["error"] = f"none: {error}"
            if "error" in row:
                console.print(f"[red]{contender.label} on {instance.name}: {row['error']}", soft_wrap=True)
                valid &= not row["error"].startswith("invalid")
            cells.append(f"{row['ratio']:.4f}" if "ratio" in row else row["error"].partition(":")[0])
            times.append(f"{row.get('seconds', 0.0):.3f}")
            rows.append(row)
        table.add_row(instance.name, *cells, " ".join(times))
    console.print(table)
    return {"rows": rows}, valid


def scale(sizes: Iterable[str], timeout_seconds: float) -> Measured:
    """Large made problems, each in a process of its own."""
    results: dict[str, Any] = {}
    header = (
        "problem",
        "build s",
        "heft s",
        "auto s",
        "bound s",
        "heft gap",
        "auto gap",
        "peak MB after build, heft, auto",
    )
    table = Table(*header, title="made problems: 8 devices, and a cluster of 1,024 GPUs with 100,000 tasks", box=SIMPLE)
    for size in sizes:
        rows = in_own_process("scale", size, timeout_seconds=timeout_seconds)
        stages = {row["stage"]: row for row in rows}
        results[size] = rows
        bound = max(row.get("bound", 0.0) for row in rows)
        times = [f"{stages[s]['seconds']:.3f}" if s in stages else "-" for s in ("build", "heft", "auto", "bound")]
        gaps = [f"{stages[s]['makespan'] / bound - 1:.4f}" if s in stages and bound else "-" for s in ("heft", "auto")]
        peaks = [f"{stages[s]['peak_megabytes']:,.0f}" for s in ("build", "heft", "auto") if s in stages]
        table.add_row(size, *times, *gaps, " ".join(peaks))
        for row in rows[-1:]:
            if "error" in row:
                console.print(f"[red]{size}: {row['error']}", soft_wrap=True)
    console.print(table)
    return results, True


def cold(n_tasks: int = 200, repetitions: int = 3) -> Measured:
    """The first solve of fresh processes."""
    rows = [row for _ in range(repetitions) for row in in_own_process("cold", str(n_tasks))]
    for row in rows:
        if "error" in row:
            console.print(f"[red]cold: {row['error']}", soft_wrap=True)
    seconds = median([row["seconds"] for row in rows if "seconds" in row] or [float("nan")])
    numba = any(row.get("numba") for row in rows)
    console.print(f"cold: auto on {n_tasks} tasks takes {seconds:.3f} s, numba {'' if numba else 'not '}imported")
    return {"n_tasks": n_tasks, "rows": rows, "median_seconds": seconds, "numba": numba}, True


def parsed() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0] if __doc__ else None)
    parser.add_argument(
        "--instances", type=Path, default=FOLDER, metavar="DIR", help="folder of instances and check.py"
    )
    parser.add_argument("--only", default="", metavar="TEXT", help="only instances whose name contains this")
    parser.add_argument("--schedulers", default=",".join(DEFAULT), metavar="A,B", help="of ours (default: %(default)s)")
    parser.add_argument("--budget", type=float, action="append", metavar="SECONDS", help="of thorough; may be repeated")
    parser.add_argument("--exact", action="store_true", help=f"run exact too, up to {EXACT_TASKS} tasks")
    parser.add_argument("--saga", default=",".join(saga_peer.FAITHFUL), metavar="A,B", help="of SAGA; '' for none")
    parser.add_argument("--saga-python", default=sys.executable, metavar="PYTHON", help="a Python that has anrg-saga")
    parser.add_argument("--sizes", default="1000,10000,100000,1000000,cluster", metavar="A,B", help="for --scale")
    parser.add_argument("--timeout", type=float, default=600.0, metavar="SECONDS", help="for each size of --scale")
    parser.add_argument("--no-save", action="store_true", help="store nothing in results/")
    for section in ("compare", "scale", "contention", "memory", "cold"):
        parser.add_argument(f"--{section}", action="store_true", help=f"measure {section}")
    parser.add_argument("--all", action="store_true", help="measure everything")
    return parser.parse_args()


def main() -> int:
    options = parsed()
    of_folder: dict[str, Section] = {"compare": partial(compare, options), "contention": contention, "memory": memory}
    made: dict[str, Callable[[], Measured]] = {
        "scale": partial(scale, options.sizes.split(","), options.timeout),
        "cold": cold,
    }
    chosen = [name for name in (*of_folder, *made) if options.all or getattr(options, name)] or ["compare"]
    there = (options.instances / "check.py").exists()
    if there:
        check = load_checker(options.instances)
        instances = [instance for instance in load_folder(options.instances) if options.only in instance.name]
    valid = True
    for name in chosen:
        if name in of_folder and not there:
            print(f"{name} is skipped: no instances with a check.py at {options.instances}; give --instances DIR")
            continue
        machine = described()
        results, all_valid = of_folder[name](instances, check) if name in of_folder else made[name]()
        valid &= all_valid
        if not options.no_save:
            stored = save("schedulers" if name == "compare" else f"schedulers_{name}", machine, results)
            console.print(f"stored in {stored}")
    return 0 if valid else 1


if __name__ == "__main__":
    sys.exit(main())
