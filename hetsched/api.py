"""The main path: freeze, describe the machine, predict, schedule, lower, keep the candidate that ends first, run."""

from __future__ import annotations

import logging
import math
from collections.abc import Hashable, Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Literal

import networkx as nx

from hetsched.cost.calibrate import device_rates, host_rates, with_rates
from hetsched.cost.model import CostModel
from hetsched.cost.roofline import Roofline
from hetsched.cost.table import tabulate
from hetsched.cost.time_scale import choose_time_scale
from hetsched.errors import ExecutionError, PlatformError, ScheduleError
from hetsched.execute.executor import Executor, RunSettings
from hetsched.execute.local import LocalExecutor
from hetsched.graph.freeze import freeze, input_keys
from hetsched.graph.frozen import FrozenGraph
from hetsched.graph.given import Inputs, by_key
from hetsched.graph.values import is_reference
from hetsched.plan.lower import lower
from hetsched.plan.simulate import simulate as simulate_plan
from hetsched.platform.cluster import DRIVER
from hetsched.platform.platform import Platform
from hetsched.program import Decision, Program, Result
from hetsched.rewrite import candidates
from hetsched.schedule import Scheduler, solve
from hetsched.schedule.assemble import assemble
from hetsched.schedule.objective import Objective
from hetsched.schedule.problem import Problem
from hetsched.schedule.schedule import Schedule
from hetsched.sessions import executor_for, is_open
from hetsched.trace.trace import Trace

log = logging.getLogger(__name__)


def run(
    graph: nx.DiGraph,
    inputs: Inputs | None = None,
    *,
    outputs: Iterable[Hashable] | None = None,
    platform: Platform | str | Path | None = None,
    scheduler: str | Scheduler = "auto",
    executor: str = "auto",
    objective: str = "makespan",
    deadline_seconds: float | None = None,
    budget_money: float | None = None,
    cost_model: CostModel | None = None,
    seed: int = 0,
    debug: bool = False,
    outputs_as: Literal["values", "refs"] = "values",
) -> Result:
    """Decide what runs where, run it once, and close everything again.

    Args:
        graph: a `TaskGraph` or any `networkx.DiGraph` of the same form; it is not changed.
        inputs: values of its input nodes; one for a node with ``value`` replaces that value.
        outputs: keys of the nodes whose values are wanted; the sinks when left out.
        platform: what to run on: a Platform, the path of a platform file, or None for this machine.
        scheduler: a name in `hetsched.schedule.SCHEDULERS`, or a function from Problem to Schedule.
        executor: ``local`` or ``ray``; ``auto`` is the open session's, or else ``local``.
        objective: what is to be least: ``makespan``, ``throughput`` (the time between results when runs follow one
            another), ``energy`` or ``money``; see `hetsched.schedule.objective`.
        deadline_seconds: the makespan that is allowed at most, by prediction.
        budget_money: the price of one run that is allowed at most, in the platform's currency.
        cost_model: what predicts times; see `hetsched.CostModel`.
        seed: of the random ops.
        debug: catch ops that change an operand in place.
        outputs_as: ``refs`` leaves outputs on the cluster, as Ray ObjectRefs that live as long as the session.

    Raises:
        GraphError: the graph, an input or a requested output is wrong.
        ScheduleError: no device may run a task, no memory can hold it, the scheduler or objective is unknown, or the
            deadline or budget cannot be kept.
        PlatformError: the platform is wrong.
        TaskFailedError: an op raised.
    """
    program = compile(
        graph,
        inputs,
        outputs=outputs,
        platform=platform,
        scheduler=scheduler,
        executor=executor,
        objective=objective,
        deadline_seconds=deadline_seconds,
        budget_money=budget_money,
        cost_model=cost_model,
        seed=seed,
        debug=debug,
        outputs_as=outputs_as,
        expected_runs=1,
    )
    with program:
        return program.run(inputs)


def compile(  # noqa: A001  (the name users know from torch and re)
    graph: nx.DiGraph,
    inputs: Inputs | None = None,
    *,
    outputs: Iterable[Hashable] | None = None,
    platform: Platform | str | Path | None = None,
    scheduler: str | Scheduler = "auto",
    executor: str = "auto",
    objective: str = "makespan",
    deadline_seconds: float | None = None,
    budget_money: float | None = None,
    cost_model: CostModel | None = None,
    seed: int = 0,
    debug: bool = False,
    outputs_as: Literal["values", "refs"] = "values",
    expected_runs: int = 1000,
) -> Program:
    """Plan once, run often: constants are moved to where they are used and stay there until the program is closed.

    Args and errors are those of `run`, but that ``inputs`` are examples here, which tell shapes where the graph
    doesn't; ``expected_runs`` share the price of what moves once.
    """
    model, aim = cost_model or Roofline(), _aim(objective, deadline_seconds, budget_money)
    with ExitStack() as opened:
        if outputs_as == "refs" and not is_open(executor):
            raise ExecutionError("outputs_as='refs' needs an open session(executor='ray'), where they live")
        runner, is_ours = executor_for(executor)
        if is_ours:
            opened.callback(runner.close)
        if outputs_as == "refs" and isinstance(runner, LocalExecutor):
            raise ExecutionError("outputs_as='refs' needs a session(executor='ray'); the open one runs in this process")
        given, bound = _described(inputs, graph, runner), _bound(graph, inputs, runner)
        frozen = freeze(graph, given, outputs, bound)
        machine = with_rates(runner.prepare(_loaded(platform), device_rates))
        decision = _decide(frozen, machine, scheduler, aim, model, expected_runs)
        settings = RunSettings(debug, time_scale=_time_scale_of(frozen, decision.platform), outputs_as=outputs_as)
        loaded = runner.load(decision.plan, decision.graph, decision.platform, settings)
        return Program(decision, loaded, model, seed, input_keys(graph), opened.pop_all())


