"""Diff: what one selection keeps and another does not, and which rules made the difference.

The verdicts of both are read block by block, each by a task; then the few pairs that are shown are
looked up in their blocks.
"""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import partial
from heapq import nsmallest
from typing import Any

from pairsieve.pipeline.dataset.checksums import STORED_AT, located, read_images
from pairsieve.pipeline.dataset.stages import SELECT
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.evaluation import results
from pairsieve.pipeline.evaluation.results import Compared
from pairsieve.pipeline.ledger import block_columns, sql
from pairsieve.pipeline.ledger.files import BLOCK_UNITS, RULES, ledger_files, result_files
from pairsieve.pipeline.ledger.pool import Block, Pool, one_row
from pairsieve.pipeline.ledger.rules import MINOR
from pairsieve.pipeline.ledger.verdicts import FAILING_BITS
from pairsieve.pipeline.selections.record import Record, read, read_by, values_of
from pairsieve.pipeline.stats.page import render, thumbnail
from pairsieve.pipeline.stats.shown_pairs import is_sensitive, value
from pairsieve.schemas.columns import BLOCKED, KEEP, NSFW, ROW, TEXT, UID, URL, VIOLENCE
from pairsieve.schemas.errors import BadOption

OUTCOME = "outcome"  # as the funnel calls it: there was no image then
UNJUDGED = "not judged"  # one selection is older than the pair
BITS = FAILING_BITS.name
ENDS = ("_a", "_b")  # of the columns of the two selections
Example = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Change:
    """The pairs that one rule drops from one of the two selections, being the first to say no.

    Attributes:
        rule: Its name; "outcome" and "not judged" stand for what no rule has dropped.
        pairs: How many pairs.
        only: Those of them that no other rule of that selection drops.
        examples: A few of them, by uid: `uid`, `url`, `text`, and what the rule reads as `scores`.
    """

    rule: str
    pairs: int
    only: int
    examples: list[Example] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Difference:
    """How the selection `b` differs from the selection `a`.

    Attributes:
        a, b: Their names.
        pairs: Pairs of the pool.
        kept_a, kept_b, both: Those kept by one, by the other, by both.
        gained: What `b` keeps and `a` does not, by the rules of `a`.
        lost: What `a` keeps and `b` does not, by the rules of `b`.
        evaluations: How well models do that were trained on each; `a` first.
    """

    a: str
    b: str
    pairs: int
    kept_a: int
    kept_b: int
    both: int
    gained: list[Change]
    lost: list[Change]
    evaluations: list[Compared] = field(default_factory=list)

    def to_json(self) -> dict[str, Any]:
        """Return the fields by name; places of pictures and what else is ours left out."""
        counts = {name: getattr(self, name) for name in self.__slots__[:6]}
        sides = {side: list(map(_shown, getattr(self, side))) for side in _SIDES}
        return counts | sides | {"evaluations": [asdict(one) for one in self.evaluations]}


_SIDES = ("gained", "lost")
_SHOWN = ("uid", "url", "text", "scores")


def _shown(change: Change) -> dict[str, Any]:
    examples = [{key: example[key] for key in _SHOWN} for example in change.examples]
    return {"rule": change.rule, "pairs": change.pairs, "only": change.only, "examples": examples}


def run(
    store: Store, engine: Engine, names: tuple[str, str], examples: int, units: int = BLOCK_UNITS
) -> Difference:
    """Return how the second selection differs from the first.

    Args:
        store: The dataset.
        engine: Where blocks are read.
        names: Of the two selections.
        examples: How many pairs to show of each rule and side.
        units: Units of a block.

    Raises:
        BadOption: one of them is not there, or they are one.
        Stopped: a task's process kept dying, or verdicts are not as they were.
    """
    a, b = names
    if a == b:
        raise BadOption(f"diff: both selections are `{a}`; name two")
    sides = [_Side(name, *_rules_of(store, name)) for name in names]
    scored = ledger_files(store, sides[0].record.scores, before=SELECT)
    files = replace(block_columns.current(store, scored), scores={})
    verdicts = [
        replace(result_files(store, SELECT, name), columns=(KEEP, FAILING_BITS), suffix=suffix)
        for name, suffix in zip(names, ENDS, strict=True)
    ]
    pool = Pool(store, engine, replace(files, results=(*files.results, *verdicts)), units)
    totals, changes = _counted(pool, examples)
    gained, lost = (
        _looked_up(pool, side, {place: found for (of, place), found in changes.items() if of == n})
        for n, side in enumerate(sides)
    )
    pairs, kept_a, kept_b, both = totals
    evaluations = results.compared([results.read(store, name) for name in names])
    return Difference(a, b, pairs, kept_a, kept_b, both, gained, lost, evaluations)


