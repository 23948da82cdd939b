"""Sessions: who owns executors, their actors and pools, for several jobs; after it is closed nothing is left."""

from __future__ import annotations

from types import TracebackType
from typing import Any, Self

from hetsched.errors import ExecutionError
from hetsched.execute import EXECUTORS
from hetsched.execute.executor import Executor

_open: list[Session] = []
"""Sessions that are open now, the latest last."""


class Session:
    """An executor that several jobs share; made by `session`, and the default of every run while it is open."""

    def __init__(self, name: str, executor: Executor) -> None:
        self.name = name
        self.executor = executor
        _open.append(self)

    def close(self) -> None:
        """End what the session owns; closing twice is fine."""
        if self in _open:
            _open.remove(self)
        self.executor.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def session(executor: str = "local", **settings: Any) -> Session:
    """Open a session: ``with hetsched.session(executor="ray", address=None): ...``; runs inside share its actors.

    Args:
        executor: ``local`` or ``ray``.
        settings: of the executor: ``address`` and ``token_path`` of a Ray cluster; without, Ray is started here.

    Raises:
        ExecutionError: the executor is unknown, or cannot be started or reached.
    """
    return Session(executor, _make(executor, settings))


def is_open(name: str) -> bool:
    """Whether the session that is open, if there is one, is of the executor asked for."""
    return bool(_open) and name in ("auto", _open[-1].name)


def executor_for(name: str) -> tuple[Executor, bool]:
    """The open session's executor where it is the one asked for, else a new one; the flag says that it is the caller's.

    Raises:
        ExecutionError: the name is unknown.
    """
    if is_open(name):
        return _open[-1].executor, False
    return _make("local" if name == "auto" else name, {}), True


def _make(name: str, settings: dict[str, Any]) -> Executor:
    if name not in EXECUTORS:
        raise ExecutionError(f"unknown executor {name!r}; there are {', '.join(sorted(EXECUTORS))} and auto")
    return EXECUTORS[name](**settings)
