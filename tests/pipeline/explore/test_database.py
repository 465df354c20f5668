from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from tests.pipeline.explore.dataset import PAIRS, SCRIPT, SQL_HOST, Finished, make

from pairsieve.pipeline import select
from pairsieve.pipeline.dataset.paths import select_marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.explore.database import Database, opened
from pairsieve.pipeline.selections import overrides
from pairsieve.schemas.errors import BadOption


@pytest.fixture(scope="module")
def database(finished: Finished) -> Iterator[Database]:
    with opened(finished.store) as opened_:
        yield opened_


def _ask(database: Database, query: str) -> list[dict[str, Any]]:
    _, batches = database.ask(query)
    return [row for batch in batches for row in batch.to_pylist()]


def test_the_ledger_is_whole_and_has_the_verdicts(finished: Finished, database: Database) -> None:
    (found,) = _ask(database, "SELECT count(*) AS n, count(*) FILTER (keep) AS k FROM ledger")
    marker = finished.store.marker(select_marker("default"))
    assert marker
    assert found == {"n": PAIRS, "k": marker.counts["kept"]}


def test_statistics_are_beside_the_ledger(database: Database) -> None:
    rules = [row["rule"] for row in _ask(database, "FROM funnel ORDER BY position")]
    hosts = {row["host"] for row in _ask(database, "FROM hosts")}
    assert database.notes == ()
    assert rules[:3] == ["outcome", "sharpness", "size"]
    assert SQL_HOST in hosts


def test_every_view_and_column_says_what_it_holds(database: Database) -> None:
    query = (
        "SELECT table_name, column_name FROM duckdb_columns() WHERE schema_name = 'main' "
        "AND NOT internal AND comment IS NULL"
    )
    assert _ask(database, query) == []
    assert [name for name, doc in database.views() if not doc] == []
    assert len(database.views()) > 12


WRITES = [
    "COPY (SELECT 1) TO '{0}/new.csv'",
    "COPY (SELECT 1 AS a) TO '{part}' (FORMAT parquet, USE_TMP_FILE false)",
    "EXPLAIN ANALYZE COPY (SELECT 1) TO '{0}/new.csv'",
    "EXPLAIN ANALYZE/**/COPY (SELECT 1) TO '{0}/new.csv'",
    "/* */ EXPLAIN ANALYZE COPY (SELECT 1) TO '{0}/new.csv'",
    "SELECT 1; COPY (SELECT 1) TO '{0}/new.csv'",
    "EXPORT DATABASE '{0}/new'",
    "ATTACH '{0}/new.duckdb'",
    "INSTALL httpfs",
    "LOAD httpfs",
    "SET enable_external_access = true",
    "RESET lock_configuration",
    "PRAGMA enable_profiling",
    "CALL force_checkpoint()",
    "CREATE TABLE t AS SELECT 1",
    "CREATE SECRET (TYPE s3)",
    "DROP VIEW ledger",
    "PREPARE p AS SELECT 1",
    "VACUUM",
]


@pytest.mark.parametrize("query", WRITES)
def test_what_does_more_than_read_is_refused(
    query: str, database: Database, finished: Finished, tmp_path: Path
) -> None:
    part = finished.store.location("gather/00000000.0123456789ab.parquet")
    before = Path(part).read_bytes()
    with pytest.raises(BadOption, match=r"^sql: (\w+ is refused: the dataset is only read|Parser)"):
        database.statements(query.format(tmp_path, part=part))
    assert list(tmp_path.iterdir()) == []
    assert Path(part).read_bytes() == before


READS = [
    "FROM read_text('{0}/secret')",
    "FROM read_blob('{0}/sec*')",
    "FROM glob('{0}/*')",
    "FROM read_csv('{0}/secret')",
    "FROM '{0}/secret.csv'",
    "FROM sniff_csv('{0}/secret')",
    "FROM read_parquet('{0}/secret')",
    "FROM parquet_metadata('{0}/secret')",
    "FROM read_duckdb('{0}/secret')",
    "FROM read_text('{dataset}/plan.json')",
    "FROM read_text('{dataset}/gather/../../recipe.yaml')",
    "FROM read_text('/proc/self/environ')",
    "FROM read_text('http://127.0.0.1:9/')",
    "FROM read_text('s3://bucket/key')",
    "SELECT getenv('HOME')",
    "FROM query('COPY (SELECT 1) TO ''{0}/new''')",
    "FROM database",
    "WITH gone AS (DELETE FROM stats.data.funnel RETURNING *) FROM gone",
]


@pytest.mark.parametrize("query", READS)
def test_nothing_but_the_dataset_can_be_read(
    query: str, database: Database, finished: Finished, tmp_path: Path
) -> None:
    (tmp_path / "secret").write_text("secret")
    (tmp_path / "secret.csv").write_text("a,b\n1,2\n")
    with pytest.raises(BadOption, match="^sql: "):
        _ask(database, query.format(tmp_path, dataset=finished.store.url))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["secret", "secret.csv"]


@pytest.mark.parametrize(
    "query",
    ["EXPLAIN SELECT 1", "explain analyze FROM funnel", "DESCRIBE ledger", "SUMMARIZE funnel",
     "SHOW TABLES", "VALUES (1)"],
)  # fmt: skip
def test_explain_and_what_is_short_for_select_is_answered(query: str, database: Database) -> None:
    assert _ask(database, query)


def test_captions_come_as_they_are(database: Database) -> None:
    assert _ask(database, "SELECT text FROM ledger WHERE row = 7") == [{"text": SCRIPT}]


def test_what_fails_on_the_data_is_told(database: Database) -> None:
    with pytest.raises(BadOption, match="Conversion Error"):
        _ask(database, "SELECT text::INT FROM ledger")


def test_an_unknown_selection_is_refused(finished: Finished) -> None:
    with (
        pytest.raises(BadOption, match="no selection `defualt`; nearest: default|`default`"),
        opened(finished.store, "defualt"),
    ):
        pass


def test_a_running_dataset_without_a_selection_has_its_ledger(
    tmp_path: Path, put_gathered: Any
) -> None:
    store = Store.at(tmp_path)
    put_gathered(store, [{"outcome": "ok"}, {"outcome": "robots"}])
    with opened(store) as database:
        assert _ask(database, "SELECT outcome, keep FROM ledger ORDER BY row") == [
            {"outcome": "ok", "keep": None},
            {"outcome": "robots", "keep": None},
        ]
        assert database.notes == ("No selection was made yet: `keep` and the like are null.",)


def test_a_dataset_in_an_object_store_is_asked_and_nothing_beside_it(
    s3: str, tmp_path: Path, put_gathered: Any
) -> None:
    store = Store.at(f"{s3}/asked")
    put_gathered(store, [{}, {}])
    Store.at(f"{s3}/beside").write("secret", b"secret")
    with opened(store) as database:
        assert _ask(database, "SELECT count(*) AS n FROM ledger") == [{"n": 2}]
        with pytest.raises(BadOption, match="Permission Error"):
            _ask(database, f"FROM read_text('{s3}/beside/secret')")


def test_statistics_count_for_the_ledger_that_they_are_of_alone(tmp_path: Path) -> None:
    made = make(tmp_path, reported=True)
    with opened(made.store) as database:
        assert database.counted
    other = overrides.load(made.file, ["sharpness.min_sharpness=0.9"])
    select.run(other, made.store, Serial(), "default")
    with opened(made.store) as database:
        assert not database.counted