@dataclass(frozen=True, slots=True)
class _Side:
    """A selection that drops what the other keeps: its name, its record, the names of its bits."""

    name: str
    record: Record
    rules: Sequence[str]


def _rules_of(store: Store, name: str) -> tuple[Record, Sequence[str]]:
    marker, record = read(store, name)
    return record, marker.extra[RULES]


@dataclass(slots=True)
class _Found:
    """What blocks tell of one rule: pairs, those that it alone drops, and (uid, row, block)."""

    pairs: int = 0
    only: int = 0
    examples: list[tuple[str, int, Block]] = field(default_factory=list)


_Changes = dict[tuple[int, int], _Found]  # (0 gained or 1 lost, place of the rule) -> what is found


def _counted(pool: Pool, examples: int) -> tuple[list[int], _Changes]:
    """Return (pairs, kept by a, kept by b, by both), and what was found of each side and rule.

    Places of rules begin with 1; 0 is the outcome, -1 a pair that was not judged.
    """
    query = f"""
        WITH changed AS (
            SELECT row, uid, CASE WHEN keep_b THEN 0 ELSE 1 END AS side,
                   CASE WHEN keep_b THEN {BITS}_a ELSE {BITS}_b END AS bits
            FROM ledger WHERE coalesce(keep_a, false) <> coalesce(keep_b, false)
        ), of_rules AS (
            SELECT side,
                   CASE WHEN bits IS NULL THEN -1 WHEN bits = 0 THEN 0
                   ELSE bit_count(xor(bits, bits - 1)) END AS place,
                   count(*) AS pairs, count(*) FILTER (bit_count(bits) = 1) AS only,
                   arg_min(struct_pack(uid := uid, row := row), struct_pack(u := uid, r := row),
                           {examples}) AS examples
            FROM changed GROUP BY ALL
        )
        SELECT count(*), count(*) FILTER (keep_a), count(*) FILTER (keep_b),
               count(*) FILTER (keep_a AND keep_b), (SELECT list(of_rules) FROM of_rules)
        FROM ledger
        """
    columns = [UID.name, *(f"{name}{end}" for name in (KEEP.name, BITS) for end in ENDS)]
    totals, changes = [0, 0, 0, 0], _Changes()
    for block, (*counts, of_rules) in pool.each(partial(one_row, columns, query), pool.blocks):
        totals = [total + count for total, count in zip(totals, counts, strict=True)]
        for told in of_rules or ():
            found = changes.setdefault((told["side"], told["place"]), _Found())
            found.pairs += told["pairs"]
            found.only += told["only"]
            more = [(one["uid"], one["row"], block) for one in told["examples"]]
            found.examples = nsmallest(examples, [*found.examples, *more], key=lambda one: one[:2])
    return totals, changes


def _looked_up(pool: Pool, side: _Side, found: Mapping[int, _Found]) -> list[Change]:
    """Return the changes that a selection's rules have made, in their order, with examples."""
    rules = {rule.name: rule for rule in side.record.rules}
    named = {place: _rule_name(place, side.rules) for place in sorted(found)}
    read = {
        place: read_by(rules[name]) if name in rules else set[str]()
        for place, name in named.items()
    }
    pairs = _details(pool, side.record.scores, found, set().union(*read.values()))
    return [
        Change(
            name,
            found[place].pairs,
            found[place].only,
            [_example(pairs[row], read[place]) for _, row, _ in found[place].examples],
        )
        for place, name in named.items()
    ]


