"""The pool in blocks: what tasks decide of blocks is what one DuckDB decides of the whole."""

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tests.repetition import repeated

from pairsieve.pipeline import select
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.ledger import group_ranks, ranks
from pairsieve.pipeline.ledger.files import blocks, ledger_files
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.ledger.ranks import Key, first_of_share, literal
from pairsieve.schemas.columns import GATHERED, arrow_schema
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

UNIT = 5  # rows
SCORES = st.one_of(
    st.none(),
    st.sampled_from([0.0, -0.0, 0.25, 0.5, 1.0, math.inf, -math.inf, math.nan, 1e-45]),
    st.floats(width=32),
)
ROWS = st.lists(
    st.tuples(
        SCORES,
        st.sampled_from(["ok", "ok", "ok", "gated", "dns"]),
        st.one_of(st.none(), st.integers(0, 4)),
        st.integers(0, 5),
    ),
    min_size=1,
    max_size=40,
)


def put(store: Store, rows: list[tuple[Any, ...]], retried: bool) -> None:
    """Commit units of `UNIT` rows; of each, the first is fetched again if `retried`."""
    filled = [
        {
            "row": row,
            "uid": f"{uid:032x}",
            "url": "u",
            "text": "t",
            "retry_layer": 0,
            "outcome": outcome,
            "sharpness": score,
            "width": width,
        }
        for row, (score, outcome, width, uid) in enumerate(rows)
    ]
    for unit, start in enumerate(range(0, len(filled), UNIT)):
        part = filled[start : start + UNIT]
        layers = [(f"{unit:08d}", part)]
        if retried:
            again = part[0] | {"retry_layer": 1, "outcome": "ok", "width": 3}
            layers.append((f"{unit:08d}.r1", [again]))
        for name, table in layers:
            path = f"gather/{name}.000000000000.parquet"
            with store.writer(path) as sink:
                pq.write_table(pa.Table.from_pylist(table, arrow_schema(GATHERED)), sink)
            marker = Marker(len(table), {path: sink.entry()}, {})
            commit(store, f"gather/{name}.json", marker)


def recipe(fraction: float) -> Recipe:
    keep: list[dict[str, Any]] = [
        {"where": "width > 1", "name": "wide"},
        {"top_fraction": fraction, "of": "sharpness", "name": "sharp"},
        {"where": "uid >= '00000000000000000000000000000002'", "name": "late"},
    ]
    return Recipe.model_validate({"input": {"path": "p"}, "keep": keep})


def judged(store: Store, name: str) -> list[Any]:
    with connect(store) as connection:
        attach(connection, store, selection=name)
        return connection.execute(
            "SELECT row, keep, first_failing, failing FROM ledger ORDER BY row"
        ).fetchall()


@settings(max_examples=repeated(12, 40), deadline=None)
@given(
    rows=ROWS,
    fraction=st.sampled_from([0.01, 0.3, 0.5, 1.0]),
    units=st.integers(1, 7),
    retried=st.booleans(),
)
def test_any_blocks_judge_as_one_query_over_the_whole(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[Any, ...]],
    fraction: float,
    units: int,
    retried: bool,
) -> None:
    store = Store.at(tmp_path_factory.mktemp("pool") / "dataset")
    put(store, rows, retried)
    marker = select.run(recipe(fraction), store, Serial(), "blocks", units)
    assert len(marker.files) == math.ceil(math.ceil(len(rows) / UNIT) / units)
    with connect(store) as connection:
        attach(connection, store)
        expected = connection.execute(
            f"""
            WITH scored AS MATERIALIZED (FROM ledger), answers AS (
                SELECT row, outcome NOT IN ('ok', 'gated') AS failed, outcome = 'gated' AS gated,
                       NOT coalesce(width > 1, false) AS narrow,
                       score IS NULL OR row_number() OVER (
                           ORDER BY score DESC NULLS LAST, uid, row
                       ) > ceil({fraction!r} * count(score) OVER ()) AS blurred,
                       uid < '00000000000000000000000000000002' AS early
                FROM (SELECT *, nullif(sharpness, 'nan'::FLOAT) AS score FROM scored)
            )
            SELECT row, CASE WHEN failed THEN [] ELSE list_filter([
                CASE WHEN narrow AND NOT gated THEN 'wide' END,
                CASE WHEN blurred AND NOT gated THEN 'sharp' END,
                CASE WHEN early THEN 'late' END,
                CASE WHEN gated THEN 'gated' END
            ], lambda rule: rule IS NOT NULL) END AS failing, failed
            FROM answers ORDER BY row
            """
        ).fetchall()
    assert judged(store, "blocks") == [
        (row, not failing and not failed, failing[0] if failing else None, failing)
        for row, failing, failed in expected
    ]
    kept = sum(not failing and not failed for _, failing, failed in expected)
    assert (marker.counts["kept"], marker.rows) == (kept, len(rows))


