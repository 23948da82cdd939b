"""What a pipeline file may say, as pydantic models; every model refuses keys that it does not know."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, model_validator
from pydantic_core import PydanticCustomError

from hetsched.execute import EXECUTORS
from hetsched.graph.task_graph import NODE_OPTIONS, Ref
from hetsched.graph.values import torch_dtype
from hetsched.schedule import SCHEDULERS
from hetsched.schedule.objective import AIMS
from hetsched.yaml_source import did_you_mean

SOURCE_FORMS = ("value", "file", "files", "random", "call")
"""The ways to give an input or a constant; each takes exactly one."""

RESERVED = ".#"
"""Characters that names of inputs, constants and tasks may not contain: ``x.part`` and ``x#slot`` mean something."""


def _wrong(message: str) -> PydanticCustomError:
    return PydanticCustomError("wrong", "{message}", {"message": message})


def _name(text: Any) -> Any:
    if isinstance(text, str) and (not text or any(character in text for character in RESERVED)):
        raise _wrong("a name may not be empty or contain '.' or '#'")
    return text


def _dtype(text: Any) -> Any:
    try:
        torch_dtype(text if isinstance(text, str) else "")
    except TypeError:
        raise _wrong(f"{text!r} is no dtype; use torch's names, such as float32 or int64") from None
    return text


def _ref(given: Any) -> Ref:
    """``name``, ``name#1`` or ``{node: name, slot: 1}``."""
    match given:
        case Ref():
            return given
        case str() if given:
            node, mark, slot = given.partition("#")
            if mark and not slot.isdecimal():
                raise _wrong(f"{given!r}: after '#' comes the number of an output slot, such as {node}#1")
            return Ref(node, int(slot) if mark else None)
        case {"node": str(node), **rest} if set(rest) <= {"slot"}:
            slot_number = rest.get("slot")
            if slot_number is None or (type(slot_number) is int and slot_number >= 0):
                return Ref(node, slot_number)
    raise _wrong(f"{given!r} is no operand; write a name, 'name#1' or {{node: name, slot: 1}}")


def _operands(given: Any) -> tuple[Ref, ...] | dict[str, Ref]:
    """A list (by position) or a mapping (by keyword) of operands; one alone may stand without its list."""
    if isinstance(given, str):
        return (_ref(given),)
    if isinstance(given, list):
        return tuple(map(_ref, given))
    if isinstance(given, dict) and "node" not in given:
        return {keyword: _ref(operand) for keyword, operand in given.items()}
    return (_ref(given),)


def _tuple(given: Any) -> Any:
    return tuple(given) if isinstance(given, list) else given


def _texts(given: Any) -> Any:
    return (given,) if isinstance(given, str) else _tuple(given)


def _seconds(given: Any) -> Any:
    def is_time(number: Any) -> bool:
        return type(number) in (int, float) and 0 <= number < float("inf")

    if is_time(given) or (isinstance(given, dict) and given and all(map(is_time, given.values()))):
        return given
    raise _wrong(f"{given!r} is no time; give seconds, zero or more, or seconds by device name or kind")


Name = Annotated[str, BeforeValidator(_name)]
Dtype = Annotated[str, BeforeValidator(_dtype)]
Texts = Annotated[tuple[str, ...], BeforeValidator(_texts)]
Operands = Annotated[tuple[Ref, ...] | dict[str, Ref], PlainValidator(_operands)]
Seconds = Annotated[float | dict[str, float] | None, PlainValidator(_seconds)]


def _one_of(what: str, known: Iterable[str]) -> Callable[[str], str]:
    def check(name: str) -> str:
        if name not in known:
            raise _wrong(f"unknown {what} {name!r}; {did_you_mean(name, known)}")
        return name

    return check


