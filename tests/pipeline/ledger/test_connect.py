"""Connections spill where they may, and leave nothing there."""

from contextlib import suppress
from pathlib import Path

import pyarrow as pa
import pytest

from pairsieve.pipeline.dataset.roles import is_foreign
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.ledger.ledger import connect
from pairsieve.schemas.recipe_scratch import Scratch

LARGE = "CREATE TABLE t AS SELECT range, md5(range::VARCHAR) FROM range(5000000)"


@pytest.mark.parametrize("scratch", [None, "scratch"])
def test_what_does_not_fit_goes_to_the_scratch_folder_else_into_the_dataset(
    tmp_path: Path, scratch: str | None
) -> None:
    for name in ("dataset", "scratch"):
        (tmp_path / name).mkdir()
    little = Scratch(folder=scratch and str(tmp_path / scratch), memory_mb=100)
    store = Store.at(tmp_path / "dataset", little)
    with connect(store, threads=1) as connection:
        connection.execute(LARGE)
        spilled = [path.relative_to(tmp_path) for path in tmp_path.rglob("duckdb_temp*")]
        assert {path.parts[0] for path in spilled} == {scratch or "dataset"}
        assert not any(is_foreign("/".join(path.parts[1:])) for path in spilled)
    assert list(tmp_path.rglob("*/*")) == []


def test_two_connections_do_not_share_a_folder(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    setting = "SELECT current_setting('temp_directory')"
    with connect(store) as one, connect(store) as other:
        assert one.execute(setting).fetchall() != other.execute(setting).fetchall()


SETTINGS = "SELECT current_setting('TimeZone'), current_setting('memory_limit')"
TABLES = "SELECT table_name FROM information_schema.tables"


@pytest.mark.parametrize("fails", [False, True])
def test_nothing_stays_of_what_a_connection_made(tmp_path: Path, fails: bool) -> None:
    little = Store.at(tmp_path, Scratch(memory_mb=200))
    with suppress(ZeroDivisionError), connect(little, threads=1) as connection:
        before = connection.execute(SETTINGS).fetchall()
        connection.execute("CREATE TABLE t AS SELECT 1; CREATE TEMP VIEW v AS FROM t")
        connection.register("registered", pa.table({"a": [1]}))
        connection.execute("SET TimeZone = 'Asia/Tokyo'")
        if fails:
            raise ZeroDivisionError
    with connect(Store.at(tmp_path), threads=1) as connection:
        assert connection.execute(TABLES).fetchall() == []
        assert connection.execute(SETTINGS).fetchall() != before
    with connect(little, threads=1) as connection:
        assert connection.execute(SETTINGS).fetchall() == before


def test_connections_side_by_side_see_nothing_of_each_other(tmp_path: Path) -> None:
    store = Store.at(tmp_path)
    with connect(store) as one, connect(store) as other:
        one.execute("CREATE TABLE t AS SELECT 1")
        assert other.execute(TABLES).fetchall() == []


def test_what_a_reader_holds_that_is_not_at_its_end_harms_no_later_connection(
    tmp_path: Path,
) -> None:
    with connect(Store.at(tmp_path), threads=1) as connection:
        connection.execute("CREATE TEMP TABLE t AS FROM range(1_000_000) r(r)")  # 8 MB
        query = connection.sql("FROM t ORDER BY r DESC LIMIT 5000")
        reader = query.to_arrow_reader(1000)
        assert reader.read_next_batch()["r"][0].as_py() == 999_999
    with connect(Store.at(tmp_path), threads=1) as connection:
        assert connection.execute("SELECT 1").fetchall() == [(1,)]
    del reader, query
    assert list(tmp_path.iterdir()) == []