VALUES = st.one_of(
    st.lists(st.floats(width=32, allow_nan=False) | st.none(), min_size=1, max_size=60),
    st.lists(st.integers(-(2**63), 2**63 - 1) | st.none(), min_size=1, max_size=60),
    st.lists(st.sampled_from(["", "a", "b'", "\u00e9", "\U0001f600"]), min_size=1, max_size=60),
    st.lists(st.just(7), min_size=1, max_size=60),
)


@settings(max_examples=repeated(20, 60), deadline=None)
@given(values=VALUES, descending=st.booleans(), cuts=st.integers(1, 5), share=st.floats(0.01, 1))
def test_the_first_pairs_of_any_share_are_found_in_rounds(
    values: list[Any], descending: bool, cuts: int, share: float
) -> None:
    kind = pa.float32() if any(isinstance(value, float) for value in values) else None
    table = pa.table({"value": pa.array(values, kind), "row": range(len(values))})
    with duckdb.connect() as connection, pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranks, "QUANTILES", 8)
        connection.register("whole", table)

        def query(columns: Sequence[str], sql: str) -> Any:
            for cut in range(cuts):
                block = f"(SELECT * FROM whole WHERE row % {cuts} = {cut})"
                yield from connection.execute(f"WITH ledger AS {block} {sql}").fetchall()

        keys = [Key("value", descending), Key("row")]
        first = first_of_share(query, keys, share, collected=2)
        direction = "DESC" if descending else ""
        order = f"SELECT row FROM whole WHERE value IS NOT NULL ORDER BY value {direction}, row"
        expected = [row for (row,) in connection.execute(order).fetchall()]
        last = math.ceil(share * len(expected))
        taken = f"SELECT row FROM (SELECT row, value, {first} AS first FROM whole) WHERE first"
        found = connection.execute(f"{taken} AND value IS NOT NULL").fetchall()
        assert {row for (row,) in found} == set(expected[:last])


@settings(max_examples=repeated(5, 12), deadline=None)
@given(
    rows=ROWS,
    fraction=st.sampled_from([0.01, 0.3, 0.5, 1.0]),
    by=st.sampled_from(["uid", "width"]),
    units=st.integers(1, 7),
)
def test_a_share_of_each_value_in_any_blocks_is_that_of_one_query(
    tmp_path_factory: pytest.TempPathFactory,
    rows: list[tuple[Any, ...]],
    fraction: float,
    by: str,
    units: int,
) -> None:
    store = Store.at(tmp_path_factory.mktemp("pool") / "dataset")
    put(store, rows, False)
    rule = {"top_fraction": fraction, "of": "sharpness", "by": by}
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(group_ranks, "LEAST_QUANTILES", 2)
        patch.setattr(group_ranks, "QUANTILES", 4)
        patch.setattr(group_ranks.first_of_each, "__defaults__", (3,))
        made = Recipe.model_validate({"input": {"path": "p"}, "keep": [rule]})
        select.run(made, store, Serial(), "default", units)
    groups: dict[Any, list[tuple[float, str, int]]] = {}
    for row, (score, _, width, uid) in enumerate(rows):
        if score is not None and not math.isnan(score):
            groups.setdefault(uid if by == "uid" else width, []).append((-score, f"{uid}", row))
    best = {
        row
        for scored in groups.values()
        for _, _, row in sorted(scored)[: math.ceil(fraction * len(scored))]
    }
    kept = {row for row, keep, _, _ in judged(store, "default") if keep}
    assert kept == {row for row in best if rows[row][1] == "ok"}


