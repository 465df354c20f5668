"""Select: the rules give every pair its verdict, and the funnel says what each rule cost.

Reads ledger columns only: no network, no pixels, so another threshold is a matter of seconds.
"""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from pairsieve.filters.order import Phase
from pairsieve.pipeline.dataset.commit import current, fingerprint, replace
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    GROUP_MARKER,
    result,
    select_marker,
    selection_folder,
)
from pairsieve.pipeline.dataset.stages import SELECT, STAGES, Scope
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dedup import steps
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.external import blocklist_recheck
from pairsieve.pipeline.ledger.ledger import (
    attach,
    connect,
    export,
    gathered_fingerprint,
    inputs,
    result_files,
)
from pairsieve.pipeline.ledger.rules import BLOCKLIST, MINOR, REPEATED, Rule, check, rules
from pairsieve.pipeline.ledger.sql import quoted
from pairsieve.pipeline.vectors.folders import scores_folders, unscored_slices
from pairsieve.schemas.columns import ROW, SELECTED
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Recipe

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

FAILED = f"outcome NOT IN ('{Outcome.OK}', '{Outcome.GATED}')"


def decide(recipe: Recipe, store: Store, engine: Engine, name: str) -> Iterator[Marker]:
    """Yield the marker; so `run` calls every stage that decides."""
    yield run(recipe, store, name)


def run(recipe: Recipe, store: Store, name: str) -> Marker:
    """Judge every pair and commit the selection `name`; without a change nothing is done.

    The marker's counts are pairs = failed + dropped + kept; its extra has the funnel, and the
    fingerprint of the ledger parts it has judged, so that `status` knows when there are others.

    Raises:
        BadOption: a rule does not fit, vectors are not scored by this recipe, or a rule reads what
            `group` has not measured for it.
    """
    applied = _applied(recipe)
    if unscored := unscored_slices(store, recipe):
        raise BadOption(
            f"embed: {unscored} task slices have vectors, but no scores by this recipe's prompts, "
            "heads and classifiers; `pairsieve embed` measures them from the vectors"
        )
    embeddings = scores_folders(recipe)
    grouped = store.marker(GROUP_MARKER)
    steps.check_measured(recipe, grouped)
    measured = inputs(store, embeddings)
    blocklist_recheck.run(recipe, store)
    identity = fingerprint(
        [(rule.name, rule.sql, rule.gate) for rule in applied],
        measured,
        [model.name for model in recipe.other_models],
        [result_files(store, stage, None) for stage in STAGES if stage.scope is Scope.POOL],
    )
    if done := current(store, select_marker(name), identity):
        return done
    with connect(store) as connection:
        attach(connection, store, embeddings, before=SELECT)
        check(applied, connection.sql("SELECT * FROM ledger LIMIT 0").to_arrow_table().schema)
        _judge(connection, applied)
        path = result(selection_folder(name))
        with store.writer(path) as sink:
            columns = ", ".join(column.name for column in (ROW, *SELECTED))
            export(connection, f"SELECT {columns} FROM judged ORDER BY row", sink, (ROW, *SELECTED))
        funnel = _funnel(connection, applied)
    counts = {
        "pairs": funnel[0]["entered"],
        "failed": funnel[0]["dropped"],
        "dropped": funnel[0]["left"] - funnel[-1]["left"],
        "kept": funnel[-1]["left"],
    }
    extra = {
        "fingerprint": identity,
        "gathered": gathered_fingerprint(measured),
        "funnel": funnel,
    }
    marker = Marker(counts["pairs"], {path: sink.entry()}, counts, extra)
    replace(store, select_marker(name), marker)
    return marker


def _applied(recipe: Recipe) -> tuple[Rule, ...]:
    """Return the rules of the recipe between those that always hold.

    What the blocklist names never survives, nor what `minor_safety` drops, which a recipe can only
    make stricter. Nor does a pair that is the copy of a pair kept elsewhere, or one that a gate has
    stopped before its image was fetched, although this recipe's own gates would let it pass.
    """
    listed = rules(recipe)
    strict = [rule for rule in listed if rule.name == MINOR.name]
    if recipe.embed:
        listed = (*(strict or [MINOR]), *(rule for rule in listed if rule not in strict))
    gates = [f"coalesce({r.condition}, false)" for r in listed if r.gate and r.phase is Phase.TEXT]
    passed = " AND ".join(gates) or "true"
    never_fetched = f"NOT (outcome = '{Outcome.GATED}' AND {passed})"
    return (BLOCKLIST, REPEATED, *listed, Rule("gated", never_fetched, False, Phase.TEXT))


