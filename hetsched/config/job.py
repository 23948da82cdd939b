"""Job: a pipeline file as something to run; built from the file's tasks, branches written out."""

from __future__ import annotations

import graphlib
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

import hetsched.graph.library  # noqa: F401 -- registers the ops that files name
from hetsched.config.check import validated
from hetsched.config.document import Document
from hetsched.config.imports import allowed_function
from hetsched.config.outputs import SAVE_SUFFIXES
from hetsched.config.schema import PipelineModel, SourceModel, TaskModel
from hetsched.config.sources import load_source
from hetsched.errors import ConfigError, ExecutionError, GraphError
from hetsched.graph.ops import OPS
from hetsched.graph.task_graph import Ref, TaskGraph
from hetsched.yaml_source import Place, did_you_mean


@dataclass(frozen=True, slots=True)
class Job:
    """What a pipeline file asks for.

    Attributes:
        graph: its tasks, inputs and constants; keys are the names in the file.
        inputs: values of the graph's inputs.
        outputs: keys of the requested outputs; None means the sinks.
        settings: keywords of `hetsched.run` that the file gives.
        save: files to write, by output.
    """

    name: str
    description: str
    graph: TaskGraph
    inputs: Mapping[Hashable, Any]
    outputs: tuple[str, ...] | None = None
    settings: Mapping[str, Any] = field(default_factory=dict)
    save: Mapping[str, Path] = field(default_factory=dict)


def load_job(path: str | Path, *, overrides: Sequence[str] = (), allow_imports: Sequence[str] = ()) -> Job:
    """Read a pipeline file.

    Args:
        path: of the YAML file; paths in it are relative to its folder, those under ``save`` to the current folder.
        overrides: ``a.b=c`` puts ``c`` (YAML) at ``a.b`` of the document before it is checked.
        allow_imports: packages (or modules) whose functions the file may name as ``package.module:function``.

    Raises:
        ConfigError: the file cannot be read or is wrong; names file, line and field.
        ExecutionError: a function that an input or a constant calls raised.
    """
    document = Document.load(Path(path), overrides)
    model = validated(document)
    builder = _Builder(document, model, tuple(allow_imports))
    builder.add_sources()
    builder.add_tasks()
    return builder.job()


