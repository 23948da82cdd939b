"""A pipeline file as plain data, after ``--set`` and ``$parameters``, that still knows where each field came from."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hetsched.errors import ConfigError
from hetsched.yaml_source import Place, YamlDocument, did_you_mean, parse_yaml, read_yaml, show_place

_PARAMETER = re.compile(r"\$([A-Za-z_]\w*)")


@dataclass(frozen=True, slots=True)
class Document:
    """The data to check, and the file and the overrides that it was made of.

    Attributes:
        source: the file as it was read.
        data: the same, overridden, every ``$name`` filled in.
        overrides: the text of the override that a place was set by.
    """

    source: YamlDocument
    data: dict[str, Any]
    overrides: Mapping[Place, str] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path, overrides: Sequence[str] = ()) -> Document:
        """Read a file, then apply ``a.b=c`` overrides in order, then replace ``$name`` by ``parameters.name``.

        Raises:
            ConfigError: the file cannot be read, an override has no place, or a parameter is not given.
        """
        source = read_yaml(path, ConfigError)
        overridden: dict[Place, str] = {}
        for text in overrides:
            overridden[_override(source.data, text)] = text
        unfilled = cls(source, source.data, overridden)
        parameters = source.data.get("parameters")
        known = parameters if isinstance(parameters, dict) else {}
        filled = {
            section: content if section == "parameters" else unfilled.filled(content, known, (section,))
            for section, content in source.data.items()
        }
        return cls(source, filled, overridden)

    @property
    def folder(self) -> Path:
        """What relative paths in the file are relative to."""
        return Path(self.source.path).parent

    def error(self, place: Place, problem: str) -> ConfigError:
        """An error that names file, line and field, or the override that the field came from."""
        for depth in range(len(place), 0, -1):
            if place[:depth] in self.overrides:
                return ConfigError(f"--set {self.overrides[place[:depth]]}: {show_place(place)}: {problem}")
        return ConfigError(str(self.source.error(place, problem)))

    def filled(self, data: Any, parameters: Mapping[str, Any], place: Place) -> Any:
        """The data with every text that is just ``$name`` replaced by that parameter."""
        if isinstance(data, dict):
            return {key: self.filled(item, parameters, (*place, key)) for key, item in data.items()}
        if isinstance(data, list):
            return [self.filled(item, parameters, (*place, index)) for index, item in enumerate(data)]
        used = _PARAMETER.fullmatch(data) if isinstance(data, str) else None
        if used is None:
            return data
        if used[1] not in parameters:
            raise self.error(place, f"there is no parameter {used[1]!r}; {did_you_mean(used[1], parameters)}")
        return parameters[used[1]]


def _override(data: dict[str, Any], text: str) -> Place:
    """Put one override into the data; returns where."""
    dotted, equals, value_text = text.partition("=")
    keys = dotted.strip().split(".")
    if not equals or not all(keys):
        raise ConfigError(f"--set {text}: is not of the form a.b=c")
    value = parse_yaml(f"value: {value_text}", f"--set {text}", ConfigError).data["value"]
    place: Place = ()
    inside: Any = data
    for key in keys[:-1]:
        step = _step(inside, key, place, text)
        inside = inside.setdefault(step, {}) if isinstance(inside, dict) else inside[step]
        place = (*place, step)
    step = _step(inside, keys[-1], place, text)
    if place == ("parameters",) and step not in inside:
        raise ConfigError(f"--set {text}: there is no parameter {step!r}; {did_you_mean(str(step), inside)}")
    inside[step] = value
    return (*place, step)


def _step(inside: Any, key: str, place: Place, text: str) -> str | int:
    """The key, or the list position, that one part of an override's path means."""
    if isinstance(inside, dict):
        return key
    if isinstance(inside, list) and key.isdecimal() and int(key) < len(inside):
        return int(key)
    what = f"a list of {len(inside)} items" if isinstance(inside, list) else f"the value {inside!r}"
    raise ConfigError(f"--set {text}: {show_place(place)} is {what}; it has no {key!r}")