def _judge(connection: "DuckDBPyConnection", applied: tuple[Rule, ...]) -> None:
    """Make the table `judged`: a row per pair with its verdict and `r0`, `r1`, ... per rule.

    A rule applies to a pair only if the pair came far enough to be measured for it: one stopped
    by a gate on its text has no image, one stopped by a gate on its image no vectors.

    Raises:
        BadOption: a rule fails on the data, and DuckDB cannot pass over the row.
    """
    import duckdb

    answers = ", ".join(f"{rule.condition} AS r{index}" for index, rule in enumerate(applied))
    image_gates = [rule.condition for rule in applied if rule.gate and rule.phase is Phase.IMAGE]
    passed = " AND ".join(f"coalesce({sql}, false)" for sql in image_gates) or "true"
    reached = (
        f"CASE WHEN outcome = '{Outcome.GATED}' THEN {int(Phase.TEXT)} "
        f"WHEN NOT ({passed}) THEN {int(Phase.IMAGE)} ELSE {int(Phase.POOL)} END"
    )
    noes = ", ".join(
        f"CASE WHEN {int(rule.phase)} <= reached AND NOT coalesce(r{index}, false) "
        f"THEN {quoted(rule.name)} END"
        for index, rule in enumerate(applied)
    )
    query = f"""
        CREATE TABLE judged AS
        SELECT *, NOT failed AND len(failing) = 0 AS keep, failing[1] AS first_failing
        FROM (
            SELECT *, CASE WHEN failed THEN []::VARCHAR[]
                      ELSE list_filter([{noes}], lambda rule: rule IS NOT NULL) END AS failing
            FROM (SELECT row, {FAILED} AS failed, {reached} AS reached, {answers} FROM ledger)
        )
        """
    try:
        connection.execute(query)
    except (duckdb.ConversionException, duckdb.OutOfRangeException) as error:
        message = f"keep: a rule with a window or subquery fails on the data: {error}"
        raise BadOption(message) from error


def _funnel(connection: "DuckDBPyConnection", applied: tuple[Rule, ...]) -> list[dict[str, Any]]:
    """Return a row per rule in order, the fetch and decode first; everything counted in one scan.

    `unmeasured` counts those of `dropped` whose score was missing.
    """
    counts = ["count(*)", "count(*) FILTER (failed)"]
    for index, rule in enumerate(applied):
        first = f"first_failing = {quoted(rule.name)}"
        only, unmeasured = f"{first} AND len(failing) = 1", f"{first} AND r{index} IS NULL"
        counts += [f"count(*) FILTER ({which})" for which in (first, only, unmeasured)]
    (row,) = connection.execute(f"SELECT {', '.join(counts)} FROM judged").fetchall()
    entered, failed, *of_rules = row
    funnel = [_row(0, "outcome", entered, failed, (failed, 0))]
    for index, rule in enumerate(applied):
        dropped, only_this, missing = of_rules[3 * index : 3 * index + 3]
        # The rules that always hold are shown only if they drop something.
        if dropped or rule not in (BLOCKLIST, REPEATED, MINOR, applied[-1]):
            left, apart = funnel[-1]["left"], (only_this, missing)
            funnel.append(_row(len(funnel), rule.name, left, dropped, apart))
    return funnel


def _row(
    position: int, rule: str, entered: int, dropped: int, apart: tuple[int, int]
) -> dict[str, Any]:
    """Return one row of the funnel; `apart` is (only_this, unmeasured)."""
    return {
        "position": position,
        "rule": rule,
        "entered": entered,
        "dropped": dropped,
        "only_this": apart[0],
        "unmeasured": apart[1],
        "left": entered - dropped,
    }
