"""Report: what came of the pairs, as a database to query and as one page to read.

The pool is counted in blocks, each by a task; the driver adds up small things, and makes of them
stats.duckdb and the page. The page is one file without scripts or links to elsewhere; text from the
web is escaped, cut and kept apart, so that no pair can change how the page works or reads.
"""

import shutil
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pairsieve.pipeline.captions.folders import measured_folders
from pairsieve.pipeline.dataset.commit import tidy
from pairsieve.pipeline.dataset.costs import StageCost, of_stages
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    BLOCKLIST_MARKER,
    COLUMNS_MARKER,
    GATHER_FOLDER,
    GROUP_MARKER,
    INDEX_PAGE,
    PLAN_FILE,
    SCRATCH,
    STATS,
    report_page,
    report_rounds,
    select_marker,
    shard_marker,
    stats_file,
    vectors_folder,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.evaluation import results
from pairsieve.pipeline.explore.bounds import counted_bounds
from pairsieve.pipeline.external import evaluation_sets
from pairsieve.pipeline.ledger import block_columns
from pairsieve.pipeline.ledger.files import ledger_files
from pairsieve.pipeline.ledger.ledger import check_images, connect, current_shards
from pairsieve.pipeline.ledger.rules import MINOR, reads_any, rules
from pairsieve.pipeline.ledger.sql import rows
from pairsieve.pipeline.selections import diff, listing, recipe_text
from pairsieve.pipeline.selections.record import of_marker
from pairsieve.pipeline.stats import rules_section, shown_pairs
from pairsieve.pipeline.stats.evaluation_section import add_evaluation_images, overlaps
from pairsieve.pipeline.stats.fetch_section import fetches
from pairsieve.pipeline.stats.histograms import CHART_PX, histograms
from pairsieve.pipeline.stats.page import render
from pairsieve.pipeline.stats.pool_counts import (
    REPORT_UNITS,
    Counted,
    PoolCounts,
    count_pool,
    dropped_by,
)
from pairsieve.pipeline.stats.rules_section import ShownBound
from pairsieve.pipeline.stats.shown_pairs import Pair
from pairsieve.pipeline.stats.stats_db import PARTIAL, build, finish
from pairsieve.pipeline.unit.fetch_summary import line_sentences
from pairsieve.pipeline.unit.plan_file import read as read_plan
from pairsieve.pipeline.vectors import head_check
from pairsieve.pipeline.vectors.folders import model_folder, scores_folder, scores_folders
from pairsieve.pipeline.vectors.model_record import model_sentences
from pairsieve.pipeline.vectors.scores import sources, unknown
from pairsieve.schemas.columns import COLUMNS
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Recipe

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

ROWS_SHOWN = 12  # hosts and languages
CHANGES_SHOWN = 4  # pairs of a rule, gained or lost
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
    SELECT min(s.pairs) AS least, max(s.pairs) AS most, sum(clusters)::BIGINT AS clusters,
           sum(s.pairs * clusters)::BIGINT AS pairs, sum(s.kept)::BIGINT AS kept
    FROM cluster_sizes AS s GROUP BY ceil(log2(s.pairs)) ORDER BY least
