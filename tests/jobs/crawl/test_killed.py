"""`pairsieve extract` killed in the middle of a task."""

import subprocess
import sys
import time
from pathlib import Path

from pairsieve.jobs.bench_data.web_archives import write_warc
from pairsieve.jobs.crawl.drawn_pages import drawn_pages

MAIN = "from pairsieve.jobs.cli import main; main()"
PAGES = 30


def command(crawl: Path, out: Path) -> list[str]:
    words = ["extract", str(crawl), "--out", str(out), "--engine", "serial", "--max-per-host", "50"]
    return [sys.executable, "-c", MAIN, *words]


def contents(out: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in out.glob("*.parquet")}


def test_killed_in_a_task_the_same_command_ends_with_the_same_bytes(tmp_path: Path) -> None:
    crawl, out = tmp_path / "crawl", tmp_path / "pairs"
    crawl.mkdir()
    pages = list(drawn_pages(3 * PAGES, 0))
    for number in range(3):
        with (crawl / f"{number}.warc.gz").open("wb") as file:
            write_warc(file, pages[number::3])
    process = subprocess.Popen(command(crawl, out), stderr=subprocess.DEVNULL)
    while process.poll() is None and not list((out / "_extract").glob("found/*.json")):
        time.sleep(0.001)
    process.kill()
    assert process.wait() < 0, "it was done before it could be killed"
    assert contents(out) == {}
    for folder in (out, tmp_path / "whole"):
        subprocess.run(command(crawl, folder), check=True, capture_output=True)
    assert contents(out) == contents(tmp_path / "whole")
    assert len(contents(out)) == 3
