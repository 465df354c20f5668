"""`bench extract`: how fast pairs are taken from a WARC and its WAT, beside a plain script."""

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Annotated

import typer

MEGABYTE = 1e6


def extract(
    pages: Annotated[int, typer.Option("--pages", min=1, help="Pages of the drawn crawl.")] = 2000,
    files: Annotated[
        list[Path] | None,
        typer.Option("--file", help="Measure this WARC or WAT instead; may be given twice."),
    ] = None,
    runs: Annotated[int, typer.Option("--runs", min=1, help="Runs; the fastest counts.")] = 3,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the drawn crawl.")] = 0,
    without_theirs: Annotated[
        bool, typer.Option("--without-theirs", help="Leave the plain script out: it is slow.")
    ] = False,
) -> None:
    """Compare the CPU time of taking pairs from a crawl with warcio and BeautifulSoup."""
    from pairsieve.jobs.crawl import contestants

    names = [contestants.OURS] if without_theirs else [contestants.OURS, contestants.THEIRS]
    with tempfile.TemporaryDirectory() as folder:
        measured = files or _drawn(Path(folder), pages, seed)
        for file in measured:
            for name in names:
                typer.echo(_line(file, name, runs))


def _drawn(folder: Path, pages: int, seed: int) -> list[Path]:
    """Write a WARC and its WAT; return both."""
    from pairsieve.jobs.bench_data.web_archives import write_warc, write_wat
    from pairsieve.jobs.crawl.drawn_pages import drawn_pages

    drawn = list(drawn_pages(pages, seed))
    warc, wat = folder / "drawn.warc.gz", folder / "drawn.warc.wat.gz"
    with warc.open("wb") as file:
        offsets = write_warc(file, drawn)
    with wat.open("wb") as file:
        write_wat(file, drawn, warc.name, offsets)
    return [wat, warc]


def _line(file: Path, name: str, runs: int) -> str:
    """Return what a contestant has done with a file, as a line."""
    from pairsieve.pipeline.pages.crawl import format_of
    from pairsieve.schemas.errors import BadOption, Stopped

    format = format_of(file.name)
    if format is None or not file.is_file():
        raise BadOption(f"--file: {file}: is no WARC or WAT file")
    best: dict[str, float] = {}
    for _ in range(runs):
        command = [sys.executable, "-m", "pairsieve.jobs.crawl.contestants"]
        done = subprocess.run([*command, name, str(file), format], capture_output=True, text=True)
        if done.returncode:
            raise Stopped(f"bench: {name} failed:\n{done.stderr[-2000:]}")
        told = json.loads(done.stdout.splitlines()[-1])
        best = min(best or told, told, key=lambda each: each["cpu_s"])
    size = file.stat().st_size / MEGABYTE
    rate = size / best["cpu_s"]
    return (
        f"{format:4} {size:7.1f} MB  {name:22} {rate:7.2f} MB/CPU-s "
        f"{best['pairs'] / best['cpu_s']:10,.0f} pairs/CPU-s {best['pairs']:10,.0f} pairs"
    )
