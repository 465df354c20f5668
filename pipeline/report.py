"""Report: what came of the pairs, as a database to query and as one page to read.

Everything on the page is counted by DuckDB from stats.duckdb, which is made first. The page is one
file without scripts or links; text from the web is escaped, cut and kept apart, so that no pair can
change how the page works or reads.
"""

import re
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pairsieve.pipeline.dataset import checksums
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    GROUP_MARKER,
    PLAN_FILE,
    SCRATCH,
    STATS,
    report_page,
    select_marker,
    stats_file,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.fetch import request_rates
from pairsieve.pipeline.ledger.ledger import attach, check_images, connect
from pairsieve.pipeline.ledger.rules import MINOR, rules
from pairsieve.pipeline.ledger.sql import rows
from pairsieve.pipeline.stats.evaluation_section import add_evaluation_images, overlaps
from pairsieve.pipeline.stats.fetch_section import fetches
from pairsieve.pipeline.stats.histograms import CHART_PX, format_figure, histograms
from pairsieve.pipeline.stats.page import TEXT_SHOWN, render, shown, thumbnail
from pairsieve.pipeline.stats.stats_db import build, finish
from pairsieve.pipeline.unit.plan_file import read as read_plan
from pairsieve.pipeline.vectors.folders import scores_folders
from pairsieve.pipeline.vectors.model_record import model_sentences
from pairsieve.pipeline.vectors.scores import sources
from pairsieve.schemas.columns import COLUMNS, Column
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Recipe

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

KEPT_SHOWN = 12
DROPPED_SHOWN = 24  # shared by the rules, 8 at most for one
CLUSTERS_SHOWN = 6
COPIES_SHOWN = 4  # per cluster; with the above at most 60 thumbnails
ROWS_SHOWN = 12  # hosts and languages
# Rules of the funnel that no recipe lists.
ALWAYS = {
    "outcome": "fetched, decoded and stored",
    "blocklist": "not on the blocklist as it is now",
    "repeated": "not the copy of a pair that is kept elsewhere",
    "minor_safety": MINOR.sql,
    "gated": "not left unfetched by a gate of an earlier recipe",
}
# Clusters by their pairs, in steps of powers of two: 2, 3 to 4, 5 to 8 ...
SIZES = """
    SELECT min(pairs) AS least, max(pairs) AS most, count(*) AS clusters, sum(pairs) AS pairs,
           sum(kept) AS kept
    FROM duplicates GROUP BY ceil(log2(pairs)) ORDER BY least
"""
WITHOUT_SAMPLE = ("outcome", "blocklist", MINOR.name)  # rules of which no sample is shown


def decide(recipe: Recipe, store: Store, engine: Engine, name: str) -> Iterator[Marker]:
    """Yield nothing, since pages have no marker; so `run` calls every stage that decides."""
    run(recipe, store, name)
    yield from ()


def run(recipe: Recipe, store: Store, name: str) -> tuple[str, str]:
    """Write `stats.duckdb` and `report.html` of the selection `name`; return where they are.

    Raises:
        BadOption: the selection does not exist yet.
        Stopped: a stored image is gone.
    """
    selection = store.marker(select_marker(name))
    if selection is None:
        raise BadOption(f"there is no selection `{name}` yet; run `pairsieve select --name {name}`")
    check_images(store)
    with (
        tempfile.TemporaryDirectory(prefix=SCRATCH, dir=store.local) as folder,
        connect(store) as connection,
    ):
        file = Path(folder) / STATS
        attach(connection, store, scores_folders(recipe), name)
        request_rates.attach(connection, store)
        build(connection, file, selection.extra["funnel"], recipe.other_scores)
        content = _content(connection, recipe, store, selection, name)
        page = render("report.html.j2", content)
        finish(connection)
        _put(store, file, stats_file(name))
    store.write(report_page(name), page.encode())
    return store.location(stats_file(name)), store.location(report_page(name))


