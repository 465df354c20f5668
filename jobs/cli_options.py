"""Arguments and options that several commands take, each in the same words."""

import re
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pairsieve.schemas.errors import BadOption

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")


class EngineKind(StrEnum):
    """Where the work runs."""

    RAY = "ray"
    SERIAL = "serial"


def _selection(name: str | None) -> str | None:
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
DatasetArgument = Annotated[
    str, typer.Argument(metavar="DATASET", help="Folder or URL of the dataset.")
]
Name = Annotated[str, typer.Option("--name", help="Name of the selection.", callback=_selection)]
Survivors = Annotated[
    str | None,
    typer.Option("--name", help="Selection whose survivors; default: all.", callback=_selection),
]
Force = Annotated[bool, typer.Option("--force", help="Replace the file that is there.")]
Kind = Annotated[EngineKind, typer.Option("--engine", help="Where the work runs.")]
Workers = Annotated[
    int | None, typer.Option("--workers", min=1, help="Units under way at once; default: the CPUs.")
]
Address = Annotated[
    str | None, typer.Option("--ray-address", help="Ray cluster to join; default: RAY_ADDRESS.")
]

Model = Annotated[
    str | None,
    typer.Option(
        "--model", help="Which model's vectors: a folder under `embed/`; default: the only one."
    ),
]
