"""`pairsieve extract`: the command, and what it prints."""

import time
from typing import TYPE_CHECKING, Annotated

import typer

from pairsieve.jobs import log
from pairsieve.jobs.cli_options import Address, AsJson, EngineKind, Kind, Workers
from pairsieve.schemas.recipe_pages import Pages

if TYPE_CHECKING:
    from pairsieve.pipeline.dataset.marker import Marker
    from pairsieve.pipeline.extract import Summary

COMMON_CRAWL = "https://data.commoncrawl.org/"
SAID_EVERY_S = 10
DEFAULT = Pages()
FORMATS = ("auto", "warc", "wat")
STEPS = {  # of an extraction, in plain words
    "found": "read",
    "repeats": "compared",
    "hosts": "counted by host",
    "over_host": "limited",
    "written": "written",
}


def extract(
    sources: Annotated[
        list[str],
        typer.Argument(
            metavar="SOURCE",
            help="WARC or WAT: file, folder, glob, s3://, http(s):// or a list such as "
            "wat.paths.gz.",
        ),
    ],
    out: Annotated[str, typer.Option("--out", help="Folder or URL for the pairs, as Parquet.")],
    format: Annotated[
        str, typer.Option("--format", help="`warc` or `wat`; `auto` tells it from the names.")
    ] = "auto",
    prefix: Annotated[
        str, typer.Option("--prefix", help="What the paths in a list come behind.")
    ] = COMMON_CRAWL,
    max_per_page: Annotated[
        int, typer.Option("--max-per-page", min=1, max=100_000, help="Most pairs of one page.")
    ] = DEFAULT.max_per_page,
    max_per_host: Annotated[
        int | None,
        typer.Option("--max-per-host", min=1, help="Most pairs of all pages of one host."),
    ] = None,
    context_words: Annotated[
        int,
        typer.Option(
            "--context-words", min=0, max=1000, help="Words before and after an image; WARC alone."
        ),
    ] = DEFAULT.context_words,
    min_side_px: Annotated[
        int,
        typer.Option("--min-side-px", min=0, help="Size attributes below this are boilerplate."),
    ] = DEFAULT.min_side_px,
    keep_boilerplate: Annotated[
        bool, typer.Option("--keep-boilerplate", help="Keep logos, pixels and sprites too.")
    ] = False,
    engine: Kind = EngineKind.AUTO,
    workers: Workers = None,
    ray_address: Address = None,
    as_json: AsJson = False,
) -> None:
    """Take the pairs from the pages of a crawl, each once, as Parquet for a recipe's input."""
    from pairsieve.jobs.job import EngineChoice, opened
    from pairsieve.pipeline import extract
    from pairsieve.pipeline.dataset.store import Store
    from pairsieve.pipeline.extraction import sources as named

    options = Pages(
        max_per_page=max_per_page,
        context_words=context_words,
        min_side_px=min_side_px,
        boilerplate="keep" if keep_boilerplate else "drop",
    )
    files = named.listed(sources, _format(format), prefix)
    store, choice = Store.at(out), EngineChoice(engine.value, workers, ray_address)
    extract.check(files, store, options, max_per_host)
    with opened(choice, store) as running:
        said = _Progress(len(files))
        summary = extract.run(files, store, running, options, max_per_host, said, log.note)
    _print(summary, store.url, as_json)


def _format(name: str) -> str | None:
    """Return the format that is named, None for `auto`."""
    from pairsieve.schemas.errors import BadOption, nearest

    if name not in FORMATS:
        raise BadOption(f"--format: unknown format `{name}`; {nearest(name, [*FORMATS])}")
    return None if name == "auto" else name


class _Progress:
    """Says now and then how far the work is."""

    def __init__(self, files: int) -> None:
        self._files = files
        self._done: dict[str, int] = {}
        self._pairs = 0
        self._said = time.monotonic()

    def __call__(self, step: str, marker: "Marker") -> None:
        self._done[step] = self._done.get(step, 0) + 1
        self._pairs += marker.rows if step == "found" else 0
        if time.monotonic() - self._said >= SAID_EVERY_S:
            self._said = time.monotonic()
            done = f"{self._done[step]:,} of {self._files:,} files {STEPS[step]}"
            log.note(f"{done}; {self._pairs:,} pairs")


def _print(summary: "Summary", out: str, as_json: bool) -> None:
    """Print what was found, and what was left out."""
    import json
    from dataclasses import asdict

    if as_json:
        typer.echo(json.dumps(asdict(summary), indent=1))
        return
    typer.echo(f"{summary.pairs:,} pairs of {summary.pages:,} pages in {summary.files:,} files")
    for reason, count in summary.left_out.items():
        typer.echo(f"  {count:>12,}  images left out: {reason}")
    for reason, count in summary.bad.items():
        typer.echo(f"  {count:>12,}  bad records: {reason}")
    for location, offset, reason in summary.examples:
        typer.echo(f"  {reason} in {location} at byte {offset:,}")
    typer.echo(f"For a recipe: `input: {{path: {out}/*.parquet}}`")