class Strict(BaseModel):
    """Base of all: unknown keys and converted types are errors."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, arbitrary_types_allowed=True)


class SourceModel(Strict):
    """An input or a constant, in exactly one of `SOURCE_FORMS`.

    Attributes:
        value: a number, a string, or nested lists of numbers, which become a tensor.
        file: ``.npy`` ``.npz`` ``.pt`` (tensors), ``.txt`` (a string), any other (its bytes).
        files: a glob pattern: the bytes of every file that matches, sorted by name.
        random: shape of a tensor of normally distributed numbers.
        call: ``package.module:function``, taken only from packages that the caller allows.
        with_: keyword arguments of the call.
        dtype: of the tensor.
        seed: of the random tensor.
        branches: the source, a list or a tensor, is cut into so many parts along its first dimension; each part has its
            own copy of the tasks that follow.
    """

    value: Any = None
    file: str | None = None
    files: str | None = None
    random: Annotated[tuple[Annotated[int, Field(ge=0)], ...], BeforeValidator(_tuple)] | None = None
    call: str | None = None
    with_: dict[str, Any] = Field(default={}, alias="with")
    dtype: Dtype | None = None
    seed: int | None = None
    branches: Annotated[int, Field(ge=1)] | None = None

    @property
    def form(self) -> str:
        """Which of `SOURCE_FORMS` it takes."""
        return next(form for form in SOURCE_FORMS if form in self.model_fields_set)

    @model_validator(mode="after")
    def _is_one_form(self) -> SourceModel:
        given = [form for form in SOURCE_FORMS if form in self.model_fields_set]
        if len(given) != 1:
            raise _wrong(f"has {' and '.join(given) or 'no source'}; give exactly one of {', '.join(SOURCE_FORMS)}")
        for option, forms in (("with_", ("call",)), ("seed", ("random",)), ("dtype", ("value", "random"))):
            if option in self.model_fields_set and given[0] not in forms:
                raise _wrong(f"{option.rstrip('_')!r} belongs to {' or '.join(map(repr, forms))}, not to {given[0]!r}")
        return self


class TaskModel(Strict):
    """One task.

    Attributes:
        op: a registered name, or ``package.module:function`` of a package that the caller allows.
        of: its operands.
        with_: keyword parameters of the op.
        join: take all branches of the operands instead of belonging to one.
    """

    op: str
    of: Operands = ()
    with_: dict[str, Any] = Field(default={}, alias="with")
    join: bool = False
    device: str | None = None
    devices: Texts | None = None
    keep_on: Texts | None = None
    release: bool | None = None
    seconds: Seconds = None
    splittable: bool | None = None
    parts: Annotated[int, Field(ge=1)] | None = None

    @property
    def options(self) -> dict[str, Any]:
        """The node options that the file gives."""
        return {option: getattr(self, option) for option in NODE_OPTIONS if option in self.model_fields_set}

    @property
    def operands(self) -> tuple[tuple[int | str, Ref], ...]:
        """All operands with their position or keyword."""
        return tuple(self.of.items()) if isinstance(self.of, dict) else tuple(enumerate(self.of))

    @model_validator(mode="after")
    def _has_no_options_among_parameters(self) -> TaskModel:
        if misplaced := [option for option in NODE_OPTIONS if option in self.with_]:
            raise _wrong(f"{misplaced[0]!r} is an option of the task, not a parameter of its op; move it beside 'op'")
        if isinstance(self.of, dict) and (twice := self.of.keys() & self.with_.keys()):
            raise _wrong(f"{min(twice)!r} is both an operand in 'of' and a parameter in 'with'; keep one")
        return self


class RunModel(Strict):
    """How to run; each field is the keyword of `hetsched.run` with that name."""

    platform: str | None = None
    scheduler: Annotated[str, AfterValidator(_one_of("scheduler", SCHEDULERS))] = "auto"
    executor: Annotated[str, AfterValidator(_one_of("executor", ("auto", *EXECUTORS)))] = "auto"
    objective: Annotated[str, AfterValidator(_one_of("objective", AIMS))] = "makespan"
    deadline_seconds: Annotated[float, Field(gt=0)] | None = None
    budget_money: Annotated[float, Field(gt=0)] | None = None
    seed: int = 0


class PipelineModel(Strict):
    """A whole pipeline file.

    Attributes:
        parameters: values that ``$name`` stands for elsewhere in the file, and that ``--set parameters.name=`` changes.
        inputs: values that every run is given.
        constants: values that stay the same, such as weights; one that is a mapping gives nodes ``name.key``.
        tasks: in any order. A task that reads branches has as many itself, called ``name.0`` and so on.
        outputs: names of the wanted values; the sinks when left out.
        save: files to write outputs to, relative to the current folder and below it.
    """

    name: str
    description: str = ""
    parameters: dict[str, Any] = {}
    inputs: dict[Name, SourceModel] = {}
    constants: dict[Name, SourceModel] = {}
    tasks: dict[Name, TaskModel] = {}
    outputs: Texts | None = None
    run: RunModel = RunModel()
    save: dict[str, str] = {}

    @property
    def sources(self) -> Mapping[str, SourceModel]:
        """Inputs and constants together."""
        return {**self.inputs, **self.constants}


def known_fields(place: tuple[str | int, ...]) -> tuple[str, ...]:
    """The keys that may stand in the mapping at ``place``, as the file writes them; empty where any may."""
    model: type[Strict]
    match place:
        case ():
            model = PipelineModel
        case ("inputs" | "constants", _):
            model = SourceModel
        case ("tasks", _):
            model = TaskModel
        case ("run",):
            model = RunModel
        case _:
            return ()
    return tuple(field.alias or name for name, field in model.model_fields.items())
