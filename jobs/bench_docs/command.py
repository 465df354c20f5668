"""The command `bench all`."""

from pathlib import Path
from typing import Annotated

import typer

from pairsieve.jobs.bench.commands import Without, img2dataset
from pairsieve.schemas.errors import BadOption, Stopped, nearest


def everything(
    out: Annotated[Path, typer.Option("--out", help="Write what each measures here, as JSON.")],
    fill: Annotated[
        Path | None,
        typer.Option("--fill", help="Write the tables between the marks of this Markdown page."),
    ] = None,
    quick: Annotated[
        bool, typer.Option("--quick", help="Small sizes: minutes, and no figures to quote.")
    ] = False,
    only: Annotated[
        list[str] | None, typer.Option("--only", help="This benchmark; may be given several times.")
    ] = None,
    without: Without = False,
) -> None:
    """Run the benchmarks one after the other; nothing else should run on the machine."""
    from pairsieve.jobs.bench_docs import fill as pages
    from pairsieve.jobs.bench_docs import runs

    for name in only or ():
        if name not in runs.NAMES:
            raise BadOption(f"--only: there is no benchmark `{name}`; {nearest(name, runs.NAMES)}")
    if fill and not fill.is_file():
        raise BadOption(f"--fill: {fill} does not exist")
    page = pages.fill(fill.read_text("utf-8"), {}) if fill else ""
    chosen = [bench for bench in runs.BENCHES if not only or bench.name in only]
    if any(bench.compares for bench in chosen):
        img2dataset(None, without)
    out.mkdir(parents=True, exist_ok=True)
    measured, failed = {}, []
    for bench in chosen:
        arguments = runs.words(bench, quick, without)
        typer.echo(f"bench {' '.join(arguments)} ...")
        try:
            measured[bench.name] = runs.run(bench, out, arguments)
        except Stopped as error:
            failed.append(bench.name)
            typer.echo(str(error), err=True)
        else:
            typer.echo(measured[bench.name].text)
        if fill:
            fill.write_text(pages.fill(page, measured), "utf-8")
    if failed:
        raise Stopped(f"bench all: {', '.join(failed)} failed; what the others measured is there")
