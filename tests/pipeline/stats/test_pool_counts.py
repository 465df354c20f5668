"""Counts of blocks, added up, are those of one DuckDB over the whole ledger."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import duckdb
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from tests.repetition import repeated

from pairsieve.pipeline import report
from pairsieve.pipeline.dataset.paths import report_page, stats_file
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine, Serial
from pairsieve.pipeline.fetch import request_rates
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.stats import copied_rows
from pairsieve.pipeline.stats.copied_rows import FETCHED
from pairsieve.pipeline.stats.merged_counts import HOSTS_PAIRED
from pairsieve.schemas.recipe import Recipe

PutPool = Callable[..., None]
Tables = dict[str, list[tuple[Any, ...]]]

PAIRS = st.lists(
    st.fixed_dictionaries(
        {
            "outcome": st.sampled_from(["ok", "ok", "ok", "dns", "http_4xx", "robots"]),
            "status": st.sampled_from([None, 200, 404]),
            "host": st.sampled_from([None, "a.example", "b.example", "c.example"]),
            "second": st.one_of(st.none(), st.integers(1, 90), st.integers(1, 100_000)),
            "language": st.sampled_from([None, "en", "zh"]),
            "score": st.sampled_from([None, 0.0, 0.25, 0.5, 1.0, float("nan"), float("inf")]),
            "width": st.one_of(st.none(), st.integers(0, 4)),
            "image": st.integers(0, 6),
            "file": st.integers(0, 3),
        }
    ),
    min_size=1,
    max_size=35,
)
STEPS_S = (1, 5, 10, 30, 60, 300, 600, 1800, 3600, 10_800, 21_600, 86_400, 604_800)
STEPS = f"(SELECT unnest({list(STEPS_S)}))"
SAMPLED = ("ledger", "fetches")  # views over rows that are copied
SPENT = ", ".join(
    f"coalesce(sum({name}), 0)::BIGINT AS {name}"
    for name in ("fetch_bytes", "fetch_ms", "attempts")
)
# View -> what it must hold, by one query over the whole ledger.
WHOLE = {
    "ledger": "FROM ledger",
    "fetches": "SELECT {f} FROM ledger UNION ALL SELECT {f} FROM superseded",
    "outcomes": "SELECT outcome, count(*) FROM ledger GROUP BY ALL",
    "hosts": "SELECT host, count(*), count(*) FILTER (outcome = 'ok'), count(*) FILTER (keep), "
    f"{SPENT}, count(*) FILTER (outcome = 'robots'), count(*) FILTER (keep) * 1e6 / "
    "nullif(coalesce(sum(fetch_bytes), 0), 0) FROM ledger GROUP BY ALL",
    "host_outcomes": "SELECT host, outcome, count(*) FROM ledger GROUP BY ALL",
    "host_answers": "SELECT host, outcome, http_status, count(*), count(*) FILTER (keep), "
    f"{SPENT} FROM ledger GROUP BY ALL",
    "statuses": "SELECT http_status, count(*) FROM ledger WHERE http_status IS NOT NULL "
    "GROUP BY ALL",
    "outcomes_over_time": "SELECT epoch_ms(epoch_ms(fetched_at) // (s * 1000) * s * 1000), s, "
    "outcome, http_status, count(*) FROM ledger, (SELECT coalesce(min(s) FILTER (s * 59 > span), "
    f"max(s)) AS s FROM {STEPS} AS steps(s), (SELECT (max(epoch_ms(fetched_at)) - "
    "min(epoch_ms(fetched_at))) / 1000 AS span FROM ledger)) "
    "WHERE fetched_at IS NOT NULL GROUP BY ALL",
    "politeness": request_rates.PER_HOST,
    "languages": "SELECT language, count(*), count(*) FILTER (keep) FROM ledger GROUP BY ALL",
    "duplicates": "SELECT cluster, count(*), count(*) FILTER (keep), count(DISTINCT sha256), "
    "max(duplicate_distance), count(DISTINCT host) FROM ledger WHERE cluster IS NOT NULL "
    "GROUP BY cluster HAVING count(*) > 1",
    "hosts_sharing": "SELECT one.host, other.host, count(DISTINCT cluster), "
    "(count(DISTINCT one.row) + count(DISTINCT other.row))::BIGINT, "
    "(count(DISTINCT one.row) FILTER (one.keep) + count(DISTINCT other.row) "
    "FILTER (other.keep))::BIGINT FROM ledger AS one JOIN ledger AS other USING (cluster) "
    "WHERE one.host < other.host GROUP BY ALL",
    "cluster_sizes": "SELECT n, count(*), sum(kept)::BIGINT FROM (SELECT count(*) AS n, "
    "count(*) FILTER (keep) AS kept FROM ledger WHERE cluster IS NOT NULL GROUP BY cluster) "
    "WHERE n > 1 GROUP BY n",
    "evaluation_sets": "SELECT eval_set, count(*), count(eval_distance), max(eval_overlap), "
    "count(*) FILTER (keep) FROM ledger WHERE eval_set IS NOT NULL GROUP BY ALL",
}


def counted(store: Store) -> Tables:
    """Return the content of every view that is compared, and of the histograms, sorted."""
    with duckdb.connect(store.location(stats_file("default")), read_only=True) as connection:
        connection.execute("SET TimeZone = 'UTC'")
        views = (*WHOLE, "measures", "histograms", "ledger_extent", "funnel")
        return {view: _sorted(connection, f"FROM {view}") for view in views}


def whole(store: Store, condition: str = "true") -> Tables:
    """Return the same of one DuckDB over the whole ledger, of the rows of a condition."""
    with connect(store) as connection:
        attach(connection, store, {}, "default")
        request_rates.attach(connection, store)
        fetched = ", ".join(FETCHED)
        found = {}
        for view, query in WHOLE.items():
            where = f" WHERE {condition}" if view in SAMPLED else ""
            query = f"FROM ({query.format(f=fetched)}){where}"
            found[view] = _sorted(connection, query)
        return found


def _sorted(connection: duckdb.DuckDBPyConnection, query: str) -> list[tuple[Any, ...]]:
    table = connection.sql(query).to_arrow_table()
    return sorted((tuple(row.values()) for row in table.to_pylist()), key=repr)


@settings(max_examples=repeated(4, 15), deadline=None, phases=(Phase.generate,))
@given(PAIRS, st.booleans(), st.integers(1, 7))
def test_counts_of_blocks_are_those_of_the_whole(
    tmp_path_factory: pytest.TempPathFactory,
    put_pool: PutPool,
    recipe: Recipe,
    pool: list[dict[str, Any]],
    retried: bool,
    units: int,
) -> None:
    store = Store.at(tmp_path_factory.mktemp("pool"))
    put_pool(store, pool, retried)
    report.run(recipe, store, Serial(), "default", units)
    found = counted(store)
    assert {view: repr(found[view]) for view in WHOLE} == {
        view: repr(rows) for view, rows in whole(store).items()
    }
    _check_numbers(store, found)


def _check_numbers(store: Store, found: Tables) -> None:
    """Compare measures and histograms with the values."""
    for name in ("width", "sharpness"):
        with connect(store) as connection:
            attach(connection, store, {}, "default")
            query = f"SELECT {name}, keep FROM ledger WHERE isfinite({name}::DOUBLE)"
            values = connection.execute(query).fetchall()
        bins = sorted(row for row in found["histograms"] if row[0] == name)
        (measure,) = (row for row in found["measures"] if row[0] == name)
        assert measure[3] == len(values) == sum(bin[4] for bin in bins)
        for _, _, low, high, pairs, kept in bins:
            inside = [keep for v, keep in values if low <= v < high or v == high == bins[-1][3]]
            assert (pairs, kept) == (len(inside), sum(inside))


POOL = [
    {
        "outcome": "dns" if row % 7 == 3 else "ok",
        "status": None if row % 7 == 3 else 200,
        "host": f"{'abc'[row % 3]}.example",
        "second": 1 + 10 * row,
        "language": "en",
        "score": row / 40,
        "width": row % 5,
        "image": row % 9,
        "file": row % 4,
    }
    for row in range(33)
]


@pytest.fixture(scope="module")
def selected(tmp_path_factory: pytest.TempPathFactory, put_pool: PutPool) -> Path:
    """A dataset whose selection is made."""
    folder = tmp_path_factory.mktemp("selected") / "dataset"
    put_pool(Store.at(folder), POOL, True)
    return folder


@pytest.fixture
def store(tmp_path: Path, selected: Path) -> Store:
    """A copy of it, on which to report."""
    return Store.at(shutil.copytree(selected, tmp_path / "dataset"))


def made(store: Store) -> tuple[Tables, bytes]:
    return counted(store), store.read(report_page("default"))


def test_ray_counts_as_serial_does(store: Store, ray: Engine, recipe: Recipe) -> None:
    report.run(recipe, store, Serial(), "default", 2)
    serial = made(store)
    report.run(recipe, store, ray, "default", 2)
    assert made(store) == serial


def test_a_killed_report_ends_in_the_same(
    store: Store, recipe: Recipe, dying: Callable[[int], Engine], tmp_path: Path
) -> None:
    assert store.local
    undisturbed = Store.at(shutil.copytree(store.local, tmp_path / "undisturbed"))
    report.run(recipe, undisturbed, Serial(), "default", 2)
    committed = []
    for _ in range(7):  # of the bins, four blocks, the hosts and the clusters
        with pytest.raises(KeyboardInterrupt):
            report.run(recipe, store, dying(1), "default", 2)
        markers = [path for path, _, _ in store.list("report") if path.endswith(".json")]
        committed.append(len(markers))
    report.run(recipe, store, Serial(), "default", 2)
    assert committed == [1, 2, 3, 4, 5, 6, 7]
    assert made(store) == made(undisturbed)
    left = {path for path, _, _ in store.list("report")}
    assert left == {stats_file("default"), report_page("default")}


def test_tables_of_a_killed_report_that_are_damaged_are_made_again(
    store: Store, recipe: Recipe, dying: Callable[[int], Engine]
) -> None:
    report.run(recipe, store, Serial(), "default", 2)
    undisturbed = made(store)
    with pytest.raises(KeyboardInterrupt):
        report.run(recipe, store, dying(7), "default", 2)
    for table in ("answers", "rows", "merged", "sizes"):
        paths = (path for path, _, _ in store.list("report"))
        damaged = next(path for path in paths if path.endswith(f".{table}.parquet"))
        body = store.read(damaged)
        store.write(damaged, body[:9] + bytes([body[9] ^ 1]) + body[10:])
    report.run(recipe, store, Serial(), "default", 2)
    assert made(store) == undisturbed


def sample_of(recipe: Recipe, rows: int) -> Recipe:
    """Return the recipe with which a ledger of more than so many rows is not copied whole."""
    less = recipe.report.model_copy(update={"ledger_rows": rows})
    return recipe.model_copy(update={"report": less})


@pytest.mark.parametrize("units", [1, 2])
def test_a_sample_is_what_its_condition_says(
    store: Store, recipe: Recipe, monkeypatch: pytest.MonkeyPatch, units: int
) -> None:
    monkeypatch.setattr(copied_rows, "STRETCH_ROWS", 3)
    monkeypatch.setattr(copied_rows, "STRETCHES", 5)
    report.run(sample_of(recipe, 13), store, Serial(), "default", units)
    found = counted(store)
    ((pairs, rows, _, condition),) = found["ledger_extent"]
    assert (pairs, rows, condition[:14]) == (33, len(found["ledger"]), "row // 3 % 2 =")
    assert 0 < rows < 18
    everything = whole(store, condition)
    assert {view: repr(found[view]) for view in SAMPLED} == {
        view: repr(everything[view]) for view in SAMPLED
    }


def test_a_sample_comes_from_some_hundred_stretches_of_rows() -> None:
    assert copied_rows.sampled(1_000_000, 1_000_000, 7) is None
    quarter = 2**62
    assert copied_rows.sampled(800_000, 700_000, 7) == f"md5_number_lower(uid || '7') < {quarter}"
    # Of 1,600 stretches every 16th: a million pairs, of which a fifth is drawn.
    assert copied_rows.sampled(16_000_000, 1_000_000, 7) == (
        f"row // 10000 % 16 = 0 AND md5_number_lower(uid || '7') < {int(0.2 * 2**64)}"
    )


def test_of_a_large_ledger_a_sample_is_copied_and_all_is_counted(
    store: Store, recipe: Recipe
) -> None:
    report.run(recipe, store, Serial(), "default", 2)
    everything = counted(store)
    little = sample_of(recipe, 16)
    samples = []
    for units in (1, 3):
        report.run(little, store, Serial(), "default", units)
        samples.append(counted(store))
    assert samples[0] == samples[1]
    assert b"is a sample of the pairs" in store.read(report_page("default"))
    rows = samples[0]["ledger"]
    assert 0 < len(rows) < 33
    assert set(map(repr, rows)) < set(map(repr, everything["ledger"]))
    assert samples[0]["ledger_extent"][0][:3] == (33, len(rows), False)
    exact = everything.keys() - {"ledger", "fetches", "ledger_extent"}
    assert {view: samples[0][view] for view in exact} == {view: everything[view] for view in exact}


def test_of_an_image_that_many_hosts_have_those_with_most_pairs_share_it(
    tmp_path: Path, put_pool: PutPool, recipe: Recipe
) -> None:
    pair = {"outcome": "ok", "status": 200, "second": None, "language": None, "score": None}
    hosts = [f"{n:02d}.example" for n in range(HOSTS_PAIRED + 1) for _ in range(1 + (n > 0))]
    pool = [pair | {"host": host, "width": 1, "image": 1, "file": 0} for host in hosts]
    store = Store.at(tmp_path)
    put_pool(store, pool, False)
    report.run(recipe, store, Serial(), "default")
    sharing = counted(store)["hosts_sharing"]
    assert len(sharing) == HOSTS_PAIRED * (HOSTS_PAIRED - 1) // 2
    assert sharing[0][:4] == ("01.example", "02.example", 1, 4)
