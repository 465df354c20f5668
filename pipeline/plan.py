"""Plan: cut the input into units, once, into an immutable plan.json that all later work follows.

A unit is `unit_pairs` consecutive pairs, across files; only the last is shorter. Parquet files are
read where they lie, and only their footers now. Every other format is staged (`staging.py`). The
plan remembers which files it was made for and what shapes the measured columns. With other files
or other measuring options it is refused, because its units would mean something else; rules may
change.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from pairsieve.filters.order import Phase
from pairsieve.pipeline.dataset.commit import fingerprint
from pairsieve.pipeline.dataset.paths import PLAN_FILE
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.input import files, parquet, staging, text, webdataset
from pairsieve.pipeline.input.extra_columns import (
    Types,
    called,
    of_kinds,
    of_types,
    source_of,
    widen,
)
from pairsieve.pipeline.input.files import Found, Source
from pairsieve.pipeline.ledger.rules import gates
from pairsieve.pipeline.unit.plan_file import File, FileSlice, Plan, read, staged_files
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import HASHES, Input, Recipe

FOOTERS_AT_ONCE = 16


def run(recipe: Recipe, store: Store) -> Plan:
    """Return the dataset's plan; make it if there is none.

    Raises:
        BadOption: the input cannot be read as the recipe says, or the plan that is there was made
            for other files or other measuring options.
    """
    options = measuring(recipe)
    found = files.find(recipe.input, store.url)
    if not store.exists(PLAN_FILE):
        made = _made(recipe, store, found, options)
        if store.create(PLAN_FILE, made.dumps()):
            return made
        mine = {name for name, _ in made.staged}
        store.delete(mine.difference(staged_files(store)))
    plan = read(store)
    _check(plan, found, options)
    return plan


def measuring(recipe: Recipe) -> dict[str, Any]:
    """Return the options that shape what is measured, as JSON; not timeouts or politeness.

    Raises:
        BadOption: a rule of the recipe cannot work.
    """
    shaping = {"url", "text", "header", "unit_pairs", *HASHES}
    return {
        "input": recipe.input.model_dump(include=shaping, exclude_none=True),
        "image": recipe.image.model_dump(),
        "group": {"orientations": list(recipe.group.compared)},
        "gates": sorted(rule.sql for rule in gates(recipe, Phase.TEXT)),
    }


def _made(recipe: Recipe, store: Store, found: Found, options: dict[str, Any]) -> Plan:
    """Return a new plan; what is not Parquet is staged."""
    staged: list[tuple[str, int]] = []
    if found.format == "parquet":
        counts, schema = _footers(recipe, found)
        counts_of_files = counts
    else:
        counts, staged, schema = _staged(recipe, store, found)
        counts_of_files = [rows for _, rows in staged]
    if not sum(counts):
        raise BadOption(f"input.path: no pairs in {recipe.input.path}")
    _check_hashes(recipe.input, schema)
    return Plan(
        dataset=store.url,
        pairs=sum(counts),
        fetch=found.format != "webdataset",
        format=found.format,
        measuring=options,
        files=[
            File(source.location, rows, source.bytes, source.version)
            for source, rows in zip(found.sources, counts, strict=True)
        ],
        staged=staged,
        units=list(units(counts_of_files, recipe.input.unit_pairs)),
        schema=schema,
        fingerprints={"input": _input_fingerprint(found), "gather": fingerprint(options)},
    )


def units(counts: Sequence[int], unit_pairs: int) -> Iterator[list[FileSlice]]:
    """Yield the slices of each unit, out of the rows of each file."""
    unit: list[FileSlice] = []
    left = unit_pairs
    for file, count in enumerate(counts):
        first = 0
        while first < count:
            rows = min(left, count - first)
            unit.append([file, first, rows])
            first += rows
            left -= rows
            if not left:
                yield unit
                unit, left = [], unit_pairs
    if unit:
        yield unit


def _staged(
    recipe: Recipe, store: Store, found: Found
) -> tuple[list[int], list[tuple[str, int]], pa.Schema]:
    """Stage the input; return rows per input file, the staged files, the travelling columns."""
    counts = [0] * len(found.sources)

    def pairs() -> Iterator[text.Record]:
        for place, source in enumerate(found.sources):
            for record in _records(recipe, found, source):
                counts[place] += 1
                yield record

    staged, kinds = staging.stage(store, pairs(), recipe.input.unit_pairs)
    return counts, staged, of_kinds(kinds)


def _records(recipe: Recipe, found: Found, source: Source) -> Iterator[text.Record]:
    if found.format == "webdataset":
        return webdataset.records(source, found.companions.get(source.name), recipe.input)
    return text.records(source, found.format, recipe.input)


def _footers(recipe: Recipe, found: Found) -> tuple[list[int], pa.Schema]:
    """Return rows per Parquet file and the travelling columns of all of them."""
    used = {"url": recipe.input.url, "text": recipe.input.text}
    counts: list[int] = []
    types: Types = {}
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        for source, footer in zip(
            found.sources, pool.map(parquet.footer, found.sources), strict=True
        ):
            rows, schema = footer
            counts.append(rows)
            _check_used(source.location, schema, used)
            for field in schema:
                if field.name not in used.values():
                    widen(types, field, source.location)
    return counts, of_types(types)


def _check_used(location: str, schema: pa.Schema, used: dict[str, str]) -> None:
    """Refuse a file without the URL or text column, or with other than text in it."""
    for key, name in used.items():
        if name not in schema.names:
            raise text.column_error(location, key, name, schema.names)
        type = schema.field(name).type
        if type not in (pa.string(), pa.binary(), pa.null()):
            raise BadOption(f"input.{key}: column `{name}` of {location} is {type}, not text")


def _check_hashes(options: Input, schema: pa.Schema) -> None:
    """Refuse a column of expected hashes that is not there, or holds neither text nor bytes."""
    for key in HASHES:
        name = getattr(options, key)
        if name is None:
            continue
        field = called(schema, name)
        if field is None:
            known = [source_of(each) for each in schema]
            raise text.column_error(options.path, key, name, known)
        if field.type not in (pa.string(), pa.binary()):
            raise BadOption(f"input.{key}: column `{name}` is {field.type}, not text")


def _input_fingerprint(found: Found) -> str:
    every = [*found.sources, *found.companions.values()]
    return fingerprint(found.format, [(file.location, file.bytes, file.version) for file in every])


def _check(plan: Plan, found: Found, options: dict[str, Any]) -> None:
    """Refuse to go on with a plan that was made for something else."""
    way_out = "Use another --dataset, or go back to"
    if plan.fingerprints["input"] != _input_fingerprint(found):
        raise BadOption(
            f"{plan.dataset} was planned for another input: {_changed_files(plan, found)}. "
            f"{way_out} the old input."
        )
    if plan.fingerprints["gather"] != fingerprint(options):
        changes = "; ".join(_changed_options(plan.measuring, options))
        raise BadOption(
            f"{plan.dataset} was planned with other measuring options: {changes}. "
            f"{way_out} the old recipe; rules that are no gates may change freely."
        )


def _changed_files(plan: Plan, found: Found) -> str:
    """Return how many files are new, gone or changed, each with an example."""
    old = {file.path: (file.bytes, file.version) for file in plan.files}
    new = {file.location: (file.bytes, file.version) for file in found.sources}
    groups = {
        "new": sorted(new.keys() - old.keys()),
        "gone": sorted(old.keys() - new.keys()),
        "changed": [path for path in old if path in new and old[path] != new[path]],
    }
    parts = [
        f"{len(paths)} {what} ({paths[0]}{', ...' * (len(paths) > 1)})"
        for what, paths in groups.items()
        if paths
    ]
    return ", ".join(parts) or "the tables beside the tars, or the format, changed"


def _changed_options(old: dict[str, Any], new: dict[str, Any]) -> Iterator[str]:
    """Yield each option that differs, with both values."""
    for section in new:
        if section == "gates" and old[section] != new[section]:
            yield f"gates on the text: {old[section]} then, {new[section]} now"
        elif section != "gates":
            then_all = old.get(section, {})
            for key in dict.fromkeys((*then_all, *new[section])):
                then, now = then_all.get(key), new[section].get(key)
                if then != now:
                    yield f"{section}.{key}: {then!r} then, {now!r} now"