def _put(store: Store, file: Path, path: str) -> None:
    """Put the finished database in place of an older one, at once."""
    if store.local:
        store.prepare(path)
        target = store.local / path
        target.parent.mkdir(parents=True, exist_ok=True)
        file.replace(target)
        return
    with file.open("rb") as source, store.writer(path) as sink:
        shutil.copyfileobj(source, sink, 8 << 20)


def _content(
    connection: "DuckDBPyConnection", recipe: Recipe, store: Store, selection: Marker, name: str
) -> dict[str, Any]:
    """Return what the template shows."""
    conditions = ALWAYS | {rule.name: rule.sql for rule in rules(recipe)}
    dropping = [step["rule"] for step in selection.extra["funnel"] if step["dropped"]]
    samples = _samples(
        connection, recipe.shard.seed, [rule for rule in dropping if rule not in WITHOUT_SAMPLE]
    )
    clusters = rows(connection, f"FROM duplicates LIMIT {CLUSTERS_SHOWN}")
    for cluster in clusters:
        cluster["copies"] = _copies(connection, cluster["cluster"])
        for pair in cluster["copies"]:
            pair["facts"] = [("", _relation(pair))]
    evaluation_sets = overlaps(connection, recipe)
    for each in evaluation_sets:
        each["pairs"] = _pairs(connection, each["shown"] or [])
        for pair in each["pairs"]:
            pair["facts"] = [
                (name, _value(pair[name])) for name in ("eval_distance", "eval_overlap")
            ]
    overlapping = [pair for each in evaluation_sets for pair in each["pairs"]]
    add_evaluation_images(recipe, store, overlapping)
    with_pictures = [pair for _, pairs in samples for pair in pairs] + overlapping
    with_pictures += [pair for cluster in clusters for pair in cluster["copies"]]
    _add_thumbnails(store, with_pictures)
    for rule, pairs in samples:
        _add_facts(pairs, conditions.get(rule or "", ""), COLUMNS + recipe.other_scores)
    return {
        "name": name,
        "counts": selection.counts,
        "in_shards": rows(connection, "SELECT count(shard) AS pairs FROM ledger")[0]["pairs"],
        "funnel": selection.extra["funnel"],
        "conditions": conditions,
        "always": ALWAYS,
        "gates": {rule.name for rule in rules(recipe) if rule.gate},
        "outcomes": rows(
            connection,
            "SELECT outcome, count(*) AS pairs, min_by(detail, row) AS example "
            "FROM ledger GROUP BY ALL ORDER BY pairs DESC, outcome",
        ),
        **fetches(connection, recipe, ROWS_SHOWN),
        "sentences": {str(outcome): outcome.doc for outcome in Outcome},
        "histograms": list(histograms(connection, conditions.values())),
        "hosts": rows(connection, f"FROM hosts LIMIT {ROWS_SHOWN}"),
        "languages": rows(connection, f"FROM languages LIMIT {ROWS_SHOWN}"),
        "clusters": clusters,
        "cluster_count": rows(connection, "SELECT count(*) AS n FROM duplicates")[0]["n"],
        "evaluation_sets": evaluation_sets,
        "cluster_sizes": rows(connection, SIZES),
        "kept_apart": _kept_apart(store.marker(GROUP_MARKER)),
        "samples": samples,
        "models": model_sentences(store),
        "skipped": read_plan(store).sentences() if store.exists(PLAN_FILE) else [],
        "measured": list(sources(recipe.embed).by_column.items()) if recipe.embed else [],
        "chart_px": CHART_PX,
    }


def _kept_apart(grouped: Marker | None) -> dict[str, int]:
    """Return how many images each signal kept apart from a near keeper, where there are any."""
    head = "kept_apart_by_"
    counts = grouped.counts if grouped else {}
    return {key[len(head) :]: n for key, n in counts.items() if key.startswith(head) and n}