def test_a_share_of_each_of_very_many_values_is_refused(tmp_path: Path) -> None:
    store = Store.at(tmp_path / "dataset")
    put(store, [(0.5, "ok", width, 3) for width in range(12)], False)
    rule = {"top_fraction": 0.5, "of": "sharpness", "by": "width"}
    made = Recipe.model_validate({"input": {"path": "p"}, "keep": [rule]})
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(group_ranks, "MOST_VALUES", 11)
        with pytest.raises(BadOption, match="more than 11 values"):
            select.run(made, store, Serial(), "default", 1)


@pytest.mark.parametrize("value", [0.1, 1e-45, math.inf, -math.inf, 2**64 - 1, -(2**63), "it's"])
def test_a_literal_has_exactly_its_value(value: Any) -> None:
    with duckdb.connect() as connection:
        assert connection.execute(f"SELECT {literal(value)}").fetchall() == [(value,)]


def test_a_rule_with_a_window_is_judged_over_all_pairs_at_once(tmp_path: Path) -> None:
    store = Store.at(tmp_path / "dataset")
    put(store, [(score, "ok", 3, 3) for score in (1.0, 2.0, 3.0, 4.0, 5.0, 6.0)], False)
    window = {"where": "sharpness > avg(sharpness) OVER ()"}
    above = Recipe.model_validate({"input": {"path": "p"}, "keep": [window]})
    marker = select.run(above, store, Serial(), "default", 1)
    assert [keep for _, keep, _, _ in judged(store, "default")] == [False] * 3 + [True] * 3
    assert len(marker.files) == 1


def test_a_block_reads_what_it_overlaps_of_results(
    tmp_path: Path, dying: Callable[[int], Any]
) -> None:
    store = Store.at(tmp_path / "dataset")
    put(store, [(0.5, "ok", 3, row) for row in range(30)], False)
    with pytest.raises(KeyboardInterrupt):
        select.run(recipe(1.0), store, dying(11), "default", 2)
    before = {path for path, _, _ in store.list("select") if path.endswith(".json")}
    marker = select.run(recipe(1.0), store, Serial(), "default", 2)
    assert before
    assert marker.counts["kept"] == 28
    assert {path for path, _, _ in store.list("select")} == {
        *marker.files,
        "select/default/done.json",
    }
    whole = ledger_files(store, selection="default")
    overlapping = [part.results[-2].files for part in blocks(whole, 3)]
    assert [len(files) for files in overlapping] == [2, 2]


def test_a_score_that_is_no_number_or_a_duration_is_ranked_or_missing(tmp_path: Path) -> None:
    store = Store.at(tmp_path / "dataset")
    path = "gather/00000000.000000000000.parquet"
    rows = [{"row": n, "uid": f"{n:032x}", "outcome": "ok", "retry_layer": 0} for n in range(4)]
    table = pa.Table.from_pylist(rows, arrow_schema(GATHERED))
    lengths = pa.array([3, 1, None, 2], pa.duration("s"))
    numbers = pa.array([math.nan, 1.0, 2.0, math.inf])
    table = table.append_column("length", lengths).append_column("number", numbers)
    with store.writer(path) as sink:
        pq.write_table(table, sink)
    commit(store, "gather/00000000.json", Marker(4, {path: sink.entry()}, {}))
    for of, kept in (
        ("length", [True, False, False, True]),
        ("number", [False, False, True, True]),
    ):
        half = {"input": {"path": "p"}, "keep": [{"top_fraction": 0.5, "of": of}]}
        select.run(Recipe.model_validate(half), store, Serial(), of, 1)
        assert [keep for _, keep, _, _ in judged(store, of)] == kept
