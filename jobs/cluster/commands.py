"""`pairsieve cluster`: what it takes to run on one."""

from pathlib import Path
from typing import Annotated

import typer

from pairsieve.jobs.cli_options import App, Force, RecipePath
from pairsieve.jobs.cluster.files import Kind, Sizes, render
from pairsieve.schemas.errors import BadOption

cluster = App(help="Run on a cluster: write what its scheduler reads.", no_args_is_help=True)


@cluster.callback()
def group() -> None:
    """Run on a cluster: write what its scheduler reads."""


@cluster.command()
def files(
    recipe: RecipePath,
    kind: Annotated[
        Kind, typer.Option("--kind", help="What schedules the nodes; `docker`: their image.")
    ],
    dataset: Annotated[
        str, typer.Option("--dataset", help="Folder or URL that every node sees.")
    ] = "s3://BUCKET/dataset",
    image: Annotated[str, typer.Option("--image", help="Name of the image.")] = "pairsieve:latest",
    nodes: Annotated[int, typer.Option("--nodes", min=1, help="Most nodes.")] = 4,
    cpus: Annotated[int, typer.Option("--cpus", min=1, help="CPUs of a node.")] = 16,
    memory_gb: Annotated[
        int, typer.Option("--memory-gb", min=4, help="Memory of a node, GB.")
    ] = 64,
    gpu_nodes: Annotated[
        int | None,
        typer.Option(
            "--gpu-nodes",
            min=0,
            help="Nodes with a GPU; default: one if the recipe has `embed`.",
        ),
    ] = None,
    out: Annotated[Path, typer.Option("--out", help="Folder to write to.")] = Path("cluster"),
    force: Force = False,
) -> None:
    """Write the files of one kind of cluster, filled in from the recipe."""
    written = render(
        kind, recipe, dataset, image, Sizes(nodes, cpus, memory_gb, gpu_nodes), str(out)
    )
    there = [str(out / name) for name in written if (out / name).exists()]
    if there and not force:
        raise BadOption(f"{', '.join(there)}: exists already; name another --out, or say --force")
    out.mkdir(parents=True, exist_ok=True)
    for name, text in written.items():
        (out / name).write_text(text, encoding="utf-8")
        typer.echo(out / name)
