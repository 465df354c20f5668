"""What the commands on selections print."""

import json
from collections.abc import Iterator
from typing import Any

from pairsieve.jobs.console import print_sentence, print_table, printable
from pairsieve.jobs.recipes import preset_text
from pairsieve.jobs.recipes.preset_text import published, rules_of
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.shard_names import is_shard
from pairsieve.pipeline.evaluation import results
from pairsieve.pipeline.input.column_types import finite
from pairsieve.pipeline.ledger.files import SCARCE
from pairsieve.pipeline.selections.diff import Change, Difference
from pairsieve.pipeline.selections.life import Life
from pairsieve.pipeline.selections.sweep import Axis, Counts
from pairsieve.schemas.preset import Preset
from pairsieve.schemas.presets import PRESETS
from pairsieve.schemas.recipe import Recipe

SHARDS = "shards"  # in the counts of the marker of all shards


def print_difference(found: Difference) -> None:
    """Print how two selections differ: counts by rule, then a few pairs of each."""
    gained, lost = (sum(change.pairs for change in side) for side in (found.gained, found.lost))
    print_sentence(
        f"Of {found.pairs:,} pairs {found.a} keeps {found.kept_a:,} and {found.b} keeps "
        f"{found.kept_b:,}: {gained:,} gained, {lost:,} lost, {found.both:,} in both."
    )
    for title, side in (
        (f"Gained: dropped from {found.a} by", found.gained),
        (f"Lost: dropped from {found.b} by", found.lost),
    ):
        if side:
            rows = [(change.rule, change.pairs, change.only) for change in side]
            print_table(title, ("rule", "pairs", "only this"), list[tuple[Any, ...]](rows))
            shown = [row for change in side for row in _examples(change)]
            if shown:
                print_table("Some of them", ("rule", "score", "text, url, uid"), shown)

    if found.evaluations:
        head = ("set", "measure", "model", found.a, found.b)
        print_table("Models trained on them", head, [*results.lines(found.evaluations)])


def _examples(change: Change) -> list[tuple[Any, ...]]:
    """Return a row for each pair that is shown of a rule."""
    return [
        (
            change.rule,
            "\n".join(f"{name} {_score(value)}" for name, value in pair["scores"].items()),
            "\n".join(printable(pair[name]) for name in ("text", "url", "uid")),
        )
        for pair in change.examples
    ]


def _score(value: Any) -> str:
    """Return what a rule reads as it is printed."""
    return f"{value:.4g}" if isinstance(value, float) else printable(str(value))


def print_counts(counts: Counts) -> None:
    """Print what a sweep has counted: of one threshold a list, of two a table."""
    first, *rest = counts.axes
    swept = " and ".join(axis.threshold.rule.name for axis in counts.axes)
    print_sentence(
        f"{counts.images:,} pairs have an image; all rules but {swept} keep {counts.others:,}."
    )
    if rest:
        head = (first.threshold.key, *(_threshold(rest[0], value) for value in rest[0].values))
        rows = [
            (_threshold(first, value), *row)
            for value, row in zip(first.values, counts.survivors, strict=True)
        ]
        print_table(f"Survivors by {rest[0].threshold.key}", head, list[tuple[Any, ...]](rows))
        return
    lines = []
    for value, passing, (kept,) in zip(first.values, counts.passing, counts.survivors, strict=True):
        share = f"{100 * kept / max(counts.images, 1):.1f} %"
        lines.append((_threshold(first, value), passing, kept, share))
    head = (first.threshold.key, "pass the rule", "survive all", "of images")
    print_table("Survivors", head, list[tuple[Any, ...]](lines))
    if first.threshold.value is not None:
        print_sentence("* as the selection has it")


def _threshold(axis: Axis, value: float) -> str:
    """Return a value as it is printed; with a star where it is that of the selection."""
    return f"{value:g}{' *' if value == axis.threshold.value else ''}"


def print_presets() -> None:
    """Print a row per preset."""
    print_table("Presets: `keep: {preset: NAME}`", preset_text.HEAD, [*preset_text.rows()])


def print_preset(preset: Preset) -> None:
    """Print the rules of a preset, and what is to be known of it."""
    for label, text in (
        ("preset", f"{preset.name}: {preset.title}"),
        ("source", preset.source),
        ("model", preset.model_name),
        ("published", published(preset)),
        *(("differs", sentence) for sentence in preset.differs),
    ):
        print_sentence(f"{label:<17} {text}")
    print_sentence(f"keep:\n{rules_of(preset)}")


