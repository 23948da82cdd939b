"""The text form of a Plan: what ``str(plan)`` prints and ``Plan.parse`` reads back, equal in every field.

    plan on one-gpu-workstation
    inputs x@ram
    constants w@ram
    outputs y@ram
    setup
      copy w@ram to vram:0 over down
    body
      device cpu:0 in ram
        0 compute decode reads x writes d
        3 free d@ram
      copies ram to vram:0 over down
        1 copy d
      device cuda:0 in vram:0
        2 compute classify reads d w writes y after 0

The numbers are places in the global order; ``after`` names what an instruction waits for besides its data. Names with
spaces or unusual characters, and names that are words of this form, stand in double quotes with backslash escapes.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from hetsched.errors import PlanError
from hetsched.plan.dependencies import owners
from hetsched.plan.plan import Compute, Copy, Free, Instruction, Place, Plan

_WIDTH = 120
_SECTIONS = ("inputs", "constants", "outputs", "setup", "body")
_HEADERS = ("device", "copies", "unused")
_INSTRUCTIONS = ("compute", "copy", "free")
_WORDS = {"plan", "on", *_SECTIONS, *_HEADERS, *_INSTRUCTIONS, "in", "to", "over", "reads", "writes", "after"}
_BARE = re.compile(r"[\w.:/+*#%$=()\[\]>-]+")
_ESCAPE = re.compile(r'\\(?:x([0-9a-f]{2})|u([0-9a-f]{4})|U(00[01][0-9a-f]{5})|(["\\nrt]))')
_TOKEN = re.compile(rf' *("(?:[^"\\]|{_ESCAPE.pattern})*"|[^ "@]+|@)')

_T = TypeVar("_T")


def format_plan(plan: Plan) -> str:
    """A plan as text, without a line break at its end."""
    lines = [f"plan on {_quote(plan.platform)}"]
    for section, places in (("inputs", plan.inputs), ("constants", plan.constants), ("outputs", plan.outputs)):
        lines += _wrapped(section, [_place(place) for place in places])
    if plan.setup:
        lines.append("setup")
        lines += [
            f"  copy {_place((copy.value, copy.source))} to {_quote(copy.target)}{_clause('over', copy.links)}"
            for copy in plan.setup
        ]
    if plan.body:
        lines.append("body")
    for header, positions in _groups(plan).items():
        lines.append(f"  {header}")
        lines += [f"    {position} {_body_line(plan, position)}" for position in positions]
    return "\n".join(lines)


def parse_plan(text: str) -> Plan:
    """The plan that `format_plan` wrote.

    Raises:
        PlanError: the text is malformed; names the line.
    """
    return _Parser(text).plan()


def _groups(plan: Plan) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for position, owner in enumerate(owners(plan)):
        header = "unused" if owner is None else _header(plan.body[owner])
        found.setdefault(header, []).append(position)
    return found


def _header(instruction: Instruction) -> str:
    if isinstance(instruction, Compute):
        return f"device {_quote(instruction.device)} in {_quote(instruction.memory)}"
    if isinstance(instruction, Copy):
        return (
            f"copies {_quote(instruction.source)} to {_quote(instruction.target)}{_clause('over', instruction.links)}"
        )
    return "unused"


def _body_line(plan: Plan, position: int) -> str:
    instruction = plan.body[position]
    if isinstance(instruction, Compute):
        reads, writes = _clause("reads", instruction.reads), _clause("writes", instruction.writes)
        line = f"compute {_quote(instruction.task)}{reads}{writes}"
    elif isinstance(instruction, Copy):
        line = f"copy {_quote(instruction.value)}"
    else:
        line = f"free {_place((instruction.value, instruction.memory))}"
    if position in plan.after:
        line += " ".join([" after", *map(str, plan.after[position])])
    return line


def _clause(word: str, names: Iterable[str]) -> str:
    quoted = [_quote(name) for name in names]
    return " ".join(["", word, *quoted]) if quoted else ""


def _place(place: Place) -> str:
    return f"{_quote(place[0])}@{_quote(place[1])}"


def _quote(name: str) -> str:
    if _BARE.fullmatch(name) and name not in _WORDS:
        return name
    if name.isprintable():
        return json.dumps(name, ensure_ascii=False)
    return '"' + name.encode("unicode_escape").decode("ascii").replace('"', '\\"') + '"'


def _unescape(escape: re.Match[str]) -> str:
    code = escape[1] or escape[2] or escape[3]
    return chr(int(code, 16)) if code else {"n": "\n", "r": "\r", "t": "\t"}.get(escape[4], escape[4])


def _wrapped(word: str, items: Sequence[str]) -> list[str]:
    """Lines that begin with ``word`` and hold as many items as fit."""
    lines: list[str] = []
    for item in items:
        if lines and len(lines[-1]) + 1 + len(item) <= _WIDTH:
            lines[-1] += " " + item
        else:
            lines.append(f"{word} {item}")
    return lines


class _Parser:
    """Reads line by line; ``_tokens`` holds what is left of the current one, last token first."""

    def __init__(self, text: str) -> None:
        lines = enumerate((line.rstrip(" \r") for line in text.split("\n")), 1)
        self._lines = [(number, line) for number, line in lines if line]
        self._number = 0
        self._tokens: list[str] = []
        self._places: dict[str, list[Place]] = {"inputs": [], "constants": [], "outputs": []}
        self._setup: list[Copy] = []
        self._body: dict[int, Instruction] = {}
        self._after: dict[int, tuple[int, ...]] = {}
        self._lane: tuple[str, str, tuple[str, ...]] | None = None

    def plan(self) -> Plan:
        lines = self._each_line()
        if next(lines, None) is None:
            raise PlanError("line 1: the text is empty; a plan begins with 'plan on PLATFORM'")
        self._expect("plan", "on")
        platform = self._name()
        self._end()
        section = ""
        for _ in lines:
            section = self._line(section)
            self._end()
        n_instructions = len(self._body)
        missing = next((position for position in range(n_instructions) if position not in self._body), None)
        if missing is not None:
            raise PlanError(
                f"line {self._number}: the body has {n_instructions} instructions, and none of them is {missing}"
            )
        return Plan(
            platform=platform,
            setup=tuple(self._setup),
            body=tuple(self._body[position] for position in range(n_instructions)),
            inputs=tuple(self._places["inputs"]),
            constants=tuple(self._places["constants"]),
            outputs=tuple(self._places["outputs"]),
            after={position: self._after[position] for position in sorted(self._after)},
        )

    def _line(self, section: str) -> str:
        """Read the current line; returns the section that the next one is in."""
        word = self._tokens[-1]
        if word in self._places:
            self._tokens.pop()
            self._places[word] += self._several(self._place)
        elif word in ("setup", "body"):
            return self._tokens.pop()
        elif section == "setup":
            self._expect("copy")
            value, source = self._place()
            self._expect("to")
            self._setup.append(Copy(value, source, self._name(), self._clause("over")))
        elif section == "body" and word in ("device", "copies", "unused"):
            self._lane = self._header(self._tokens.pop())
        elif section == "body":
            self._instruction()
        else:
            raise self._error(f"found {word}; expected inputs, constants, outputs, setup or body")
        return section

    def _header(self, word: str) -> tuple[str, str, tuple[str, ...]]:
        if word == "unused":
            return "", "", ()
        first = self._name()
        self._expect("in" if word == "device" else "to")
        return first, self._name(), self._clause("over") if word == "copies" else ()

    def _instruction(self) -> None:
        position = self._position()
        if position in self._body:
            raise self._error(f"there are two instructions {position}")
        if self._lane is None:
            raise self._error("an instruction stands under a line that begins with device, copies or unused")
        first, second, links = self._lane
        word = self._tokens.pop() if self._tokens else "the end of the line"
        if word == "compute":
            self._body[position] = Compute(self._name(), first, second, self._clause("reads"), self._clause("writes"))
        elif word == "copy":
            self._body[position] = Copy(self._name(), first, second, links)
        elif word == "free":
            self._body[position] = Free(*self._place())
        else:
            raise self._error(f"found {word}; expected compute, copy or free")
        if self._tokens and self._tokens[-1] == "after":
            self._tokens.pop()
            self._after[position] = tuple(self._several(self._position))

    def _each_line(self) -> Iterator[int]:
        for number, line in self._lines:
            self._number, self._tokens, end = number, [], 0
            while end < len(line):
                token = _TOKEN.match(line, end)
                if token is None:
                    raise self._error(
                        f"cannot read {line[end:].strip()}; a quote is not closed, or a backslash escape is unknown"
                    )
                self._tokens.append(token[1])
                end = token.end()
            self._tokens.reverse()
            yield self._number

    def _several(self, read: Callable[[], _T]) -> list[_T]:
        found = []
        while self._tokens and self._tokens[-1] not in _WORDS:
            found.append(read())
        return found

    def _clause(self, word: str) -> tuple[str, ...]:
        if not self._tokens or self._tokens[-1] != word:
            return ()
        self._tokens.pop()
        return tuple(self._several(self._name))

    def _place(self) -> Place:
        value = self._name()
        self._expect("@")
        return value, self._name()

    def _name(self) -> str:
        token = self._tokens.pop() if self._tokens else ""
        if token.startswith('"'):
            return _ESCAPE.sub(_unescape, token[1:-1])
        if not token or token == "@" or token in _WORDS:
            raise self._error(f"expected a name and found {token or 'the end of the line'}; quote names that are words")
        return token

    def _position(self) -> int:
        token = self._tokens.pop() if self._tokens else "the end of the line"
        if not (token.isascii() and token.isdigit()):
            raise self._error(f"expected the number of an instruction and found {token}")
        return int(token)

    def _expect(self, *words: str) -> None:
        for word in words:
            token = self._tokens.pop() if self._tokens else "the end of the line"
            if token != word:
                raise self._error(f"expected {word} and found {token}")

    def _end(self) -> None:
        if self._tokens:
            raise self._error(f"found {self._tokens[-1]} where the line should end")

    def _error(self, what: str) -> PlanError:
        return PlanError(f"line {self._number}: {what}")
