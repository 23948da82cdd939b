"""Arguments and options that several commands take."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from hetsched.config import Job

PipelineFile = Annotated[Path, typer.Argument(metavar="PIPELINE.yaml", help="The pipeline file.", show_default=False)]
PlatformFile = Annotated[
    Path | None,
    typer.Option("--platform", metavar="P", help="Platform file; otherwise the pipeline's, or this machine."),
]
ExecutorName = Annotated[str | None, typer.Option("--executor", metavar="E", help="Who runs the plan.")]
Address = Annotated[
    str | None,
    typer.Option("--address", metavar="A", help="Ray cluster to join, such as 10.0.0.1:6379; implies --executor ray."),
]
Overrides = Annotated[
    list[str] | None, typer.Option("--set", metavar="A.B=C", help="Put C at A.B of the pipeline file; repeatable.")
]
AllowImports = Annotated[
    list[str] | None,
    typer.Option("--allow-import", metavar="PACKAGE", help="The file may name this package's functions; repeatable."),
]
TraceFile = Annotated[Path | None, typer.Option("--trace", metavar="F.json", help="Write a Perfetto trace.")]
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Verbose = Annotated[bool, typer.Option("--verbose", help="Say more, and where an error came from.")]


def load(path: Path, overrides: list[str] | None, allow_imports: list[str] | None) -> Job:
    """The job of a pipeline file; allowed packages are found in the current folder too, as ``python -m`` does."""
    from hetsched.config import load_job

    here = str(Path.cwd())
    if allow_imports and here not in sys.path:
        sys.path.insert(0, here)
    return load_job(path, overrides=overrides or (), allow_imports=allow_imports or ())


def session(settings: dict[str, Any], address: str | None) -> AbstractContextManager[object]:
    """The cluster at an address for as long as the command runs; otherwise nothing is opened."""
    import hetsched
    from hetsched.errors import ConfigError

    if address is None:
        return nullcontext()
    if settings.get("executor", "auto") not in ("auto", "ray"):
        raise ConfigError(f"--address: executor {settings['executor']!r} joins no cluster; leave it out, or choose ray")
    settings["executor"] = "ray"
    return hetsched.session(executor="ray", address=address)


def settings(job: Job, **given: Any) -> dict[str, Any]:
    """Keywords for `hetsched.run` and its likes: the file's, the command line's over them, and the outputs."""
    from hetsched.errors import ConfigError
    from hetsched.execute import EXECUTORS
    from hetsched.yaml_source import did_you_mean

    known = ("auto", *EXECUTORS)
    if given.get("executor") not in (None, *known):
        raise ConfigError(
            f"--executor: unknown executor {given['executor']!r}; {did_you_mean(given['executor'], known)}"
        )
    chosen = {name: value for name, value in given.items() if value is not None}
    return {"outputs": job.outputs, **job.settings, **chosen}