def _samples(
    connection: "DuckDBPyConnection", seed: int, dropping: list[str]
) -> list[tuple[str | None, list[dict[str, Any]]]]:
    """Return (rule, pairs dropped by it), the kept pairs under None first.

    Which pairs is a matter of a hash of uid, row and seed, so the same ones are shown every time.
    """
    each = max(1, min(8, DROPPED_SHOWN // max(1, len(dropping))))
    chosen = dict(
        connection.execute(
            f"SELECT first_failing, min_by(row, hash(uid, row, {seed}), {KEPT_SHOWN}) "
            "FROM ledger WHERE keep OR first_failing IS NOT NULL GROUP BY ALL"
        ).fetchall()
    )
    groups = [(None, KEPT_SHOWN), *((rule, each) for rule in dropping[:DROPPED_SHOWN])]
    return [
        (rule, _pairs(connection, chosen[rule][:count])) for rule, count in groups if rule in chosen
    ]


def _copies(connection: "DuckDBPyConnection", cluster: int) -> list[dict[str, Any]]:
    """Return some pairs of a cluster with different files, the kept copy first."""
    order = "ORDER BY duplicate_of IS NOT NULL, row"
    kept_first = connection.execute(
        f"SELECT row FROM ledger WHERE cluster = ? "
        f"QUALIFY row_number() OVER (PARTITION BY sha256 {order}) = 1 "
        f"{order} LIMIT {COPIES_SHOWN}",
        [cluster],
    ).fetchall()
    return _pairs(connection, [row for (row,) in kept_first])


def _pairs(connection: "DuckDBPyConnection", numbers: list[int]) -> list[dict[str, Any]]:
    """Return the ledger's rows of these numbers, in that order, with long texts cut."""
    cut = ("url", "text", "final_url", "detail")
    expressions = {name: f'substr("{name}", 1, {TEXT_SHOWN + 1})' for name in cut}
    expressions["fetched_at"] = "timezone('UTC', fetched_at)::VARCHAR"
    columns = [column.name for column in COLUMNS]
    columns += [m["name"] for m in rows(connection, "FROM measures") if m["name"] not in columns]
    names = ", ".join(expressions.get(name, f'"{name}"') + f' AS "{name}"' for name in columns)
    query = f"SELECT {names} FROM ledger WHERE row IN (SELECT unnest(?))"
    pairs = rows(connection, query, [numbers])
    return sorted(pairs, key=lambda pair: numbers.index(pair["row"]))


def _add_facts(pairs: list[dict[str, Any]], condition: str, columns: tuple[Column, ...]) -> None:
    """Give each pair the `facts` to show: its size and those `columns` that a condition reads."""
    words = set(re.findall(r"\w+", condition))
    read = [c for c in columns if c.name in words - {"outcome", "url", "text"}]
    for pair in pairs:
        size = [("size", f"{pair['width']} x {pair['height']}")] if pair["width"] else []
        values = [(c.name, _value(pair[c.name])) for c in read if c.name in pair]
        similarity = [("clip_similarity", _value(pair["clip_similarity"]))]
        pair["facts"] = size + (values or (similarity if pair["keep"] else []))


def _relation(pair: dict[str, Any]) -> str:
    """Return what a pair is in its cluster."""
    if pair["duplicate_of"] is None:
        return "chosen" if pair["keep"] else "chosen, dropped by a rule"
    distance, orientation = pair["duplicate_distance"], pair["duplicate_orientation"]
    what = "copy" if orientation is None else f"{orientation.replace('_', ' ')} copy"
    return what if distance is None else f"{what}, {distance} bits away"


def _add_thumbnails(store: Store, pairs: list[dict[str, Any]]) -> None:
    """Give each pair its `thumbnail`, a data URI, or None where there is none to be seen."""
    stored = [
        pair
        for pair in pairs
        if pair["image_file"] and not pair["blocked"] and MINOR.name not in (pair["failing"] or ())
    ]
    for pair in pairs:
        pair["thumbnail"] = None
    for pair, data in zip(
        stored, checksums.read_images(store, checksums.located(stored)), strict=True
    ):
        pair["thumbnail"] = thumbnail(data)


def _value(value: Any) -> str:
    """Return the value of a column as the page shows it."""
    if value is None:
        return "not measured"
    if isinstance(value, int | float) and not isinstance(value, bool):
        return format_figure(value)
    return shown(value)
