"""That the benchmark of texts measures all of them; nothing here depends on time."""

from pathlib import Path

import pytest
from typer.testing import CliRunner

from pairsieve.filters import FILTERS
from pairsieve.filters.base import name_of
from pairsieve.filters.order import ordered
from pairsieve.jobs.bench.commands import bench
from pairsieve.jobs.bench.text import made_up
from pairsieve.jobs.bench_contestants.our_text_counts import WHAT

CAPTIONS = (
    "a dog in the snow\thttp://a\nphoto of a dog.JPG\thttp://b\na red bus\tx\nzwei rote Busse\tx\n"
)
LABELLED = (
    "language\tkind\ttext\nen\tsentence\ta small brown dog runs\nde\tsentence\tein Hund läuft\n"
)


@pytest.fixture(scope="module")
def printed(tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    folder = tmp_path_factory.mktemp("texts")
    (folder / "c.tsv").write_text(CAPTIONS)
    (folder / "l.tsv").write_text(LABELLED, encoding="utf-8")
    files = ("--captions", str(folder / "c.tsv"), "--labelled", str(folder / "l.tsv"))
    pool = ("--pool", "300", "--entries", "50")
    done = CliRunner().invoke(bench, ["text", "--generated", "20", *pool, *files])
    assert done.exit_code == 0, done.output
    return done.output.splitlines()


def test_every_measure_of_texts_is_measured(printed: list[str]) -> None:
    models = {"text_classifier", "caption_perplexity"}
    names = {name_of(type(one)) for one in ordered(FILTERS).text} - models
    measured = [line.split()[0] for line in printed if line.startswith("  ") and "us" not in line]
    assert names <= set(measured)
    assert all(measured.count(name) == 2 for name in names)


def test_what_default_rules_drop_is_told(printed: list[str]) -> None:
    start = next(n for n, line in enumerate(printed) if line.startswith("c.tsv: 4 captions"))
    dropped = {line.split()[0]: line.split()[-1] for line in printed[start:]}
    assert dropped["caption_quality"] == "25.00%"
    assert dropped["language"] == "25.00%"
    assert dropped["personal_data"] == "0.00%"


def test_labels_of_languages_are_compared(printed: list[str]) -> None:
    assert printed[-8] == "l.tsv: 2 texts in 2 languages"
    said = "sentence 2 100.0% right, [en] lets in 0.0% of 1 others"
    assert " ".join(printed[-7].split()) == said


def test_what_is_counted_over_a_pool_is_told(printed: list[str]) -> None:
    assert printed[-6] == "pool of 300 drawn captions"
    names = [line.split("  ")[1] for line in printed[-5:]]
    assert names == [WHAT[0], "50 entries", *WHAT[2:]]
    assert all("CPU-s" in line and line.endswith(" MB") for line in printed[-5:])


def test_one_count_alone_may_be_asked_for() -> None:
    arguments = ["text", "--generated", "1", "--pool", "20", "--only"]
    output = CliRunner().invoke(bench, [*arguments, "rare words"]).output
    assert [line.split("  ")[1] for line in output.splitlines() if " MB" in line] == ["rare words"]
    refused = CliRunner().invoke(bench, [*arguments, "words"])
    assert str(refused.exception) == (
        "--only: nothing that is counted is called `words`; "
        f"known: {', '.join(WHAT)}; did you mean `rare words`?"
    )


def test_captions_are_made_up_the_same_every_time() -> None:
    assert made_up(3, 1) == made_up(3, 1)
    assert len(set(made_up(9, 1) + made_up(9, 2))) == 18


def test_a_half_is_the_same_half_every_time(tmp_path: Path) -> None:
    (tmp_path / "c.txt").write_text("\n".join(f"caption number {n}" for n in range(40)))
    counts = []
    for half in ("0", "1"):
        arguments = ["text", "--generated", "1", "--pool", "0"]
        arguments += ["--captions", str(tmp_path / "c.txt")]
        output = CliRunner().invoke(bench, [*arguments, "--half", half]).output
        counts += [int(line.split()[1]) for line in output.splitlines() if "c.txt:" in line]
    assert sum(counts) == 40
    assert min(counts) > 5
