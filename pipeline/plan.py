"""Plan: cut the input into units, once, into an immutable plan.json that all later work follows.

A unit is `unit_pairs` consecutive pairs, across files; only the last is shorter. A format that its
reader reads in place stays where it lies, and only footers are read now. Every other is staged
(`staging.py`). The plan remembers which files it was made for and what shapes the measured columns.
With other files or other measuring options it is refused, because its units would mean something
else; rules may change.
"""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import islice
from typing import Any

import pyarrow as pa

from pairsieve.filters.order import Phase
from pairsieve.pipeline.dataset.commit import fingerprint
from pairsieve.pipeline.dataset.paths import PLAN_FILE, is_foreign
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.input import staging
from pairsieve.pipeline.input.extra_columns import (
    Kept,
    Types,
    called,
    of_kinds,
    of_types,
    source_of,
    widen,
)
from pairsieve.pipeline.input.files import InputFile
from pairsieve.pipeline.input.formats import READERS, InputFiles, find_files
from pairsieve.pipeline.input.reader import BadFile, Reader, Record, Records, Rows, missing_column
from pairsieve.pipeline.ledger.rules import gates
from pairsieve.pipeline.unit.plan_file import File, FileSlice, Plan, read, staged_files
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_input import HASHES, Input

FOOTERS_AT_ONCE = 16
FOREIGN_SHOWN = 3


def run(recipe: Recipe, store: Store, readers: tuple[Reader, ...] = READERS) -> Plan:
    """Return the dataset's plan; make it if there is none.

    `readers` is the table of input formats.

    Raises:
        BadOption: the input cannot be read as the recipe says, or the plan that is there was made
            for other files or other measuring options.
    """
    options = measuring(recipe)
    if not store.exists(PLAN_FILE):
        _check_folder(store)
    input_files = find_files(recipe.input, store.url, readers)
    if not store.exists(PLAN_FILE):
        plan = _new_plan(recipe, store, input_files, options)
        if store.create(PLAN_FILE, plan.dumps()):
            return plan
        mine = {name for name, _ in plan.staged}
        store.delete(mine.difference(staged_files(store)))
    plan = read(store)
    _check(plan, input_files, options)
    return plan


def _check_folder(store: Store) -> None:
    """Refuse to make a dataset where somebody's files are.

    Raises:
        BadOption: naming some of them.
    """
    foreign = list(islice((path for path in store.paths() if is_foreign(path)), FOREIGN_SHOWN))
    if foreign:
        raise BadOption(
            f"--dataset: {store.url} holds {', '.join(foreign)}, which is no part of a dataset; "
            "name a folder that is empty or not there yet"
        )


def measuring(recipe: Recipe) -> dict[str, Any]:
    """Return the options that shape what is measured, as JSON; not timeouts or politeness.

    Raises:
        BadOption: a rule of the recipe cannot work.
    """
    shaping = {
        "url", "text", "header", "delimiter", "quote", "encoding", "caption", "image", "columns",
        "leave_out", "as_text", "unit_pairs", *HASHES,
    }  # fmt: skip
    text = {"text": recipe.text.hashed()} if recipe.text else {}
    if recipe.text and recipe.text.tokens and recipe.embed:
        text["text"]["tokens"] = recipe.embed.model
    return text | {
        "input": recipe.input.model_dump(include=shaping, exclude_none=True, mode="json"),
        "image": recipe.image.model_dump(),
        "group": {"orientations": list(recipe.group.compared)},
        "gates": sorted(rule.sql for rule in gates(recipe, Phase.TEXT)),
    }


def _new_plan(
    recipe: Recipe, store: Store, input_files: InputFiles, options: dict[str, Any]
) -> Plan:
    """Return a new plan; what is not read in place is staged."""
    staged: list[tuple[str, int]] = []
    skipped: list[tuple[str, str]] = []
    reader, files = input_files.reader, input_files.files
    if isinstance(reader.read, Rows):
        counts, schema = _footers(recipe, files, reader.read, skipped)
        counts_of_files = counts
    else:
        counts, staged, schema = _staged(recipe, store, files, reader.read, skipped)
        counts_of_files = [rows for _, rows in staged]
    if not sum(counts):
        raise BadOption(f"input.path: no pairs in {recipe.input.path}")
    _check_hashes(recipe.input, schema)
    return Plan(
        dataset=store.url,
        pairs=sum(counts),
        fetch=not reader.holds_images,
        format=reader.format,
        measuring=options,
        files=[
            File(file.location, rows, file.bytes, file.version)
            for file, rows in zip(files, counts, strict=True)
        ],
        staged=staged,
        units=list(units(counts_of_files, recipe.input.unit_pairs)),
        schema=schema,
        fingerprints={"input": _input_fingerprint(input_files), "gather": fingerprint(options)},
        skipped=skipped,
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
    recipe: Recipe,
    store: Store,
    files: Sequence[InputFile],
    read: Records,
    skipped: list[tuple[str, str]],
) -> tuple[list[int], list[tuple[str, int]], pa.Schema]:
    """Stage the input; return rows per input file, the staged files, the extra columns."""
    counts = [0] * len(files)
    kept = Kept.of(recipe)
    seen: set[str] = set()

    def pairs() -> Iterator[Record]:
        for index, file in enumerate(files):
            with _bad_file(recipe, file, skipped):
                for record in read(file, recipe.input):
                    counts[index] += 1
                    if len(seen) < staging.MAX_KEYS:  # more of them are refused, or left out
                        seen.update(record.others)
                    yield record._replace(others=kept.values(record.others))
        kept.check_names(seen)

    staged, kinds = staging.stage(store, pairs(), recipe.input.unit_pairs)
    return counts, staged, of_kinds(kinds)


