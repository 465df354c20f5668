"""A short `bench decide`: that it builds, runs, counts and prints. Nothing depends on time."""

from pathlib import Path

import pytest

from pairsieve.jobs.bench.decide import (
    DATASET,
    NAME,
    NAMES,
    DecideBenchmark,
    bench,
    parse_verbs,
)
from pairsieve.jobs.bench_contestants.our_command import fitting
from pairsieve.jobs.bench_contestants.process_costs import measured
from pairsieve.jobs.bench_data.pool import Pool
from pairsieve.pipeline.dataset.paths import select_marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.schemas.errors import BadOption, Stopped

POOL = Pool(4_000, seed=1, unit=1_000)


def test_every_verb_is_measured_and_the_pool_is_used_again(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    lines: list[str] = []
    bench(DecideBenchmark(POOL, 400, keep=tmp_path / "pool", workers=1), lines.append)
    table = capsys.readouterr().out
    assert [line for line in lines if line.endswith(" ...")] == [
        "drawing 4,000 rows ...", "group ...", "select ...", "reselect ...", "blocklist ...",
        "report ...",
    ]  # fmt: skip
    rows = [line.split("│") for line in table.splitlines() if line.startswith("│")]
    assert "Deciding on 4,000 pairs" in table
    assert [row[1].strip() for row in rows] == list(NAMES)
    assert all(float(row[2]) > 0 and float(row[3]) > 0 for row in rows)
    assert all(float(row[5].replace(",", "")) > 50 for row in rows)  # MB: Python and DuckDB
    marker = Store.at(tmp_path / "pool" / DATASET).marker(select_marker(NAME))
    assert marker
    assert marker.counts["kept"] > 0
    assert all(step["left"] < step["entered"] for step in marker.extra["funnel"])
    lines.clear()
    bench(DecideBenchmark(POOL, 400, ("reselect",), tmp_path / "pool"), lines.append)
    assert lines == ["reselect ..."]
    with pytest.raises(BadOption, match=r"--keep: .* holds another pool"):
        bench(DecideBenchmark(Pool(5_000), 400, keep=tmp_path / "pool"), lines.append)


def test_a_folder_of_somebody_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.txt").write_text("mine")
    with pytest.raises(BadOption, match="holds something else"):
        bench(DecideBenchmark(POOL, 400, keep=tmp_path), print)
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]


def test_an_unknown_verb_is_refused_with_the_nearest() -> None:
    with pytest.raises(BadOption, match="--verbs: `reselct` is not measured.*reselect"):
        parse_verbs("group, reselct")
    assert parse_verbs("report,group") == ("group", "report")


def test_a_command_that_fails_stops_with_its_words(tmp_path: Path) -> None:
    recipe = tmp_path / "recipe.yaml"
    recipe.write_text("input: {path: a.parquet, url: u, text: t}\n")
    with pytest.raises(Stopped, match="no dataset here yet"):
        measured(["select", str(recipe), "--dataset", str(tmp_path / "dataset")])


def test_options_that_a_command_lacks_are_left_out() -> None:
    given = ["group", "r.yaml", "--name", "x", "--workers", "2", "--dataset", "d"]
    assert fitting(given) == ["group", "r.yaml", "--workers", "2", "--dataset", "d"]
