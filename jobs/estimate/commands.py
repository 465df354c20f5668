"""The command `estimate`; everything heavy is imported inside it, as in `cli.py`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from pairsieve.jobs.cli_options import AsJson, RecipePath

if TYPE_CHECKING:
    from pairsieve.jobs.estimate.forecast import Figure, Forecast

SIZES = ((1e12, "TB"), (1e9, "GB"), (1e6, "MB"), (1.0, "bytes"))
PriceOfCpu = Annotated[
    float | None, typer.Option("--price-cpu-hour", min=0, help="Price of an hour of one CPU core.")
]
PriceOfGpu = Annotated[
    float | None, typer.Option("--price-gpu-hour", min=0, help="Price of an hour of one GPU.")
]
PriceOfGb = Annotated[
    float | None,
    typer.Option("--price-gb", min=0, help="Price of a GB stored, for as long as you keep it."),
]


def estimate(
    recipe: RecipePath,
    sample: Annotated[
        int, typer.Option("--sample", min=10, help="Pairs to fetch, drawn by the recipe's seed.")
    ] = 2000,
    price_cpu_hour: PriceOfCpu = None,
    price_gpu_hour: PriceOfGpu = None,
    price_gb: PriceOfGb = None,
    paces: Annotated[
        Path | None,
        typer.Option("--paces", help="Paces of hosts, as `profile --out` writes them."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Fetch a sample as `run` does, and foretell what a run over all pairs leaves and costs.

    Yield, bytes, disk, CPU and GPU hours have intervals of 95 %; the days that the largest hosts
    take at the recipe's politeness are from all URLs of the input. The sample is deleted again.
    """
    import json

    from pairsieve.jobs.estimate.forecast import Prices, forecast
    from pairsieve.jobs.estimate.sampled import sampled
    from pairsieve.jobs.estimate.temporary import temporary

    with temporary(recipe, "estimate") as folder:
        found = sampled(recipe, sample, folder, paces)
    foretold = forecast(found, Prices(price_cpu_hour, price_gpu_hour, price_gb))
    if as_json:
        typer.echo(json.dumps(foretold.to_json()))
        return
    _print(foretold)


def _print(foretold: "Forecast") -> None:
    """Print the figures, the hosts and what is left out."""
    from pairsieve.jobs.console import print_sentence, print_table, printable

    title = f"Foretold of {foretold.pairs:,} pairs, from {foretold.sampled:,}"
    print_table(title, ("", "expected", "from", "to"), [_row(f) for f in foretold.figures])
    hosts = [
        (printable(days.name), pairs, *(_shown(end) for end in (days.value, days.low, days.high)))
        for pairs, days in foretold.hosts
    ]
    if hosts:
        print_table("The hosts that take longest", ("host", "pairs", "days", "from", "to"), hosts)
    for sentence in foretold.notes:
        print_sentence(sentence)


def _row(figure: "Figure") -> tuple[str, ...]:
    """Return a line of the table, its sizes in one unit."""
    size, unit = 1.0, figure.unit
    if unit == "bytes":
        size, unit = next((s for s in SIZES if figure.high >= s[0]), SIZES[-1])
    ends = (figure.value, figure.low, figure.high)
    shown = [_shown(None if end is None else end / size) for end in ends]
    return (f"{figure.name}, {unit}" if unit else figure.name, *shown)


def _shown(number: float | None) -> str:
    """Return a number with three digits at least; a dash for None."""
    if number is None:
        return "-"
    return f"{number:,.0f}" if number >= 100 else f"{number:.3g}"
