"""The columns of an input: what its files hold, before any row is read, and what is refused."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import islice

import pyarrow as pa

from pairsieve.pipeline.input.dialects import NOT_UTF_8, OTHER_ENCODING
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
from pairsieve.pipeline.input.parquet import texts
from pairsieve.pipeline.input.parquet_images import holds_images
from pairsieve.pipeline.input.partitions import check_absent, of_folders
from pairsieve.pipeline.input.reader import BadFile, Reader, Record, Records, Rows, missing_column
from pairsieve.schemas.errors import BadOption, Stopped
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_input import HASHES, Input

FOOTERS_AT_ONCE = 16
FILES_SAMPLED = 64  # for their encoding
ROWS_SAMPLED = 1024  # of each of those read in place
ROWS_READ = 65_536  # by `check`, of all files that it reads a beginning of


def footers(
    recipe: Recipe, files: Sequence[InputFile], rows: Rows, skipped: list[tuple[str, str]]
) -> tuple[list[int], pa.Schema, bool]:
    """Return rows per file, the extra columns of all of them, and whether any has URLs."""
    used = {"url": recipe.input.url, "text": recipe.input.text}
    counts, urls = [0] * len(files), False
    types: Types = {}
    kept = Kept.of(recipe)
    seen: set[str] = set()
    with ThreadPoolExecutor(FOOTERS_AT_ONCE) as pool:
        read = [pool.submit(rows.footer, file, recipe.input.image) for file in files]
        for index, (file, footer) in enumerate(zip(files, read, strict=True)):
            with bad_file(recipe, file, skipped):
                counts[index], schema = footer.result()
                _check_used(file.location, schema, _needed(recipe.input, schema, used))
                urls = urls or used["url"] in schema.names
                columns = of_folders(file.name)
                check_absent(file.location, columns, schema.names)
                for field in (*schema, *(pa.field(name, pa.string()) for name in columns)):
                    if not _is_taken(field, used):
                        seen.add(field.name)
                        _widen(types, field, kept, file)
    kept.check_names(seen)
    kept.check_types(types)
    _check_encoding(recipe, files, rows, (counts, skipped))
    return counts, of_types(types), urls


def with_folders(file: InputFile, options: Input, read: Records) -> Iterator[Record]:
    """Yield the pairs of a file with the columns that its folders give."""
    columns = of_folders(f"{file.name}/" if file.members else file.name)
    check_absent(file.location, columns, (options.url, options.text))
    for record in read(file, options):
        if columns:
            check_absent(file.location, columns, record.others)
            record.others.update(columns)
        yield record


def _check_encoding(
    recipe: Recipe,
    files: Sequence[InputFile],
    rows: Rows,
    found: tuple[list[int], list[tuple[str, str]]],
) -> None:
    """Look at the beginnings of some files, evenly among all, for text in another encoding.

    So a wrong encoding is told before the work; single texts have outcomes later.

    Raises:
        BadOption: none of the values beyond ASCII of a file is UTF-8.
    """
    counts, skipped = found
    for index in range(0, len(files), -(-len(files) // FILES_SAMPLED)):
        file, count = files[index], min(counts[index], ROWS_SAMPLED)
        if not count:
            continue
        with bad_file(recipe, file, skipped):
            try:
                table = rows.read(file.location, 0, count, counts[index], recipe.input.image)
                names = {recipe.input.url, recipe.input.text} & set(table.column_names)
                _check_utf8(file.location, table.select(sorted(names)))
            except (BadFile, Stopped) as error:
                counts[index] = 0
                raise BadFile(str(error)) from error


def _check_utf8(location: str, table: pa.Table) -> None:
    right = wrong = 0
    for column in table.columns:
        if not pa.types.is_nested(column.type):
            values, odd = texts(column)
            wrong += len(odd)
            right += sum(not value.isascii() for value in values.to_pylist() if value)
    if wrong and not right:
        raise BadFile(
            f"{location}: row group 0: none of {wrong:,} values beyond ASCII is UTF-8, as text in "
            "Parquet must be; write the file anew"
        )


def dialects(
    reader: Reader, files: Sequence[InputFile], options: Input
) -> list[tuple[str, int, str]]:
    """Return how the files are written: in words, how many are so, and the first one's name."""
    found: dict[str, tuple[int, str]] = {}
    if reader.dialect is None:
        return []
    for file in files:
        with suppress(BadFile):
            told = str(reader.dialect(file, options))
            count, first = found.get(told, (0, file.name))
            found[told] = count + 1, first
    return [(told, count, first) for told, (count, first) in found.items()]


