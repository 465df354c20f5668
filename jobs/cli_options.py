"""Arguments and options that several commands take, each in the same words."""

import inspect
import os
import re
from collections.abc import Callable
from enum import StrEnum
from functools import cached_property, wraps
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from pairsieve.jobs import log
from pairsieve.jobs.live.tracking import Destination
from pairsieve.schemas.errors import BadOption

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class EngineKind(StrEnum):
    """Where the work runs."""

    AUTO = "auto"
    RAY = "ray"
    SERIAL = "serial"


def check_name(name: str | None) -> str | None:
    """Return the name if it can be that of a folder, on any storage."""
    if name is not None and not _NAME.fullmatch(name):
        raise BadOption(
            f"--name: a selection cannot be called {name!r}; allowed: letters, digits, `.`, `_` "
            "and `-`, the first a letter or digit, at most 100"
        )
    return name


RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe, a YAML file.")]
Dataset = Annotated[
    str, typer.Option("--dataset", help="Folder or s3://, gs://, az:// URL of the dataset.")
]


def _finished(dataset: str) -> str:
    """Return the dataset unless a `forget` was stopped in it."""
    from pairsieve.pipeline.dataset.store import Store
    from pairsieve.pipeline.unit.forgotten import check_finished

    check_finished(Store.at(dataset))
    return dataset


AnyDataset = Annotated[str, typer.Argument(metavar="DATASET", help="Folder or URL of the dataset.")]
DatasetArgument = Annotated[
    str,
    typer.Argument(metavar="DATASET", help="Folder or URL of the dataset.", callback=_finished),
]
Name = Annotated[str, typer.Option("--name", help="Name of the selection.", callback=check_name)]
Survivors = Annotated[
    str | None,
    typer.Option("--name", help="Selection whose survivors; default: all.", callback=check_name),
]
Settings = Annotated[
    list[str] | None,
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        help="Another value than the recipe's: RULE.OPTION=VALUE. May be given several times.",
    ),
]
Force = Annotated[bool, typer.Option("--force", help="Replace the file that is there.")]
Kind = Annotated[
    EngineKind,
    typer.Option(
        "--engine", help="Where the work runs; `auto`: small and local things in one process."
    ),
]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Units under way at once; default: the CPUs.")
]
Address = Annotated[
    str | None, typer.Option("--ray-address", help="Ray cluster to join; default: RAY_ADDRESS.")
]
MetricsPort = Annotated[
    int | None,
    typer.Option(
        "--metrics-port",
        min=1,
        max=65535,
        help="Serve Prometheus metrics of the work at this port of 127.0.0.1.",
    ),
]
LogTo = Annotated[
    Destination | None,
    typer.Option(
        "--log-to",
        help="Log the work to `wandb` (Weights & Biases) or `mlflow`: to a folder here unless "
        "their environment variables say otherwise.",
    ),
]
Limit = Annotated[
    int | None,
    typer.Option("--limit", min=1, help="Only the first so many pairs; a dataset of its own."),
]
Sample = Annotated[
    bool,
    typer.Option("--sample", help="With --limit: draw the pairs from all, by the recipe's seed."),
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model", help="Which model's vectors: a folder under `embed/`; default: the only one."
    ),
]


def check_output(key: str, path: Path, force: bool) -> None:
    """Refuse a file to write, before any work, that is there, unless `force`, or cannot be written.

    Raises:
        BadOption: naming the option, the file and why.
    """
    there = path.exists()
    if path.is_dir():
        raise BadOption(f"{key}: {path} is a folder; name a file in it")
    if there and not force:
        raise BadOption(f"{key}: {path} exists already; name another file, or say --force")
    if not path.parent.is_dir():
        raise BadOption(f"{key}: {path} cannot be written: there is no folder {path.parent}")
    if not os.access(path if there else path.parent, os.W_OK):
        raise BadOption(f"{key}: {path} cannot be written: permission denied")


Again = Annotated[
    bool, typer.Option("--retry", help="Ask again of pairs for which no answer came.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Page = Annotated[
    Path | None, typer.Option("--page", help="Write a page with the pictures to this file.")
]

Quiet = Annotated[bool, typer.Option("--quiet", help="On standard error, say errors alone.")]
LogJson = Annotated[
    bool, typer.Option("--log-json", help="On standard error, one JSON object a line.")
]
Command = TypeVar("Command", bound=Callable[..., Any])


class App(typer.Typer):
    """A command line of which every command takes `--quiet` and `--log-json`."""

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Run it. Its commands are built once: for each call it would take 20 CPU-ms."""
        return self._built(*args, **kwargs)

    @cached_property
    def _built(self) -> Any:
        return typer.main.get_command(self)

    def command(self, *args: Any, **kwargs: Any) -> Callable[[Command], Command]:
        """Return what makes a function a command, with these two options besides its own."""
        make = super().command(*args, **kwargs)

        def add(function: Command) -> Command:
            make(_speaking(function))
            return function

        return add


def _speaking(function: Callable[..., Any]) -> Callable[..., Any]:
    """Return a command with the two options, which takes notice of them before it begins."""

    @wraps(function)
    def speaking(*args: Any, quiet: bool = False, log_json: bool = False, **kwargs: Any) -> Any:
        log.configure(quiet, log_json)
        return function(*args, **kwargs)

    added = {"quiet": Quiet, "log_json": LogJson}
    signature = inspect.signature(function)
    parameters = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=False, annotation=kind)
        for name, kind in added.items()
    ]
    speaking.__signature__ = signature.replace(  # type: ignore[attr-defined]
        parameters=[*signature.parameters.values(), *parameters]
    )
    speaking.__annotations__ = function.__annotations__ | added
    return speaking