def _rule_name(place: int, rules: Sequence[str]) -> str:
    return {-1: UNJUDGED, 0: OUTCOME}.get(place) or rules[place - 1]


def _details(
    pool: Pool, scores: Mapping[str, str], found: Mapping[int, _Found], columns: Collection[str]
) -> dict[int, dict[str, Any]]:
    """Return what is shown of the examples, by row; `scores` are the folders of `ledger_files`."""
    rows: dict[int, list[int]] = {}
    for of_rule in found.values():
        for _, row, block in of_rule.examples:
            rows.setdefault(block.number, []).append(row)
    scored = ledger_files(pool.store, scores, before=SELECT)
    own = replace(scored, results=pool.files.results)
    wanted = [block for block in replace(pool, files=own).blocks if block.number in rows]
    told = pool.each(partial(_pairs, rows, columns), wanted)
    return {pair["row"]: pair for _, pairs in told for pair in pairs}


def _pairs(
    rows: Mapping[int, Sequence[int]], columns: Collection[str], block: Block
) -> list[dict[str, Any]]:
    """Return some pairs of a block: what all are shown by, and those columns that there are."""
    always = [ROW, UID, URL, TEXT, BLOCKED, NSFW, VIOLENCE, *STORED_AT]
    names = {column.name for column in always} | {f"{BITS}{end}" for end in ENDS} | set(columns)
    listed = ", ".join(str(row) for row in rows[block.number])
    with block.ledger(names) as connection:
        return sql.rows(connection, f"SELECT * FROM ledger WHERE row IN ({listed})")


def _example(pair: Mapping[str, Any], read: Iterable[str]) -> Example:
    return {**pair, "scores": values_of(pair, read)}


def page(store: Store, difference: Difference) -> str:
    """Return the page with the pictures of a difference's examples.

    No picture is shown of what is blocked, or what the protection of minors drops in either.
    """
    content = {
        "difference": difference,
        "sides": pictured(store, difference),
        "evaluations": list(results.lines(difference.evaluations)),
    }
    return render("diff.html.j2", content)


def pictured(
    store: Store, difference: Difference, unknown: Collection[str] = ()
) -> list[dict[str, Any]]:
    """Return `side` and `changes` of what is gained, then lost, with the pictures of `page`.

    What scores call unsafe is blurred, but for those of `unknown`, whose model cannot know.
    """
    minor = [_bit(read(store, name)[0].extra[RULES]) for name in (difference.a, difference.b)]
    return [
        {"side": side, "changes": [_tiles(store, change, minor, unknown) for change in changes]}
        for side, changes in (("Gained", difference.gained), ("Lost", difference.lost))
    ]


def _bit(rules: Sequence[str]) -> int:
    """Return the bit of the protection of minors among the rules; 0 where it is not one."""
    return 1 << list(rules).index(MINOR.name) if MINOR.name in rules else 0


def _tiles(
    store: Store, change: Change, minor: Sequence[int], unknown: Collection[str]
) -> dict[str, Any]:
    """Return a change as the page shows it, with a thumbnail of each example that may be shown."""
    shown = [pair for pair in change.examples if _may_be_shown(pair, minor)]
    bodies = read_images(store, located(shown))
    thumbnails = {
        pair["row"]: thumbnail(body, is_sensitive(pair, unknown))
        for pair, body in zip(shown, bodies, strict=True)
    }
    tiles = [
        pair
        | {
            "thumbnail": thumbnails.get(pair["row"]),
            "facts": [(key, value(one)) for key, one in pair["scores"].items()],
        }
        for pair in change.examples
    ]
    return {"rule": change.rule, "pairs": change.pairs, "only": change.only, "tiles": tiles}


def _may_be_shown(pair: Mapping[str, Any], minor: Sequence[int]) -> bool:
    failing = [pair[f"{BITS}{end}"] or 0 for end in ENDS]
    withheld = any(bits & bit for bits, bit in zip(failing, minor, strict=True))
    return bool(pair[STORED_AT[0].name]) and pair[BLOCKED.name] is None and not withheld
