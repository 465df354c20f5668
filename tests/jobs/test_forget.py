"""The command `forget`: what it counts, what it says, and that the pair is gone."""

from pathlib import Path

import pytest
from tests.input_tar import gradient, put_samples
from tests.jobs.conftest import command

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.run import run
from pairsieve.schemas.recipe import Recipe

SERIAL = ("--engine", "serial")


@pytest.fixture
def dataset(tmp_path: Path) -> Path:
    """Three pairs in one shard."""
    samples = {number: (gradient(37 * number), f"text {number}") for number in range(3)}
    put_samples(tmp_path / "in.tar", samples)
    recipe = Recipe.model_validate({"input": {"path": str(tmp_path / "in.tar")}})
    store = Store.at(tmp_path / "out")
    run(recipe, store, Serial(), "default", lambda stage, marker, new=True: None)
    return tmp_path / "out"


def ledger(dataset: Path) -> list[tuple[str, str, str | None]]:
    """Return uid, outcome and detail of each pair."""
    store = Store.at(dataset)
    with connect(store) as connection:
        attach(connection, store)
        query = "SELECT uid, outcome, detail FROM ledger ORDER BY row"
        found: list[tuple[str, str, str | None]] = connection.execute(query).fetchall()
    return found


def test_a_dry_run_counts_and_the_command_takes_out(dataset: Path, tmp_path: Path) -> None:
    uids = [uid for uid, _, _ in ledger(dataset)]
    dry = command("forget", dataset, "--uid", uids[0], "--dry-run", *SERIAL)
    assert (dry.returncode, dry.stdout.count("would take out 1 pair, 1 of them")) == (0, 1), (
        dry.stderr
    )
    assert [outcome for _, outcome, _ in ledger(dataset)] == ["ok"] * 3
    (tmp_path / "list.txt").write_text(f"# wishes\nuid {uids[1]}\n")
    named = ("--uid", uids[0], "--list", tmp_path / "list.txt", "--reason", "asked for")
    done = command("forget", dataset, *named, *SERIAL)
    assert done.returncode == 0, done.stderr
    assert "2 pairs" in done.stdout
    assert "forgotten/0001.json" in done.stdout
    assert ledger(dataset) == [
        (uids[0], "forgotten", "asked for"),
        (uids[1], "forgotten", "asked for"),
        (uids[2], "ok", None),
    ]
    sizes = (dataset / "shards/default/sizes.json").read_text()
    assert sizes == '{\n "00000.tar": 1\n}'
    again = command("forget", dataset, *named, *SERIAL)
    assert "0 pairs" in again.stdout
