"""Plan: cut the input into units, once, into an immutable plan.json that all later work follows.

A unit is `unit_pairs` consecutive pairs, across files; only the last is shorter. A format that its
reader reads in place stays where it lies, and only footers are read now. Every other is staged
(`staging.py`). The plan remembers which files it was made for and what shapes the measured columns.
With other files or other measuring options it is refused, because its units would mean something
else; rules may change.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from pairsieve.filters import own
from pairsieve.filters.order import Phase
from pairsieve.pipeline.dataset.commit import fingerprint
from pairsieve.pipeline.dataset.paths import PLAN_FILE
from pairsieve.pipeline.dataset.roles import is_foreign
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.input import staging
from pairsieve.pipeline.input.extra_columns import Kept, Kinds, of_kinds
from pairsieve.pipeline.input.files import InputFile
from pairsieve.pipeline.input.formats import READERS, InputFiles, find_files
from pairsieve.pipeline.input.reader import Reader, Record, Records, Rows
from pairsieve.pipeline.ledger.left_out import check_planned, unmeasured
from pairsieve.pipeline.ledger.rules import gates
from pairsieve.pipeline.unit import input_versions
from pairsieve.pipeline.unit.input_columns import (
    bad_file,
    check_hashes,
    dialects,
    footers,
    with_folders,
)
from pairsieve.pipeline.unit.plan_file import File, Plan, read, staged_files
from pairsieve.pipeline.unit.plan_limit import Limit, units
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_input import HASHES

FOREIGN_SHOWN = 3


def run(
    recipe: Recipe,
    store: Store,
    readers: tuple[Reader, ...] = READERS,
    limit: Limit | None = None,
    grow: bool = True,
) -> Plan:
    """Return the dataset's plan; make it if there is none, up to a limit.

    Input files that are new are added as further units, unless it is not to `grow`; what is planned
    of the others stays as it is. `readers` is the table of input formats.

    Raises:
        BadOption: the input cannot be read as the recipe says, or the plan that is there was made
            for other files or other measuring options.
    """
    options = measuring(recipe)
    if not store.exists(PLAN_FILE):
        _check_folder(store)
    input_files = find_files(recipe.input, store.url, readers)
    if not store.exists(PLAN_FILE):
        plan = _new_plan(recipe, store, input_files, options, limit)
        if store.create(PLAN_FILE, plan.dumps()):
            return plan
        mine = {name for name, _ in plan.staged}
        store.delete(mine.difference(staged_files(store)))
    plan = read(store)
    old, new = _parted(plan, input_files)
    known = len(old.files) == len(plan.files) == len(input_files.files) - len(new.files)
    _check(plan, old if known else input_files, store, options)
    check_planned(recipe, plan.left_out)
    if not (known and new.files and grow):
        return plan
    added = _new_plan(recipe, store, new, options, None)
    plan = _grown(plan, added, replace(old, files=(*old.files, *new.files)))
    store.write(PLAN_FILE, plan.dumps())
    return plan


def _parted(plan: Plan, found: InputFiles) -> tuple[InputFiles, InputFiles]:
    """Return the planned input files, in the plan's order, and those that a plan may grow by.

    A plan over a part of the input never grows, nor one over files of another format.
    """
    order = {file.path: number for number, file in enumerate(plan.files)}
    new = [file for file in found.files if file.location not in order]
    if plan.limit or plan.format != found.reader.format:
        new = []
    old = [file for file in found.files if file.location in order]
    old.sort(key=lambda file: order[file.location])
    parts = (replace(found, files=tuple(files)) for files in (old, new))
    return next(parts), next(parts)


def _grown(plan: Plan, added: Plan, found: InputFiles) -> Plan:
    """Return a plan with the files and units of another one behind its own.

    Raises:
        BadOption: the other has extra columns that this one lacks, or of another type.
    """
    for column in added.schema:
        known = plan.schema.field(column.name) if column.name in plan.schema.names else None
        if known is None or known.type != column.type:
            there = f"is {known.type} in the dataset" if known else "is not in the dataset"
            raise BadOption(
                f"input.path: in the new files, such as {added.files[0].path}, the column "
                f"`{column.name}` is {column.type} and {there}; leave it out with "
                "`input.leave_out`, or use another --dataset for them"
            )
    before = len(plan.staged) if plan.staged else len(plan.files)
    files = [*plan.files, *added.files]
    contents = [file.content for file in files]
    return replace(
        plan,
        pairs=plan.pairs + added.pairs,
        fetch=plan.fetch or added.fetch,
        files=files,
        staged=[*plan.staged, *added.staged],
        units=[
            *plan.units,
            *([[before + file, first, rows] for file, first, rows in unit] for unit in added.units),
        ],
        fingerprints=plan.fingerprints | input_versions.fingerprints(found, contents),
        skipped=[*plan.skipped, *added.skipped],
        dialects=[*plan.dialects, *(d for d in added.dialects if d not in plan.dialects)],
        staged_entries={**plan.staged_entries, **added.staged_entries},
        grown=[*plan.grown, len(plan.units)],
    )


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
        "leave_out", "as_text", "unit_pairs", "pages", *HASHES,
    }  # fmt: skip
    text = {"text": recipe.text.hashed()} if recipe.text else {}
    if recipe.text and recipe.text.tokens and recipe.embed:
        text["text"]["tokens"] = recipe.embed.model
    filters = {"filters": own.identity(recipe)} if recipe.filters else {}
    return (
        filters
        | text
        | {
            "input": recipe.input.model_dump(include=shaping, exclude_none=True, mode="json"),
            "image": recipe.image.shaping()
            | ({"read_text": True} if recipe.image.read_text else {}),
            "group": {"orientations": list(recipe.group.compared)},
            "gates": sorted(rule.sql for rule in gates(recipe, Phase.TEXT)),
        }
    )


def _new_plan(
    recipe: Recipe,
    store: Store,
    input_files: InputFiles,
    options: dict[str, Any],
    limit: Limit | None,
) -> Plan:
    """Return a new plan; what is not read in place is staged."""
    staged = _Staged()
    skipped: list[tuple[str, str]] = []
    reader, files = input_files.reader, input_files.files
    urls = not reader.holds_images
    if isinstance(reader.read, Rows):
        counts, schema, urls = footers(recipe, files, reader.read, skipped)
        counts_of_files, left_out = counts, bool(limit and limit.leaves_out(sum(counts)))
    else:
        staged = _stage(recipe, store, files, reader.read, skipped, limit)
        counts, schema, left_out = staged.counts, of_kinds(staged.kinds), staged.left_out
        counts_of_files = [rows for _, rows in staged.files]
        left_out = left_out or bool(limit and limit.leaves_out(sum(counts)))
    if not sum(counts):
        raise BadOption(f"input.path: no pairs in {recipe.input.path}")
    check_hashes(recipe.input, schema)
    limit = limit if left_out else None
    cut = list(units(counts_of_files, recipe.input.unit_pairs, limit))
    used = {index for unit in cut for index, _, _ in unit}
    read_of = [bool(rows) if staged.files else index in used for index, rows in enumerate(counts)]
    contents = input_versions.contents(files, read_of)
    return Plan(
        dataset=store.url,
        pairs=sum(rows for unit in cut for _, _, rows in unit),
        fetch=urls,
        images=reader.holds_images or (not staged.files and recipe.input.image is not None),
        format=reader.format,
        measuring=options,
        files=[
            File(file.location, file.name, rows, file.bytes, file.version, content)
            for file, rows, content in zip(files, counts, contents, strict=True)
        ],
        staged=staged.files,
        units=cut,
        schema=schema,
        fingerprints={
            **input_versions.fingerprints(input_files, contents),
            "gather": fingerprint(options),
        },
        skipped=skipped,
        limit=limit.to_json(sum(counts)) if limit else None,
        dialects=dialects(reader, files, recipe.input),
        staged_entries=staged.entries,
        left_out=unmeasured(recipe),
    )


@dataclass
class _Staged:
    """What staging has left; nothing where no file is staged.

    Attributes:
        counts: Pairs of each input file.
        files: The staged files, and pairs of each.
        entries: Size and checksum of each staged file.
        kinds: Of the extra columns.
        left_out: Whether the limit left pairs out; or may have, in files that were not opened.
    """

    counts: list[int] = field(default_factory=list)
    files: list[tuple[str, int]] = field(default_factory=list)
    entries: dict[str, staging.Entry] = field(default_factory=dict)
    kinds: Kinds = field(default_factory=dict)
    left_out: bool = False


def _stage(
    recipe: Recipe,
    store: Store,
    files: Sequence[InputFile],
    read: Records,
    skipped: list[tuple[str, str]],
    limit: Limit | None,
) -> _Staged:
    """Stage the input, up to the limit."""
    staged = _Staged([0] * len(files))
    kept = Kept.of(recipe)
    seen: set[str] = set()
    left = limit.first if limit and limit.first else -1  # below 0: no end

    def pairs() -> Iterator[Record]:
        nonlocal left
        for index, file in enumerate(files):
            staged.left_out = left == 0
            if staged.left_out:
                return
            with bad_file(recipe, file, skipped):
                for record in with_folders(file, recipe.input, read):
                    staged.left_out = left == 0
                    if staged.left_out:
                        return
                    left -= 1
                    staged.counts[index] += 1
                    if len(seen) < staging.MAX_KEYS:  # more of them are refused, or left out
                        seen.update(record.others)
                    yield record._replace(others=kept.values(record.others))
        kept.check_names(seen)

    staged.files, staged.entries, staged.kinds = staging.stage(
        store, pairs(), recipe.input.unit_pairs
    )
    return staged


def _check(plan: Plan, input_files: InputFiles, store: Store, options: dict[str, Any]) -> None:
    """Refuse to go on with a plan that was made for something else."""
    way_out = "Use another --dataset, or go back to"
    if not input_versions.is_planned(plan, input_files, store):
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
