"""A dataset of twelve pairs is written by hand, so that every number can be counted by hand."""

import re
import shutil
from base64 import b64decode
from collections.abc import Iterator
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pairsieve.pipeline import report
from pairsieve.pipeline.dataset.checksums import of_image
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    GROUP_MARKER,
    report_page,
    select_marker,
    shard_marker,
    stats_file,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.ledger.verdicts import VERDICTS
from pairsieve.pipeline.stats.stats_views import VIEWS
from pairsieve.schemas.columns import GATHERED, GROUPED, ROW, SHARDED, arrow_schema
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Recipe

ROOT = Path(__file__).parents[2]
STATS, PAGE = stats_file("default"), report_page("default")
HOSTILE = "\0<script>alert('1')</script>'; DROP TABLE ledger; --\u202eevil\u2069 &amp;"
MEGABYTE = "x" * 1_000_000
RECIPE = Recipe.model_validate(
    {
        "input": {"path": "pairs.parquet"},
        "keep": [
            {"where": "caption_words >= 2", "name": "words", "gate": True},
            {"aspect_ratio": {"max_ratio": 3}},
            {"where": "sharpness >= 0.1", "name": "sharp"},
            {"where": "duplicate_of IS NULL", "name": "duplicate"},
        ],
    }
)
FUNNEL_KEYS = ("position", "rule", "entered", "dropped", "only_this", "unmeasured", "left")
FUNNEL = [
    (0, "outcome", 12, 2, 2, 0, 10),
    (1, "words", 10, 1, 1, 0, 9),
    (2, "aspect_ratio", 9, 1, 0, 0, 8),
    (3, "sharp", 8, 1, 0, 1, 7),
    (4, "duplicate", 7, 1, 1, 0, 6),
]
# Row -> what differs from a plain kept pair.
PAIRS: dict[int, dict[str, Any]] = {
    1: {"text": HOSTILE, "url": "https://a.example/<b>?q=\"'"},
    2: {"text": MEGABYTE},
    5: {"width": 4000, "aspect_ratio": 9.0, "sharpness": 0.05},
    6: {"sharpness": None},
    7: {"duplicate_of": "uid0", "duplicate_distance": 2, "cluster": 0},
    8: {"outcome": "gated", "caption_words": 1, "host": "b.example"},
    9: {"outcome": "http_4xx", "detail": "<i>404</i>", "http_status": 404},
    10: {"outcome": "no_url", "url": None, "host": None},
}
FAILING = {
    5: ["aspect_ratio", "sharp"],
    6: ["sharp", "duplicate"],
    7: ["duplicate"],
    8: ["words"],
}
FAILED = {9, 10}


def _put(store: Store, path: str, table: pa.Table) -> dict[str, Any]:
    with store.writer(path) as sink:
        pq.write_table(table, sink)
    return {path: sink.entry()}


def _pair(row: int, image: bytes, offset: int) -> dict[str, Any]:
    common: dict[str, Any] = {
        "row": row,
        "uid": f"uid{row}",
        "url": f"https://a.example/{row}.jpg",
        "host": "a.example",
        "text": f"pair number {row}",
        "retry_layer": 0,
        "outcome": "ok",
        "caption_words": 3,
        "language": "en",
    }
    measured: dict[str, Any] = {
        "sha256": f"{row:064x}",
        "width": 400,
        "height": 300,
        "image_file": "gather/00000000.a.tar",
        "image_offset": offset,
        "image_bytes": len(image),
        "image_checksum": of_image(image),
        "aspect_ratio": 4 / 3,
        "sharpness": 0.5,
        "perceptual_hash": 2**64 - 1,
        "cluster": row,
    }
    special = PAIRS.get(row, {})
    return common | (measured if special.get("outcome", "ok") == "ok" else {}) | special


