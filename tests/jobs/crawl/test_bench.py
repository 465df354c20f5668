"""That the benchmark of crawls measures both contestants; nothing here depends on time."""

import gzip
import re
from pathlib import Path

from typer.testing import CliRunner

from pairsieve.jobs.bench_data.web_archives import write_warc
from pairsieve.jobs.cli import app
from pairsieve.jobs.crawl.contestants import OURS, THEIRS
from pairsieve.jobs.crawl.drawn_pages import IMAGES, drawn_pages

LINE = re.compile(
    r"(wat|warc) .* MB  (.{22}) +[0-9.]+ MB/CPU-s +[0-9,]+ pairs/CPU-s +([0-9,]+) pairs"
)


def printed(*words: str) -> list[tuple[str, str, int]]:
    done = CliRunner().invoke(app, ["bench", "extract", "--runs", "1", *words])
    assert done.exit_code == 0, done.output
    found = [LINE.fullmatch(line) for line in done.output.splitlines()]
    return [(m[1], m[2].strip(), int(m[3].replace(",", ""))) for m in found if m]


def test_both_are_measured_and_find_the_same_images_with_a_text() -> None:
    lines = printed("--pages", "4")
    assert [line[:2] for line in lines] == [
        *(("wat", OURS), ("wat", THEIRS)),
        *(("warc", OURS), ("warc", THEIRS)),
    ]
    ours, theirs, ours_of_warc, theirs_of_warc = (pairs for _, _, pairs in lines)
    assert ours == ours_of_warc == theirs + 4  # the `og:image` of four pages
    assert theirs == theirs_of_warc
    assert 0 < theirs <= 4 * IMAGES


def test_a_file_of_ones_own_is_measured(tmp_path: Path) -> None:
    path = tmp_path / "x.warc.gz"
    with path.open("wb") as file:
        write_warc(file, drawn_pages(1, 0))
    assert gzip.decompress(path.read_bytes())
    lines = printed("--file", str(path), "--without-theirs")
    assert [line[:2] for line in lines] == [("warc", OURS)]


def test_another_file_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["bench", "extract", "--file", str(tmp_path / "x.txt")])
    assert "x.txt: is no WARC or WAT file" in str(done.exception)