def preview(recipe: Recipe, reader: Reader, files: Sequence[InputFile]) -> pa.Schema | None:
    """Return the extra columns that the files have, from footers and first lines alone.

    None where no file says it without being read: JSONL, tars.

    Raises:
        BadOption: a file cannot be read as the recipe says.
    """
    skipped: list[tuple[str, str]] = []
    if isinstance(reader.read, Rows):
        return footers(recipe, files, reader.read, skipped)[1]
    if reader.columns is None:
        return None
    kept, names = Kept.of(recipe), dict[str, None]()
    for file in files:
        with bad_file(recipe, file, skipped):
            own = reader.columns(file, recipe.input)
            of_file = of_folders(file.name)
            check_absent(file.location, of_file, (*own, recipe.input.url, recipe.input.text))
            names |= dict.fromkeys((*own, *of_file))
    return of_kinds({name: {"str"} for name in names if kept.keeps(name)})


def read_beginnings(recipe: Recipe, reader: Reader, files: Sequence[InputFile]) -> list[str]:
    """Read the beginnings of some text files, evenly among all, as `plan` reads them whole.

    Return a warning for each file of which only the rest may show whether its encoding is another.

    Raises:
        BadOption: a file, read to its end, is not what the recipe says.
    """
    if isinstance(reader.read, Rows) or reader.dialect is None:
        return []
    warnings: list[str] = []
    step = -(-len(files) // FILES_SAMPLED) or 1
    for file in files[::step]:
        with bad_file(recipe, file, []):
            records = reader.read(file, recipe.input)
            rows = ROWS_READ // len(files[::step])
            right, wrong = _encoded(islice(records, rows), recipe.input)
            if wrong and not right:
                warnings.append(
                    f"input.encoding: {file.location}: in its first {rows:,} rows none of "
                    f"{wrong:,} values beyond ASCII is UTF-8; {OTHER_ENCODING}"
                )
    return warnings


def _encoded(records: Iterator[Record], options: Input) -> tuple[int, int]:
    """Return how many values beyond ASCII are UTF-8, and how many records have one that is not."""
    right = wrong = 0
    told = tuple(f"`{name}` {NOT_UTF_8}" for name in (options.url, options.text))
    for record in records:
        right += sum(not value.isascii() for value in (record.url, record.text) if value)
        wrong += bool(record.problem and record.problem.startswith(told))
    return right, wrong


def dialect_sentences(found: Sequence[tuple[str, int, str]]) -> list[str]:
    """Return a sentence on each way in which files are written."""
    return [f"Read with {told}: {_files(count, first)}." for told, count, first in found]


def _files(count: int, first: str) -> str:
    return first if count == 1 else f"{count:,} files, such as {first}"


@contextmanager
def bad_file(recipe: Recipe, file: InputFile, skipped: list[tuple[str, str]]) -> Iterator[None]:
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


def check_hashes(options: Input, schema: pa.Schema) -> None:
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


def _needed(options: Input, schema: pa.Schema, used: dict[str, str]) -> dict[str, str]:
    """Return the columns that a file must have: no URL where it has images, unless it is named."""
    named = "url" in options.model_fields_set or options.url in schema.names
    return used if options.image is None or named else {"text": used["text"]}


def _widen(types: Types, field: pa.Field, kept: Kept, file: InputFile) -> None:
    """Note the type of an extra column in one more file, if it is kept."""
    if kept.keeps(field.name):
        text = field.name in kept.as_text
        widen(types, field.with_type(pa.string()) if text else field, file.location)


def _is_taken(field: pa.Field, used: dict[str, str]) -> bool:
    """Return whether the column is the URL or the text, and all of it."""
    return field.name in used.values() and not pa.types.is_nested(field.type)


def _check_used(location: str, schema: pa.Schema, used: dict[str, str]) -> None:
    """Refuse a file without the URL or text column, or with other than text in it."""
    for key, name in used.items():
        if name not in schema.names:
            raise _with_hint(missing_column(location, key, name, schema.names), schema)
        type = schema.field(name).type
        captions = key == "text" and pa.types.is_list(type) and type.value_type == pa.string()
        if type not in (pa.string(), pa.binary(), pa.null()) and not captions:
            raise BadOption(f"input.{key}: column `{name}` of {location} is {type}, not text")


def _with_hint(error: BadOption, schema: pa.Schema) -> BadOption:
    """Return the error for a missing column, with the column that looks like one of images."""
    found = [field.name for field in schema if holds_images(field.type)]
    if not found:
        return error
    return BadOption(f"{error}; if the images are in `{found[0]}`, say `input.image: {found[0]}`")