def _jpeg(colour: tuple[int, int, int]) -> bytes:
    sink = BytesIO()
    Image.new("RGB", (400, 300), colour).save(sink, "JPEG")
    return sink.getvalue()


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """Return a dataset whose report is made; its folder can be moved."""
    store = Store.at(tmp_path_factory.mktemp("dataset"))
    images = [_jpeg((20 * row, 0, 0)) for row in range(12)]
    starts = [sum(map(len, images[:row])) for row in range(12)]
    pairs = [_pair(*each) for each in zip(range(12), images, starts, strict=True)]
    store.write("gather/00000000.a.tar", b"".join(images))
    gathered = pa.Table.from_pylist(pairs, schema=arrow_schema(GATHERED))
    gathered = gathered.append_column("found on", pa.array(["page"] * 12))
    # By their names the last task slice is the second: the database must be in input order.
    for first, count in ((0, 2), (10, 2), (2, 8)):
        slice_name, part = f"00000000.{first}+{count}", gathered.slice(first, count)
        files = _put(store, f"gather/{slice_name}.a.parquet", part)
        store.create(f"gather/{slice_name}.json", Marker(count, files).dumps())
    _commit(store, GROUP_MARKER, "group/a.parquet", GROUPED, [p for p in pairs if "sha256" in p])
    rules = [step[1] for step in FUNNEL[1:]]
    verdicts = [
        {
            "row": row,
            "keep": row not in FAILED and row not in FAILING,
            "failing_bits": sum(1 << rules.index(rule) for rule in FAILING.get(row, [])),
        }
        for row in range(12)
    ]
    funnel = [dict(zip(FUNNEL_KEYS, step, strict=True)) for step in FUNNEL]
    extra = {"funnel": funnel, "fingerprint": "f", "rules": rules}
    counts = {"pairs": 12, "failed": 2, "dropped": 4, "kept": 6}
    _commit(store, select_marker("default"), "select/a.parquet", VERDICTS, verdicts, counts, extra)
    kept = [row for row in range(12) if row not in FAILED and row not in FAILING]
    shards = [{"row": row, "shard": "00000.tar", "shard_offset": row * 512} for row in kept[:5]]
    manifest = "shards/a/manifest.parquet"
    _commit(store, shard_marker("default"), manifest, SHARDED, shards, {}, {"selection": "f"})
    locations = report.run(RECIPE, store, Serial(), "default")
    assert locations == (store.location(STATS), store.location(PAGE))
    return store


def _commit(
    store: Store,
    marker: str,
    path: str,
    columns: tuple[Any, ...],
    content: list[dict[str, Any]],
    counts: dict[str, int] | None = None,
    extra: dict[str, Any] | None = None,
) -> None:
    table = pa.Table.from_pylist(content, schema=arrow_schema(dict.fromkeys((ROW, *columns))))
    files = _put(store, path, table)
    store.create(marker, Marker(len(content), files, counts or {}, extra or {}).dumps())


@pytest.fixture
def stats(dataset: Store, tmp_path: Path) -> Iterator[duckdb.DuckDBPyConnection]:
    """Yield a connection to a copy of the database elsewhere, under another name."""
    copy = tmp_path / "copy.db"
    shutil.copy(dataset.location(STATS), copy)
    with duckdb.connect(copy, read_only=True) as connection:
        yield connection


@pytest.fixture(scope="module")
def page(dataset: Store) -> str:
    return dataset.read(PAGE).decode()


