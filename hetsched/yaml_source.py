"""Reads YAML that strangers may have written: plain data only, and the line that each field stands on.

Numbers and booleans follow YAML 1.2's core schema (``1e-5`` is a number, ``on`` and ``12:30`` are text); keys are text.
Tags, anchors, aliases and duplicate keys are refused, so that a file means what it looks like and cannot grow.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import yaml

from hetsched.errors import HetschedError

MAX_FILE_BYTES = 1 << 20
MAX_DEPTH = 64

Place = tuple[str | int, ...]
"""Where a field stands: keys and list positions from the top."""

_Event = Any  # the stubs give events no common attributes
_LOADER: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
_INTEGER = re.compile(r"[-+]?[0-9]{1,18}|0x[0-9a-fA-F]{1,15}|0o[0-7]{1,20}")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")
_WORDS: Mapping[str, bool | None] = {
    **dict.fromkeys(("", "~", "null", "Null", "NULL"), None),
    **dict.fromkeys(("true", "True", "TRUE"), True),
    **dict.fromkeys(("false", "False", "FALSE"), False),
}


@dataclass(frozen=True, slots=True)
class YamlDocument:
    """A YAML file as plain dicts, lists and scalars.

    Attributes:
        path: of the file, as messages show it.
        data: the top-level mapping.
        lines: line (from 1) of every field, by its place.
        error_class: of the errors that `error` makes.
    """

    path: str
    data: dict[str, Any]
    lines: Mapping[Place, int]
    error_class: type[HetschedError]

    def line_of(self, place: Sequence[str | int]) -> int:
        """Line of a field, or of the nearest thing around it that is written in the file."""
        known = tuple(place)
        while known not in self.lines:
            known = known[:-1]
        return self.lines[known]

    def error(self, place: Sequence[str | int], problem: str) -> HetschedError:
        """An error that reads ``file:line: field: problem``."""
        shown = f"{show_place(place)}: " if place else ""
        return self.error_class(f"{self.path}:{self.line_of(place)}: {shown}{problem}")


def read_yaml(path: str | Path, error: type[HetschedError]) -> YamlDocument:
    """Read a YAML file whose top level is a mapping.

    Args:
        path: of the file, at most `MAX_FILE_BYTES` long.
        error: class of the error to raise.

    Raises:
        HetschedError: of class ``error``; the file cannot be read or is not such YAML; names file, line and cure.
    """
    path = Path(path)
    try:
        if path.exists() and not path.is_file():
            raise error(f"{path}: is not a regular file; give the path of a YAML file")
        with path.open("rb") as file:
            content = file.read(MAX_FILE_BYTES + 1)
    except (OSError, ValueError) as reason:
        why = getattr(reason, "strerror", None) or str(reason)
        raise error(f"{path}: cannot be read ({why}); check the path and its permissions") from reason
    if len(content) > MAX_FILE_BYTES:
        raise error(f"{path}: is longer than {MAX_FILE_BYTES} bytes; no such file needs to be")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as reason:
        line = content[: reason.start].count(b"\n") + 1
        raise error(f"{path}:{line}: is not UTF-8 text; save it as UTF-8") from reason
    return parse_yaml(text, str(path), error)


def parse_yaml(text: str, path: str, error: type[HetschedError]) -> YamlDocument:
    """`read_yaml` of text at hand; ``path`` is what messages call it."""
    reader = _Reader(path, error)
    data = reader.read(text)
    if data is None:
        raise error(f"{path}: is empty; see configs/ for examples")
    if not isinstance(data, dict):
        raise error(f"{path}:{reader.lines[()]}: the top level is {_kind(data)}; it must be `key: value` lines")
    return YamlDocument(path, data, reader.lines, error)


def plain_value(text: str) -> Any:
    """What an unquoted YAML scalar means: None, a bool, an int, a float or the text itself."""
    if text in _WORDS:
        return _WORDS[text]
    if _INTEGER.fullmatch(text):
        return int(text, 0) if text.startswith(("0x", "0o")) else int(text)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text


def show_place(place: Sequence[str | int]) -> str:
    """``("devices", 0, "kind")`` -> ``devices[0].kind``."""
    shown = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in place)
    return shown.removeprefix(".")


def did_you_mean(name: str, known: Iterable[str]) -> str:
    """``did you mean 'devices'?``, or the list of what is known when nothing is close."""
    names = list(known)
    close = difflib.get_close_matches(name, names, n=2)
    if close:
        return f"did you mean {' or '.join(map(repr, close))}?"
    return f"known are: {', '.join(sorted(names)) or 'none'}"


@dataclass(slots=True)
class _Reader:
    """Builds plain data from parser events; recursion is bounded by `MAX_DEPTH`."""

    path: str
    error: type[HetschedError]
    lines: dict[Place, int] = field(default_factory=dict)

    def read(self, text: str) -> Any:
        data: Any = None
        n_documents = 0
        try:
            events = yaml.parse(text, Loader=_LOADER)
            for event in events:
                if isinstance(event, yaml.DocumentStartEvent):
                    n_documents += 1
                    if n_documents > 1:
                        self._refuse(event, "a second document starts here; keep one per file")
                    data = self._node(next(events), events, ())
        except yaml.YAMLError as reason:
            raise self.error(f"{self.path}:{_line_of(reason, text)}: is not valid YAML: {_problem(reason)}") from reason
        return data

    def _node(self, event: _Event, events: Iterator[_Event], place: Place) -> Any:
        self.lines.setdefault(place, event.start_mark.line + 1)
        if isinstance(event, yaml.AliasEvent) or event.anchor is not None:
            self._refuse(event, "anchors (&) and aliases (*) are not taken; write the value out, or quote the text")
        if event.tag is not None:
            self._refuse(event, f"the tag {event.tag!r} is not taken; write plain values only")
        if len(place) > MAX_DEPTH:
            self._refuse(event, f"is nested more than {MAX_DEPTH} deep")
        if isinstance(event, yaml.ScalarEvent):
            return plain_value(event.value) if event.implicit[0] else event.value
        if isinstance(event, yaml.SequenceStartEvent):
            items: list[Any] = []
            while not isinstance(following := next(events), yaml.SequenceEndEvent):
                items.append(self._node(following, events, (*place, len(items))))
            return items
        return self._mapping(events, place)

    def _mapping(self, events: Iterator[_Event], place: Place) -> dict[str, Any]:
        fields: dict[str, Any] = {}
        while not isinstance(event := next(events), yaml.MappingEndEvent):
            line = int(event.start_mark.line) + 1
            if not isinstance(event, yaml.ScalarEvent):
                self._refuse(event, "a key must be plain text; quote it if it starts with a special character")
            if event.anchor is not None or event.tag is not None:
                self._refuse(event, "a key must be plain text, without an anchor or a tag")
            here = (*place, event.value)
            if event.value in fields:
                first = self.lines[here]
                raise self.error(
                    f"{self.path}:{line}: {show_place(here)}: the key stands on line {first} already; remove one"
                )
            self.lines[here] = line
            fields[event.value] = self._node(next(events), events, here)
        return fields

    def _refuse(self, event: _Event, problem: str) -> NoReturn:
        raise self.error(f"{self.path}:{event.start_mark.line + 1}: {problem}")


def _line_of(reason: yaml.YAMLError, text: str) -> int:
    mark = getattr(reason, "problem_mark", None) or getattr(reason, "context_mark", None)
    if mark is not None:
        return int(mark.line) + 1
    return text.count("\n", 0, max(getattr(reason, "position", 0) or 0, 0)) + 1


def _problem(reason: yaml.YAMLError) -> str:
    return getattr(reason, "problem", None) or getattr(reason, "reason", None) or str(reason).splitlines()[0]


def _kind(data: object) -> str:
    return "a list" if isinstance(data, list) else f"the single value {data!r}"