def _footers(
    recipe: Recipe, files: Sequence[InputFile], rows: Rows, skipped: list[tuple[str, str]]
) -> tuple[list[int], pa.Schema]:
    """Return rows per file and the extra columns of all of them."""
    used = {"url": recipe.input.url, "text": recipe.input.text}
    counts = [0] * len(files)
    types: Types = {}
    kept = Kept.of(recipe)
    seen: set[str] = set()
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        read = [pool.submit(rows.footer, file) for file in files]
        for index, (file, footer) in enumerate(zip(files, read, strict=True)):
            with _bad_file(recipe, file, skipped):
                counts[index], schema = footer.result()
                _check_used(file.location, schema, used)
                for field in schema:
                    if not _is_taken(field, used):
                        seen.add(field.name)
                        _widen(types, field, kept, file)
    kept.check_names(seen)
    kept.check_types(types)
    return counts, of_types(types)


def _widen(types: Types, field: pa.Field, kept: Kept, file: InputFile) -> None:
    """Note the type of an extra column in one more file, if it is kept."""
    if kept.keeps(field.name):
        text = field.name in kept.as_text
        widen(types, field.with_type(pa.string()) if text else field, file.location)


def _is_taken(field: pa.Field, used: dict[str, str]) -> bool:
    """Return whether the column is the URL or the text, and all of it."""
    return field.name in used.values() and not pa.types.is_nested(field.type)


@contextmanager
def _bad_file(recipe: Recipe, file: InputFile, skipped: list[tuple[str, str]]) -> Iterator[None]:
    """Note in `skipped` that a file is broken and go on, where the recipe says so.

    What was read of it before the damage stays.

    Raises:
        BadOption: it is broken, and the recipe does not say so.
    """
    try:
        yield
    except BadFile as error:
        if recipe.input.on_bad_file == "stop":
            raise BadOption(
                f"{error}; or say `input.on_bad_file: skip` to go on without what cannot be read"
            ) from error
        skipped.append((file.location, str(error)))


def _check_used(location: str, schema: pa.Schema, used: dict[str, str]) -> None:
    """Refuse a file without the URL or text column, or with other than text in it."""
    for key, name in used.items():
        if name not in schema.names:
            raise missing_column(location, key, name, schema.names)
        type = schema.field(name).type
        captions = key == "text" and pa.types.is_list(type) and type.value_type == pa.string()
        if type not in (pa.string(), pa.binary(), pa.null()) and not captions:
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
            raise missing_column(options.path, key, name, known)
        if field.type not in (pa.string(), pa.binary()):
            raise BadOption(f"input.{key}: column `{name}` is {field.type}, not text")


def _input_fingerprint(input_files: InputFiles) -> str:
    every = [*input_files.files, *(f.companion for f in input_files.files if f.companion)]
    versions = [(file.location, file.bytes, file.version) for file in every]
    return fingerprint(input_files.reader.format, versions)


def _check(plan: Plan, input_files: InputFiles, options: dict[str, Any]) -> None:
    """Refuse to go on with a plan that was made for something else."""
    way_out = "Use another --dataset, or go back to"
    if plan.fingerprints["input"] != _input_fingerprint(input_files):
        raise BadOption(
            f"{plan.dataset} was planned for another input: {_changed_files(plan, input_files)}. "
            f"{way_out} the old input."
        )
    if plan.fingerprints["gather"] != fingerprint(options):
        changes = "; ".join(_changed_options(plan.measuring, options))
        raise BadOption(
            f"{plan.dataset} was planned with other measuring options: {changes}. "
            f"{way_out} the old recipe; rules that are no gates may change freely."
        )


def _changed_files(plan: Plan, input_files: InputFiles) -> str:
    """Return how many files are new, gone or changed, each with an example."""
    old = {file.path: (file.bytes, file.version) for file in plan.files}
    new = {file.location: (file.bytes, file.version) for file in input_files.files}
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
    for section in dict.fromkeys((*old, *new)):
        if section == "gates" and old[section] != new[section]:
            yield f"gates on the text: {old[section]} then, {new[section]} now"
        elif section != "gates":
            then_all, now_all = old.get(section, {}), new.get(section, {})
            for key in dict.fromkeys((*then_all, *now_all)):
                then, now = then_all.get(key), now_all.get(key)
                if then != now:
                    yield f"{section}.{key}: {then!r} then, {now!r} now"