"""
WITHOUT_SAMPLE = ("outcome", "blocklist", MINOR.name)  # rules of which no sample is shown


def decide(recipe: Recipe, store: Store, engine: Engine, name: str) -> Iterator[Marker]:
    """Yield nothing, since pages have no marker; so `run` calls every stage that decides."""
    run(recipe, store, engine, name)
    yield from ()


def run(
    recipe: Recipe,
    store: Store,
    engine: Engine,
    name: str,
    units: int = REPORT_UNITS,
    against: str | None = None,
) -> tuple[str, str]:
    """Write `stats.duckdb` and `report.html` of the selection `name`; return where they are.

    The pool is counted in blocks of so many units, each a task that commits its counts. The page
    has a section on what is gained and lost against another selection.

    Raises:
        BadOption: one of the selections does not exist yet.
        Stopped: a stored image is gone, or a task's process kept dying.
    """
    selection = store.marker(select_marker(name))
    if selection is None:
        raise BadOption(f"there is no selection `{name}` yet; run `pairsieve select --name {name}`")
    if against == name:
        raise BadOption(f"--against: `{name}` is the selection itself; name another")
    check_images(store)
    difference = diff.run(store, engine, (against, name), CHANGES_SHOWN) if against else None
    counted = _counted(recipe, selection, name)
    files = block_columns.current(store, ledger_files(store, measured_folders(recipe), name))
    counts = count_pool(counted, store, engine, files, units)
    with (
        tempfile.TemporaryDirectory(prefix=SCRATCH, dir=store.local) as folder,
        connect(store, own=True) as connection,
    ):
        file = Path(folder) / STATS
        of_rules = build(connection, file, counts, counted)
        bounds = rules_section.shown_bounds(connection, of_rules, counts, counted)
        content = _content(connection, recipe, engine, counts, counted, bounds)
        content["rule_overlaps"] = rules_section.overlaps(of_rules, counts.rules)
        content["evaluations"] = list(results.lines(results.compared([results.read(store, name)])))
        content["difference"] = difference
        content["changes"] = (
            diff.pictured(store, difference, _unknown(recipe)) if difference else []
        )
        page = render("report.html.j2", content)
        finish(connection)
        _put(store, file, stats_file(name))
    store.write(report_page(name), page.encode())
    _list_selections(store)
    tidy(store, report_rounds(name), Marker(0, {}))
    return store.location(stats_file(name)), store.location(report_page(name))


def _list_selections(store: Store) -> None:
    """Write the page that lists the selections."""
    made = listing.selections(store)
    pages = {one.name: report_page(one.name) for one in made if store.exists(report_page(one.name))}
    page = render("index.html.j2", {"selections": made, "pages": pages}).encode()
    if not store.exists(INDEX_PAGE) or store.read(INDEX_PAGE) != page:
        store.write(INDEX_PAGE, page)


def _counted(recipe: Recipe, selection: Marker, name: str) -> Counted:
    """Return what is counted of a selection, by its own rules: a recipe may have others now."""
    record = of_marker(selection)
    listed = rules(recipe)
    if record:
        listed = tuple(rule for rule in record.rules if rule.name in record.entries)
    deciding = [rule.name for rule in listed if reads_any(rule, evaluation_sets.COLUMNS)]
    return Counted(
        name,
        selection,
        listed,
        recipe.shard.seed,
        recipe.report.ledger_rows,
        dropped_by(deciding),
        recipe.other_scores,
        counted_bounds(record) if record else (),
    )


def _unknown(recipe: Recipe) -> tuple[str, ...]:
    """Return the scores of which the recipe's model can know nothing."""
    return unknown(recipe.embed) if recipe.embed else ()


def stage_costs(recipe: Recipe, store: Store, name: str) -> list[StageCost]:
    """Return what the stages have cost, as markers say; those of the pool have one each."""
    stages: dict[str, Iterable[Marker]] = {"gather": store.markers(GATHER_FOLDER).values()}
    for model in recipe.models:
        end = f" {model.name}" if model.name else ""
        folders = {"embed": model_folder(model), "scores": scores_folder(model)}
        stages |= {
            f"{stage}{end}": store.markers(vectors_folder(folder)).values()
            for stage, folder in folders.items()
        }
    for stage, path in (
        ("group", GROUP_MARKER),
        ("columns", COLUMNS_MARKER),
        ("blocklist", BLOCKLIST_MARKER),
        ("select", select_marker(name)),
        ("shard", shard_marker(name)),
    ):
        marker = store.marker(path)
        stages[stage] = [marker] if marker else []
    return of_stages(stages)


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
    connection: "DuckDBPyConnection",
    recipe: Recipe,
    engine: Engine,
    counts: PoolCounts,
    counted: Counted,
    bounds: Sequence[ShownBound],
) -> dict[str, Any]:
    """Return what the template shows."""
    store, selection = counts.store, counted.marker
    record = of_marker(selection)
    conditions = ALWAYS | {rule.name: rule.sql for rule in counted.rules}
    shards = current_shards(store, counted.name)
    return {
        "name": counted.name,
        "counts": selection.counts,
        "in_shards": shards.rows if shards else 0,
        "funnel": selection.extra["funnel"],
        "conditions": conditions,
        "always": ALWAYS,
        "quotas": any(rule.quota for rule in counted.rules),
        "gates": {rule.name for rule in counted.rules if rule.gate},
        "outcomes": rows(connection, _OUTCOMES),
        **fetches(connection, recipe, ROWS_SHOWN),
        "line": line_sentences(store.markers(GATHER_FOLDER).values()),
        "sentences": {str(outcome): outcome.doc for outcome in Outcome},
        "histograms": list(histograms(connection, conditions.values(), _unknown(recipe))),
        "unknown": _unknown(recipe),
        "hosts": rows(connection, f"FROM hosts LIMIT {ROWS_SHOWN}"),
        "languages": rows(connection, f"FROM languages LIMIT {ROWS_SHOWN}"),
        "concepts": rows(connection, _CONCEPTS),
        "cluster_count": rows(connection, _CLUSTERS)[0]["n"],
        "cluster_sizes": rows(connection, SIZES),
        "kept_apart": _kept_apart(store.marker(GROUP_MARKER)),
        **_pictures(connection, recipe, engine, counts, counted, conditions, bounds),
        "models": model_sentences(store),
        "odd_heads": list(head_check.sentences(store, scores_folders(recipe).values())),
        "skipped": read_plan(store).sentences() if store.exists(PLAN_FILE) else [],
        "measured": [
            (column, how)
            for column, how in sources(recipe.embed).by_column.items()
            if column not in _unknown(recipe)
        ]
        if recipe.embed
        else [],
        "costs": stage_costs(recipe, store, counted.name),
        "recipe": recipe_text.text(recipe, record),
        "made_by": recipe_text.made_by(record),
        "chart_px": CHART_PX,
        "whole": counted.sampled is None,
    }


