"""What `pairsieve verify` prints: a line for each thing that is wrong, and what was read."""

from shlex import quote

import typer

from pairsieve.jobs.console import printable
from pairsieve.jobs.job import EngineChoice, opened
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.integrity.checksums import Finding
from pairsieve.pipeline.integrity.repair import again
from pairsieve.pipeline.integrity.repair import repair as repaired
from pairsieve.pipeline.verify import run


def verify(
    store: Store,
    shards: str | None,
    decode: bool,
    repair: bool,
    engine: EngineChoice,
) -> list[Finding]:
    """Verify, print as it goes, repair what can be; return what was found.

    What makes a thing again is said by who does it: here, or with `repair` by what was done.
    """
    findings: list[Finding] = []
    files = size = 0
    with opened(engine, store) as running:
        for checked in run(store, running, shards, decode):
            files, size = files + checked.files, size + checked.bytes
            for finding in checked.findings:
                findings.append(finding)
                remedy = "" if repair else f"; {again(finding)}"
                typer.echo(_line(f"{finding.path}: {finding.wrong}{remedy}"))
    wrong = "1 thing is" if len(findings) == 1 else f"{len(findings):,} things are"
    typer.echo(f"{files:,} files, {size:,} bytes read; {wrong} wrong")
    if findings and not repair:
        typer.echo(_line(f"`pairsieve verify {quote(store.url)} --repair` deletes such markers"))
    for sentence in repaired(store, findings) if repair else ():
        typer.echo(_line(sentence))
    return findings


def _line(text: str) -> str:
    """Return text of which a name from outside may be a part, fit for a terminal."""
    return "".join(map(printable, text))
