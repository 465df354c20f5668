"""Arguments and options that several commands take, each in the same words."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class EngineKind(StrEnum):
    """Where the work runs."""

    RAY = "ray"
    SERIAL = "serial"


RecipePath = Annotated[Path, typer.Argument(metavar="RECIPE", help="The recipe, a YAML file.")]
Dataset = Annotated[
    str, typer.Option("--dataset", help="Folder or s3://, gs://, az:// URL of the dataset.")
]
DatasetArgument = Annotated[
    str, typer.Argument(metavar="DATASET", help="Folder or URL of the dataset.")
]
Name = Annotated[str, typer.Option("--name", help="Name of the selection.")]
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