_OUTCOMES = f"""
    SELECT outcome, pairs, detail AS example FROM outcomes LEFT JOIN
    (SELECT outcome, min_by(detail, row) AS detail FROM {PARTIAL}.examples GROUP BY outcome)
    USING (outcome) ORDER BY pairs DESC, outcome
"""
# Pairs by how many pairs their rarest entry has: 1 to 9, 10 to 99 ...
_CONCEPTS = f"""
    SELECT (10 ** (digits - 1))::BIGINT AS least, (10 ** digits - 1)::BIGINT AS most,
           sum(pairs)::BIGINT AS pairs, sum(kept)::BIGINT AS kept
    FROM {PARTIAL}.concepts GROUP BY digits ORDER BY digits
"""
_CLUSTERS = "SELECT coalesce(sum(clusters), 0)::BIGINT AS n FROM cluster_sizes"


def _pictures(
    connection: "DuckDBPyConnection",
    recipe: Recipe,
    engine: Engine,
    counts: PoolCounts,
    counted: Counted,
    conditions: dict[str, str],
    bounds: Sequence[ShownBound],
) -> dict[str, Any]:
    """Return the pairs that are shown, with their thumbnails: samples, clusters, overlaps."""
    dropping = [step["rule"] for step in counted.marker.extra["funnel"] if step["dropped"]]
    samples = shown_pairs.sampled(
        connection, [rule for rule in dropping if rule not in WITHOUT_SAMPLE]
    )
    clusters = shown_pairs.largest_clusters(connection)
    evaluated = overlaps(connection)
    numbers = [number for _, chosen in samples for number in chosen]
    numbers += [number for each in (*clusters, *evaluated) for number in each["shown"] or ()]
    numbers += [row for bound in bounds for row in bound.rows]
    found = shown_pairs.look_up(engine, counts, numbers, recipe.other_scores, conditions.values())
    pairs_of = {rule: [dict(found[number]) for number in chosen] for rule, chosen in samples}
    for each in (*clusters, *evaluated):
        each["copies"] = each["pairs_shown"] = [dict(found[n]) for n in each["shown"] or ()]
    overlapping = [pair for each in evaluated for pair in each["pairs_shown"]]
    copies = [pair for each in clusters for pair in each["copies"]]
    at_bounds = [(bound, bound.tiles(found)) for bound in bounds]
    near = [pair for _, sides in at_bounds for side in sides for pair in side]
    add_evaluation_images(recipe, counts.store, overlapping)
    shown_pairs.add_thumbnails(
        counts.store,
        [*(p for of in pairs_of.values() for p in of), *overlapping, *copies, *near],
        _unknown(recipe),
    )
    for rule, pairs in pairs_of.items():
        columns = COLUMNS + recipe.other_scores
        shown_pairs.add_facts(pairs, conditions.get(rule or "", ""), columns)
    _add_relations(copies, overlapping)
    return {
        "samples": list(pairs_of.items()),
        "bounds": at_bounds,
        "clusters": clusters,
        "evaluation_sets": evaluated,
    }


def _add_relations(copies: list[Pair], overlapping: list[Pair]) -> None:
    """Give each pair of a cluster, and each that is like an evaluation image, its `facts`."""
    for pair in copies:
        pair["facts"] = [("", shown_pairs.relation(pair))]
    for pair in overlapping:
        names = ("eval_distance", "eval_overlap")
        pair["facts"] = [(name, shown_pairs.value(pair[name])) for name in names]


def _kept_apart(grouped: Marker | None) -> dict[str, int]:
    """Return how many images each signal kept apart from a near keeper, where there are any."""
    head = "kept_apart_by_"
    counts = grouped.counts if grouped else {}
    return {key[len(head) :]: n for key, n in counts.items() if key.startswith(head) and n}
