"""The command `evaluate`. Everything heavy is imported inside it, as in `cli.py`."""

import json
from pathlib import Path
from typing import Annotated

import typer

from pairsieve.jobs.cli_options import AsJson, Name


def evaluate(
    checkpoint: Annotated[
        str, typer.Option("--checkpoint", help="File of the weights, or a tag of open_clip's.")
    ],
    sets: Annotated[
        Path, typer.Option("--sets", help="YAML file that names the sets, each a folder.")
    ],
    model: Annotated[
        str, typer.Option("--model", help="Name of an open_clip model, or the path of a config.")
    ],
    dataset: Annotated[
        str | None, typer.Option("--dataset", help="Keep the results beside this selection.")
    ] = None,
    name: Name = "default",
    precision: Annotated[
        str, typer.Option("--precision", help="Numbers it computes in: fp32, bf16, fp16, int8.")
    ] = "fp32",
    device: Annotated[
        str, typer.Option("--device", help="Where it runs: auto, cpu, cuda.")
    ] = "auto",
    as_json: AsJson = False,
) -> None:
    """Measure zero-shot accuracy and retrieval of a model that was trained on a selection."""
    from pairsieve.jobs.console import print_sentence, print_table
    from pairsieve.pipeline import evaluate
    from pairsieve.pipeline.dataset.store import Store
    from pairsieve.pipeline.evaluation.results import shown
    from pairsieve.schemas import evaluation_sets

    options = evaluate.options(model, checkpoint, precision, device)
    loaded = evaluation_sets.load(sets)
    store = Store.at(dataset) if dataset else None
    rows = evaluate.run(options, loaded, store, name)
    if as_json:
        typer.echo(json.dumps(rows, indent=1))
        return
    print_table(
        f"{rows[0]['checkpoint']} of {rows[0]['model']}",
        ("set", "measure", "value, 95 % interval", "of"),
        [(row["set"], row["measure"], shown(row), row["trials"]) for row in rows],
    )
    for each in sorted({(row["set"], row["unreadable"]) for row in rows if row["unreadable"]}):
        print_sentence("{}: pictures that cannot be decoded and are left out: {:,}.".format(*each))