def simulate(
    graph: nx.DiGraph,
    inputs: Inputs | None = None,
    *,
    outputs: Iterable[Hashable] | None = None,
    platform: Platform | str | Path | None = None,
    scheduler: str | Scheduler = "auto",
    objective: str = "makespan",
    deadline_seconds: float | None = None,
    budget_money: float | None = None,
    cost_model: CostModel | None = None,
) -> Trace:
    """Predict a run without touching a tensor; see `run` for arguments and errors."""
    aim = _aim(objective, deadline_seconds, budget_money)
    frozen = freeze(graph, by_key(inputs, input_keys(graph)), outputs)
    machine = with_rates(LocalExecutor().prepare(_loaded(platform)))
    return _decide(frozen, machine, scheduler, aim, cost_model or Roofline(), 1).predicted


def _aim(objective: str, deadline_seconds: float | None, budget_money: float | None) -> Objective:
    return Objective(
        objective,
        math.inf if deadline_seconds is None else deadline_seconds,
        math.inf if budget_money is None else budget_money,
    )


def _described(inputs: Inputs | None, graph: nx.DiGraph, executor: Executor) -> dict[Hashable, object]:
    """The inputs by key, each that only refers to a value replaced by what is known of that value."""
    given = by_key(inputs, input_keys(graph))
    return {key: executor.spec_of(value) if is_reference(value) else value for key, value in given.items()}


def _bound(graph: nx.DiGraph, inputs: Inputs | None, executor: Executor) -> dict[Hashable, tuple[str, ...]]:
    """Sources that cannot leave this process."""
    given = by_key(inputs, input_keys(graph))
    values = ((key, given.get(key, attributes.get("value"))) for key, attributes in graph.nodes.items())
    return {key: (DRIVER,) for key, value in values if executor.must_stay_home(value)}


def _decide(
    graph: FrozenGraph,
    platform: Platform,
    scheduler: str | Scheduler,
    objective: Objective,
    model: CostModel,
    expected_runs: int,
) -> Decision:
    """The search over candidates; the graph as given, on the platform as given, is the first of them and wins ties."""
    best: Decision | None = None
    least, failed = (math.inf, math.inf), None
    for candidate, machine in candidates(graph, platform):
        try:
            problem, schedule = _schedule(candidate, machine, scheduler, objective, model, expected_runs)
        except ScheduleError as error:  # what one candidate cannot keep another may
            failed = failed or error
            continue
        constants = {value.name for value in candidate.constants}
        plan = lower(problem, schedule, constants=constants, platform=machine.name)
        predicted = simulate_plan(plan, problem)
        figures = schedule.figures._replace(makespan_seconds=predicted.makespan_seconds)
        score = objective.score(figures), figures.makespan_seconds
        if best is None or score < least:
            best, least = Decision(candidate, machine, problem, schedule, plan, predicted), score
    if best is None:
        raise failed or AssertionError("the given graph on the given platform is always a candidate")
    ops = {task.name: task.op.name for task in best.graph.tasks}
    return replace(best, predicted=best.predicted.with_ops(ops))


def _schedule(
    graph: FrozenGraph,
    platform: Platform,
    scheduler: str | Scheduler,
    objective: Objective,
    model: CostModel,
    expected_runs: int,
) -> tuple[Problem, Schedule]:
    """Where constants cannot all stay in the memories that need them, they are moved anew in every run."""
    table = tabulate(model, graph, platform)
    problem = assemble(graph, platform, table, expected_runs=expected_runs, objective=objective)
    try:
        return problem, solve(problem, scheduler)
    except ScheduleError:
        if expected_runs == 1:
            raise
    log.info("constants do not fit where they are used; they are moved in every run")
    problem = assemble(graph, platform, table, expected_runs=1, objective=objective)
    return problem, solve(problem, scheduler)


def _loaded(platform: Platform | str | Path | None) -> Platform | None:
    if isinstance(platform, str | Path):
        return Platform.load(platform)
    if platform is None or isinstance(platform, Platform):
        return platform
    raise PlatformError(
        f"platform is a {type(platform).__name__}; give a Platform, the path of a platform file, or None"
    )


def _time_scale_of(graph: FrozenGraph, platform: Platform) -> float:
    if not platform.emulated:
        return 1.0
    return platform.time_scale or choose_time_scale(graph, platform, host_rates())
