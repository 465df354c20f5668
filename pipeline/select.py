"""Select: the rules give every pair its verdict, and the funnel says what each rule cost.

Reads ledger columns only: no network, no pixels, so another threshold is a matter of seconds. The
pool is judged in blocks, each by a task; the driver adds up what they count.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from pairsieve.filters.order import Phase
from pairsieve.pipeline.captions.folders import measured_folders, unfinished_slices
from pairsieve.pipeline.dataset import costs
from pairsieve.pipeline.dataset.commit import commit, current, fingerprint, replace, tidy
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    GATHER_FOLDER,
    GROUP_MARKER,
    content,
    marker_path,
    select_marker,
    selection_blocks,
    selection_rounds,
    task_name,
)
from pairsieve.pipeline.dataset.stages import SELECT
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dedup import steps
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.external import blocklist_recheck
from pairsieve.pipeline.ledger import block_columns
from pairsieve.pipeline.ledger.files import BLOCK_UNITS, MADE_BY, RULES, SCARCE, ledger_files
from pairsieve.pipeline.ledger.ledger import (
    export,
    gathered_fingerprint,
)
from pairsieve.pipeline.ledger.pool import Block, Pool, for_rules
from pairsieve.pipeline.ledger.rules import BLOCKLIST, MINOR, REPEATED, Rule, rules
from pairsieve.pipeline.ledger.verdicts import VERDICTS, tally
from pairsieve.pipeline.selections import quotas
from pairsieve.pipeline.selections.record import Record
from pairsieve.pipeline.vectors.folders import unscored_slices
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Recipe

GATED = "gated"  # the name of the rule on what a gate of an earlier recipe has stopped


def decide(recipe: Recipe, store: Store, engine: Engine, name: str) -> Iterator[Marker]:
    """Yield the marker; so `run` calls every stage that decides."""
    yield run(recipe, store, engine, name)


def run(
    recipe: Recipe, store: Store, engine: Engine, name: str, units: int = BLOCK_UNITS
) -> Marker:
    """Judge every pair and commit the selection `name`; without a change nothing is done.

    The pairs are judged in blocks of so many units, each a task that commits its verdicts. The
    marker's counts are pairs = failed + dropped + kept; its extra has the funnel, the names of the
    rules in the verdicts, how it was made, and the fingerprint of the ledger parts it has judged,
    so that `status` knows when there are others.

    Raises:
        BadOption: a rule does not fit, vectors are not scored by this recipe, or a rule reads what
            `group` has not measured for it, or the model of `captions` was not asked of all.
        Stopped: a task's process kept dying.
    """
    applied = _applied(recipe)
    if unscored := unscored_slices(store, recipe):
        raise BadOption(
            f"embed: {unscored} task slices have vectors, but no scores by this recipe's prompts, "
            "heads and classifiers; `pairsieve embed` measures them from the vectors"
        )
    if unfinished := unfinished_slices(store, recipe, len(store.marker_names(GATHER_FOLDER))):
        raise BadOption(
            f"captions: of {unfinished} task slices the model was not asked, or not to the end; "
            "`pairsieve caption` does"
        )
    embeddings = measured_folders(recipe)
    grouped = store.marker(GROUP_MARKER)
    steps.check_measured(recipe, grouped)
    blocklist_recheck.run(recipe, store, engine, units, embeddings)
    files = ledger_files(store, embeddings, before=SELECT)
    measured = files.measured()
    identity = fingerprint(
        [(rule.name, rule.sql, rule.gate) for rule in applied],
        measured,
        [model.name for model in recipe.other_models],
        [result.identity() for result in files.results],
        *[quota for rule in applied if (quota := rule.quota)],
    )
    made_by = Record.of(recipe, embeddings, applied).to_json()
    if done := current(store, select_marker(name), identity):
        done = _noted(store, name, done, made_by)
        _tidy(store, name, done)
        return done
    files = block_columns.run(store, engine, files, min(units, block_columns.COLUMN_UNITS))
    pool = Pool(store, engine, files, units)
    pool, applied = for_rules(pool, applied)
    judge = quotas.decide(pool, applied, name, identity)
    folder = selection_blocks(name, identity)
    judged = pool.run(partial(_judge, judge, len(applied), folder), folder)
    tallies = [marker.extra["tally"] for marker in judged]
    funnel = _funnel(applied, [sum(counts) for counts in zip(*tallies, strict=True)])
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
        RULES: [rule.name for rule in applied],
        MADE_BY: made_by,
        **costs.of_rounds(store, (selection_blocks(name), selection_rounds(name))),
    }
    if scarce := {one.rule.name: list(one.scarce) for one in judge.quotas if one.scarce}:
        extra[SCARCE] = scarce
    verdicts = {file: entry for part in judged for file, entry in part.files.items()}
    marker = Marker(counts["pairs"], verdicts, counts, extra)
    replace(store, select_marker(name), marker)
    _tidy(store, name, marker)
    return marker


def _tidy(store: Store, name: str, marker: Marker) -> None:
    """Delete what was needed only to make the selection."""
    for folder in (selection_blocks(name), selection_rounds(name)):
        tidy(store, folder, marker)


def _noted(store: Store, name: str, done: Marker, made_by: dict[str, Any]) -> Marker:
    """Return the marker of a selection as it is, noting that another recipe says the same."""
    if done.extra.get(MADE_BY) == made_by:
        return done
    marker = dataclasses.replace(done, extra=done.extra | {MADE_BY: made_by})
    replace(store, select_marker(name), marker)
    return marker


def _judge(judge: quotas.Judge, rules: int, folder: str, block: Block) -> Marker:
    """Judge the pairs of a block and commit the verdicts."""
    path = content(folder, task_name(block.number), ".parquet")
    with block.ledger(judge.columns) as connection:
        judge(connection, block)
        connection.unregister("ledger")  # its memory is given back before the verdicts are written
        with block.store.writer(path) as sink:
            names = ", ".join(column.name for column in VERDICTS)
            export(connection, f"SELECT {names} FROM judged ORDER BY row", sink, VERDICTS)
        counts = tally(connection, rules)
    marker = Marker(counts[0], {path: block.entry(sink)}, {}, {"tally": counts})
    return commit(block.store, marker_path(folder, task_name(block.number)), marker)


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
    gated = Rule(GATED, never_fetched, False, Phase.TEXT)
    last = [rule for rule in listed if rule.quota]
    return (BLOCKLIST, REPEATED, *(rule for rule in listed if not rule.quota), gated, *last)


def _funnel(applied: Sequence[Rule], tally: Sequence[int]) -> list[dict[str, Any]]:
    """Return a row per rule in order, the fetch and decode first.

    `unmeasured` counts those of `dropped` whose score was missing.
    """
    entered, failed, *of_rules = tally or [0, 0, *[0] * (3 * len(applied))]
    funnel = [_row(0, "outcome", entered, failed, (failed, 0))]
    for index, rule in enumerate(applied):
        dropped, only_this, missing = of_rules[3 * index : 3 * index + 3]
        # The rules that always hold are shown only if they drop something.
        always = rule in (BLOCKLIST, REPEATED, MINOR) or rule.name == GATED
        if dropped or not always:
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