def pass_rates(recipe: Recipe, selected: Marker) -> Iterator[str]:
    """Yield a sentence on each preset of a recipe: its published pass rate, and what was kept."""
    counts = selected.counts
    entered = counts["pairs"] - counts["failed"]
    share = f"{100 * counts['kept'] / max(entered, 1):.1f} %"
    ours = f"{share} of {entered:,} pairs that did not fail in fetch or decode"
    for name in recipe.origin.presets:
        rate = published(PRESETS[name])
        said = f"published {rate}" if rate != "-" else "no pass rate is published"
        yield f"Preset {name}: {said}; kept here, by all rules: {ours}."


def packed(marker: Marker, before: Marker | None) -> str:
    """Return what is said of a shard, or of those to which others are appended, as they are now.

    `before` is what was there when packing began.
    """
    shards = [file for file in marker.files if is_shard(file)]
    if SHARDS not in marker.counts:  # it is of one shard
        return f"{shards[0]}  {_samples(marker.rows)}"
    gone = before.rows - marker.rows if before else 0
    said = f"; {_samples(gone)} left them, dropped by now" if gone else ""
    return (
        f"{len(shards):,} {'shard' if len(shards) == 1 else 'shards'} from before, with "
        f"{_samples(marker.rows)}{said}"
    )


def _samples(count: int) -> str:
    return f"{count:,} {'sample' if count == 1 else 'samples'}"


def print_life(life: Life, name: str) -> None:
    """Print what is known of a pair: what it is, its fetches, the rules, its copies, its shard."""
    pair = life.pair
    print_sentence(f"Row {pair['row']:,}, {printable(life.fate(name))}")
    facts = [(key, _score(value)) for key, value in pair.items() if key not in _TOLD]
    print_table("What is known of it", ("column", "value"), list[tuple[Any, ...]](facts))
    fetches = [
        ("first" if one["retry_layer"] == 0 else f"retry {one['retry_layer']}", *_of_fetch(one))
        for one in life.attempts
    ]
    print_table("Fetches", ("fetch", "outcome", "detail"), list[tuple[Any, ...]](fetches))
    if life.verdicts:
        rows = [
            (
                verdict.rule,
                "passes" if verdict.passed else "DROPS it",
                ", ".join(f"{key} {_known(value)}" for key, value in verdict.values.items()),
                _short(verdict.condition),
            )
            for verdict in life.verdicts
        ]
        print_table(f"Rules of {name}", ("rule", "", "reads", "asks"), list[tuple[Any, ...]](rows))
    if life.copies:
        copies = [
            (one["row"], "stays" if one["kept"] else "copy", printable(one["url"] or ""))
            for one in life.copies
        ]
        print_table("The same picture", ("row", "", "url"), list[tuple[Any, ...]](copies))


_ASKED_CHARS = 70  # of a rule's condition


def _known(value: Any) -> str:
    return "-" if value is None else _score(value)


def _short(condition: str) -> str:
    text = printable(" ".join(condition.split()))
    return text if len(text) <= _ASKED_CHARS else f"{text[: _ASKED_CHARS - 3]}..."


_TOLD = {"row", "retry_layer", "keep", "first_failing", "failing", "shard", "shard_offset"}


def _of_fetch(attempt: dict[str, Any]) -> tuple[str, str]:
    """Return the outcome of a fetch, and what else is known of it."""
    known = (
        printable(str(attempt.get("detail", ""))),
        f"HTTP {attempt['http_status']}" if "http_status" in attempt else "",
        f"{attempt['fetched_at']:%Y-%m-%d %H:%M:%S}" if "fetched_at" in attempt else "",
    )
    return attempt["outcome"], ", ".join(filter(None, known))


def limits(marker: Marker) -> list[str]:
    """Return a sentence on each mix of a selection: the value of which there are too few pairs."""
    return [
        f"{rule}: limited by `{value}`, of which there are {pairs:,} pairs."
        for rule, (value, pairs) in marker.extra.get(SCARCE, {}).items()
    ]


def json_of(said: Any) -> str:
    """Return as JSON what is said of pairs; a score that is no finite number is null there."""
    return json.dumps(finite(said), indent=1, default=str)
