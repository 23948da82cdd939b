"""Checks a document against the schema and says what is wrong in one line: file, line, field, cure."""

from __future__ import annotations

from typing import Any

from pydantic import ValidationError

from hetsched.config.document import Document
from hetsched.config.schema import PipelineModel, known_fields
from hetsched.yaml_source import Place, did_you_mean


def validated(document: Document) -> PipelineModel:
    """The document as a `PipelineModel`.

    Raises:
        ConfigError: one or more fields are wrong; names the first in the file.
    """
    try:
        return PipelineModel.model_validate(document.data)
    except ValidationError as error:
        details = sorted(
            error.errors(include_url=False),
            key=lambda detail: (document.source.line_of(_place(detail)), detail["type"] == "missing"),
        )
        others = f" (and {len(details) - 1} more)" if len(details) > 1 else ""
        raise document.error(_place(details[0]), _problem(details[0]) + others) from None


def _place(detail: Any) -> Place:
    return tuple(part for part in detail["loc"] if part != "[key]")


def _problem(detail: Any) -> str:
    place = _place(detail)
    match detail["type"]:
        case "extra_forbidden":
            return f"unknown key; {did_you_mean(str(place[-1]), known_fields(place[:-1]))}"
        case "missing":
            return "is missing; add it"
        case "wrong":
            return str(detail["msg"])
    shown = repr(detail["input"])
    message = str(detail["msg"]).removeprefix("Input ").partition(" or instance of ")[0]
    return f"{message[0].lower()}{message[1:]}; it is {shown if len(shown) <= 60 else f'{shown[:57]}...'}"