class _Builder:
    """Adds what the file says to a graph, and knows which names stand for several nodes."""

    def __init__(self, document: Document, model: PipelineModel, allow_imports: tuple[str, ...]) -> None:
        self.document = document
        self.model = model
        self.allow_imports = allow_imports
        self.graph = TaskGraph()
        self.inputs: dict[Hashable, Any] = {}
        self.n_branches: dict[str, int] = {}

    def add_sources(self) -> None:
        """Load inputs and constants and add their nodes."""
        for name, source in self.model.inputs.items():
            for key, value in self.load("inputs", name, source).items():
                if isinstance(value, torch.Tensor):
                    self.graph.input(key, shape=tuple(value.shape), dtype=value.dtype)
                else:
                    self.graph.input(key)
                self.inputs[key] = value
        for name, source in self.model.constants.items():
            self.check_free(name, ("constants", name), self.model.inputs)
            for key, value in self.load("constants", name, source).items():
                self.graph.constant(value, name=key)

    def load(self, section: str, name: str, source: SourceModel) -> dict[str, Any]:
        """The values of one source by node key."""
        place = (section, name, source.form)
        try:
            values = load_source(name, source, self.document.folder, self.allow_imports)
        except ConfigError as error:
            raise self.document.error(place, str(error)) from error.__cause__
        except ExecutionError as error:
            raise ExecutionError(str(self.document.error(place, str(error)))) from error.__cause__
        if source.branches is not None:
            self.n_branches[name] = source.branches
        return values

    def add_tasks(self) -> None:
        """Add all tasks, operands first, once for each of their branches."""
        for name in self.model.tasks:
            self.check_free(name, ("tasks", name), self.model.sources)
        for name in self.in_order():
            self.add_task(name, self.model.tasks[name])

    def in_order(self) -> tuple[str, ...]:
        """Names of the tasks, each after those that it reads."""
        tasks = self.model.tasks
        reads = {name: [b for _, ref in task.operands if (b := _base(ref)) in tasks] for name, task in tasks.items()}
        try:
            return tuple(graphlib.TopologicalSorter(reads).static_order())
        except graphlib.CycleError as error:
            cycle = [str(name) for name in error.args[1]]
            raise self.document.error(("tasks", cycle[0]), f"is part of a cycle: {' -> '.join(cycle)}") from None

    def add_task(self, name: str, task: TaskModel) -> None:
        """Add one task, or one for each branch."""
        op = self.op(name, task)
        for arg, ref in task.operands:
            self.check_operand(ref, ("tasks", name, "of", arg))
        n_branches = self.branches_of(name, task)
        if n_branches is not None and not task.join:
            self.n_branches[name] = n_branches
        for branch in range(self.n_branches.get(name, 1)):
            operands, keywords = self.operands(task, branch)
            key = f"{name}.{branch}" if name in self.n_branches else name
            try:
                self.graph.add(op, *operands, name=key, **keywords, **task.with_, **task.options)
            except GraphError as error:
                raise self.document.error(("tasks", name), str(error)) from error

    def op(self, name: str, task: TaskModel) -> Any:
        """The registered name, or the allowed function."""
        place = ("tasks", name, "op")
        if ":" in task.op:
            try:
                return allowed_function(task.op, self.allow_imports)
            except ConfigError as error:
                raise self.document.error(place, str(error)) from error.__cause__
        if task.op not in OPS:
            raise self.document.error(place, f"unknown op {task.op!r}; {did_you_mean(task.op, OPS)}")
        return task.op

    def branches_of(self, name: str, task: TaskModel) -> int | None:
        """How many branches the operands of a task have; None when they have none."""
        counts = {ref.key: self.n_branches[str(ref.key)] for _, ref in task.operands if ref.key in self.n_branches}
        place = ("tasks", name, "of")
        if len(set(counts.values())) > 1:
            found = ", ".join(f"{key} {count}" for key, count in counts.items())
            raise self.document.error(place, f"operands have different numbers of branches ({found}); join one first")
        if task.join and not counts:
            raise self.document.error(("tasks", name, "join"), "no operand has branches; leave join out")
        if task.join and isinstance(task.of, dict):
            raise self.document.error(place, "a task that joins takes its operands as a list")
        return next(iter(counts.values()), None)

    def operands(self, task: TaskModel, branch: int) -> tuple[list[Ref], dict[str, Ref]]:
        """Positional and keyword operands of one branch of a task; of all branches where it joins."""
        if isinstance(task.of, dict):
            return [], {keyword: self.node(ref, branch) for keyword, ref in task.of.items()}
        if not task.join:
            return [self.node(ref, branch) for ref in task.of], {}
        return [self.node(ref, each) for ref in task.of for each in range(self.n_branches.get(str(ref.key), 1))], {}

    def node(self, ref: Ref, branch: int) -> Ref:
        """The node that an operand means in one branch."""
        return Ref(f"{ref.key}.{branch}", ref.slot) if ref.key in self.n_branches else ref

    def keys(self, name: str) -> tuple[str, ...]:
        """All nodes that a name stands for."""
        if name in self.n_branches:
            return tuple(f"{name}.{branch}" for branch in range(self.n_branches[name]))
        return (name,) if name in self.graph else ()

    def job(self) -> Job:
        """The finished job; outputs and files checked."""
        outputs = None if self.model.outputs is None else self.output_keys(self.model.outputs)
        sinks = (key for key in self.graph if "op" in self.graph.nodes[key] and not self.graph.out_degree(key))
        available = tuple(sinks) if outputs is None else outputs
        for key in self.model.save:
            if key not in available:
                raise self.document.error(("save", key), f"{key!r} is no output; {did_you_mean(key, available)}")
        return Job(
            name=self.model.name,
            description=self.model.description,
            graph=self.graph,
            inputs=self.inputs,
            outputs=outputs,
            settings=self.settings(),
            save={key: self.save_path(key, text) for key, text in self.model.save.items()},
        )

    def settings(self) -> dict[str, Any]:
        """The keywords of `hetsched.run` that the file gives."""
        given = self.model.run.model_dump(exclude_unset=True)
        if self.model.run.platform is not None:
            path = self.document.folder / self.model.run.platform
            if not path.is_file():
                raise self.document.error(("run", "platform"), f"there is no file {path}; name a platform's YAML file")
            given["platform"] = path
        return given

    def output_keys(self, names: Iterable[str]) -> tuple[str, ...]:
        """The nodes that the requested outputs mean."""
        keys: dict[str, None] = {}
        for position, name in enumerate(names):
            if not (nodes := self.keys(name)):
                known = [*self.graph, *self.n_branches]
                raise self.document.error(("outputs", position), f"there is no {name!r}; {did_you_mean(name, known)}")
            keys |= dict.fromkeys(nodes)
        return tuple(keys)

    def save_path(self, key: str, text: str) -> Path:
        """Where an output is written: below the current folder, wherever the pipeline file came from."""
        path = Path(text)
        if not path.resolve().is_relative_to(Path.cwd()):
            raise self.document.error(("save", key), f"{text!r} is not below the current folder; give a path that is")
        if path.suffix not in SAVE_SUFFIXES:
            raise self.document.error(("save", key), f"{text!r} must end in one of {', '.join(SAVE_SUFFIXES)}")
        return path

    def check_free(self, name: str, place: Place, taken: Mapping[str, object]) -> None:
        """Refuse a name that an input or a constant has."""
        if name in taken:
            raise self.document.error(place, f"{name!r} is an input or a constant already; rename one")

    def check_operand(self, ref: Ref, place: Place) -> None:
        """Refuse an operand that is no node."""
        if self.keys(str(ref.key)):
            return
        parts = [key for key in self.graph if str(key).startswith(f"{ref.key}.")]
        cure = (
            f"it has parts; name one of {', '.join(parts)}" if parts else did_you_mean(str(ref.key), self.known_names())
        )
        raise self.document.error(place, f"there is no {ref.key!r}; {cure}")

    def known_names(self) -> list[str]:
        """What an operand may be called."""
        return [*self.model.tasks, *self.n_branches, *self.graph]


def _base(ref: Ref) -> str:
    return str(ref.key).partition(".")[0]