class _Page(HTMLParser):
    """Collects the tags and the texts inside <bdi> as a browser would read them."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.isolated: list[str] = []
        self._inside = False
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "bdi":
            self._inside = True
            self.isolated.append("")

    def handle_endtag(self, tag: str) -> None:
        self._inside = self._inside and tag != "bdi"

    def handle_data(self, data: str) -> None:
        if self._inside:
            self.isolated[-1] += data


def test_ledger_has_every_pair_once_in_input_order(stats: duckdb.DuckDBPyConnection) -> None:
    rows = stats.execute("SELECT row FROM ledger").fetchall()
    assert rows == [(row,) for row in range(12)]


def test_ledger_joins_what_every_verb_wrote(stats: duckdb.DuckDBPyConnection) -> None:
    result = stats.execute(
        "SELECT outcome, keep, first_failing, failing, duplicate_of, shard, perceptual_hash, "
        '"found on" FROM ledger WHERE row IN (0, 7) ORDER BY row'
    ).fetchall()
    assert result == [
        ("ok", True, None, [], None, "00000.tar", 2**64 - 1, "page"),
        ("ok", False, "duplicate", ["duplicate"], "uid0", None, 2**64 - 1, "page"),
    ]


def test_hostile_texts_are_unchanged_in_the_ledger(stats: duckdb.DuckDBPyConnection) -> None:
    texts = stats.execute("SELECT text FROM ledger WHERE row IN (1, 2) ORDER BY row").fetchall()
    assert texts == [(HOSTILE,), (MEGABYTE,)]


def test_funnel_is_the_selections(stats: duckdb.DuckDBPyConnection) -> None:
    cursor = stats.execute("SELECT * FROM funnel")
    assert [column[0] for column in cursor.description] == list(FUNNEL_KEYS)
    assert cursor.fetchall() == FUNNEL


def test_outcomes_count_every_pair(stats: duckdb.DuckDBPyConnection) -> None:
    result = stats.execute("SELECT outcome, pairs FROM outcomes").fetchall()
    assert result == [("ok", 9), ("gated", 1), ("http_4xx", 1), ("no_url", 1)]


def test_hosts_are_counted_and_pairs_without_one_too(stats: duckdb.DuckDBPyConnection) -> None:
    result = stats.execute("SELECT host, pairs, ok, kept FROM hosts").fetchall()
    assert result == [("a.example", 10, 9, 6), ("b.example", 1, 0, 0), (None, 1, 0, 0)]


def test_languages_and_duplicates_are_counted(stats: duckdb.DuckDBPyConnection) -> None:
    assert stats.execute("FROM languages").fetchall() == [("en", 12, 6)]
    clusters = stats.execute("SELECT cluster, pairs, kept, files, max_distance FROM duplicates")
    assert clusters.fetchall() == [(0, 2, 1, 2, 2)]


def test_histogram_puts_every_measured_value_in_one_bin(stats: duckdb.DuckDBPyConnection) -> None:
    measured = stats.execute(
        "SELECT measured, unmeasured, lowest, highest FROM measures WHERE name = 'width'"
    ).fetchall()
    bins = stats.execute(
        "SELECT low, high, pairs, kept FROM histograms WHERE name = 'width' AND pairs > 0"
    ).fetchall()
    # From 400 to 4000: 30 bins would be 120 wide, the next round number is 200.
    assert measured == [(9, 3, 400.0, 4000.0)]
    assert bins == [(400.0, 600.0, 8, 6), (4000.0, 4200.0, 1, 0)]


def test_views_and_columns_say_what_they_hold(stats: duckdb.DuckDBPyConnection) -> None:
    views = stats.execute(
        "SELECT view_name FROM duckdb_views() WHERE NOT internal AND comment IS NULL"
    ).fetchall()
    (width,) = stats.execute(
        "SELECT comment FROM duckdb_columns() WHERE table_name = 'ledger' "
        "AND schema_name = 'data' AND column_name = 'width'"
    ).fetchall()
    assert views == []
    assert width == ("Width of the image as published, upright. [px]",)


def test_database_answers_when_attached_under_another_name(dataset: Store) -> None:
    with duckdb.connect() as connection:
        connection.execute(f"ATTACH '{dataset.location(STATS)}' AS other (READ_ONLY)")
        assert connection.execute("SELECT count(*) FROM other.hosts").fetchall() == [(3,)]


def test_database_names_no_path(dataset: Store) -> None:
    assert dataset.url.encode() not in dataset.read(STATS)


def test_only_the_two_files_are_added(dataset: Store) -> None:
    assert dataset.local
    names = {path.name for path in dataset.local.iterdir()}
    assert names == {"gather", "group", "select", "shards", "report", "index.html"}


def test_page_loads_nothing_and_runs_nothing(page: str) -> None:
    tags = _Page(page).tags
    policy = [attrs for tag, attrs in tags if attrs.get("http-equiv") == "Content-Security-Policy"]
    sources = [attrs["src"] or "" for _, attrs in tags if "src" in attrs]
    assert policy[0]["content"] == "default-src 'none'; img-src data:; style-src 'unsafe-inline'"
    assert all(source.startswith("data:image/jpeg;base64,") for source in sources)
    assert not {tag for tag, _ in tags} & {"script", "link", "iframe", "form", "object"}
    places = {f"#{attrs['id']}" for _, attrs in tags if "id" in attrs}
    assert {attrs["href"] for _, attrs in tags if "href" in attrs} == places
    assert not [name for _, attrs in tags for name in attrs if name.startswith("on")]


def test_hostile_caption_is_shown_as_text_in_isolation(page: str) -> None:
    assert HOSTILE.replace("\0", "\u2400") in _Page(page).isolated
    assert "\0" not in page
    assert "<script" not in page


def test_megabyte_is_cut_on_the_page(page: str) -> None:
    assert "x" * 200 in page
    assert "x" * 300 not in page
    assert "…" in page


def test_page_shows_counts_rules_and_sentences(page: str) -> None:
    for text in ("6 of 12 pairs", "sharpness &gt;= 0.1", Outcome.HTTP_4XX.doc, "&lt;i&gt;404"):
        assert text in page


def test_page_marks_the_bound_of_a_rule_in_the_histogram(page: str) -> None:
    assert "The same for all: 300. 6 of them kept." in page  # height, which is not drawn
    assert page.count('<line class="bound"') == 3  # caption_words, aspect_ratio, sharpness


def test_thumbnails_are_small_copies_of_the_stored_images(page: str) -> None:
    sources = [attrs["src"] or "" for tag, attrs in _Page(page).tags if tag == "img"]
    first = Image.open(BytesIO(b64decode(sources[0].partition(",")[2])))
    shown = [_red(source) for source in sources]
    assert first.size == (160, 120)
    # The cluster shows rows 0 and 7; then the six kept and the three dropped that have an image.
    assert len(shown) == 2 + 6 + 3
    assert shown[:2] == pytest.approx([0, 140], abs=4)
    assert sorted(shown[2:8]) == pytest.approx([0, 20, 40, 60, 80, 220], abs=4)
    assert shown[8:] == pytest.approx([100, 120, 140], abs=4)


def _red(source: str) -> int:
    image = Image.open(BytesIO(b64decode(source.partition(",")[2]))).convert("RGB")
    pixel = image.getpixel((5, 5))
    assert isinstance(pixel, tuple)
    return pixel[0]


QUERIES = [
    query
    for page in ("dataset", "thresholds")
    for query in re.findall(r"```sql\n(.*?)```", (ROOT / f"docs/{page}.md").read_text(), re.DOTALL)
]


@pytest.mark.parametrize("query", QUERIES)
def test_queries_of_the_documentation_work(
    stats: duckdb.DuckDBPyConnection,
    query: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    cursor = stats.execute(query)
    assert cursor.description


def test_documentation_has_every_view_with_its_columns(stats: duckdb.DuckDBPyConnection) -> None:
    page = (ROOT / "docs/dataset.md").read_text()
    for view in VIEWS:
        columns = ", ".join(c[0] for c in stats.execute(f"FROM {view}").description)
        assert re.search(rf"^\| `{view}` \|", page, re.MULTILINE)
        assert view == "ledger" or f"`{columns}`" in page


def test_made_again_the_page_is_the_same(dataset: Store, page: str) -> None:
    report.run(RECIPE, dataset, Serial(), "default")
    assert dataset.read(PAGE).decode() == page


def test_report_without_a_selection_says_what_to_run(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="no selection `other`.*pairsieve select --name other"):
        report.run(RECIPE, Store.at(tmp_path), Serial(), "other")


def test_sizes_of_clusters_are_told_in_steps_of_powers_of_two(dataset: Store) -> None:
    with duckdb.connect() as connection:
        connection.execute(
            "CREATE TABLE cluster_sizes AS SELECT * FROM (VALUES (2, 2, 1), (3, 1, 1), (4, 1, 1), "
            "(5, 1, 1)) AS sizes(pairs, clusters, kept)"
        )
        result = connection.execute(report.SIZES).fetchall()
    assert result == [(2, 2, 2, 4, 1), (3, 4, 2, 7, 2), (5, 5, 1, 5, 1)]
    assert "pairs in a cluster" in dataset.read(PAGE).decode()


def test_what_the_signals_kept_apart_is_told_by_name() -> None:
    counts = {"pairs": 9, "kept_apart_by_dhash": 0, "kept_apart_by_colour": 3}
    assert report._kept_apart(Marker(9, {}, counts)) == {"colour": 3}
    assert report._kept_apart(None) == {}
