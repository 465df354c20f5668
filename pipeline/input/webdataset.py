"""WebDatasets as input: pairs whose images are already there, so nothing is fetched.

A tar is walked once; of its images only the location is noted. A sample is the consecutive members
with one key, as the webdataset library groups them. Its text is `.txt`, else the text or `caption`
of `.json`; its URL is that of `.json`. One without a URL gets the address of its location in
the input, so that two samples never pass for the same pair.

img2dataset writes beside each tar a Parquet file of the same name with every pair it tried: those
that have no sample in the tar are records without an image.
"""

import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from pairsieve.pipeline.input.column_types import without_times
from pairsieve.pipeline.input.files import InputFile, open_file
from pairsieve.pipeline.input.parquet import footer, read
from pairsieve.pipeline.input.parquet import plain as plain_column
from pairsieve.pipeline.input.reader import Reader, Record, missing_column
from pairsieve.pipeline.input.text import MAX_LINE, json_object, string
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Input

IMAGES = frozenset(
    ("jpg", "jpeg", "png", "webp", "gif", "bmp", "tif", "tiff", "avif", "heic", "ppm", "pgm")
)
KEY, CAPTION = "key", "caption"  # names that img2dataset uses
# Source: webdataset.tariterators.base_plus_ext and tar_file_iterator, with line breaks in names.
_NAME = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)", re.DOTALL)
_META = re.compile(r"__[^/]*__($|/)")


@dataclass(slots=True)
class _Sample:
    """What the members with one key hold; `offset` is where the first member's header lies."""

    key: str
    offset: int
    image: tuple[int, int] | None = None  # offset, bytes
    text: str | None = None
    metadata: dict[str, Any] = field(default_factory=dict)
    suffixes: set[str] = field(default_factory=set)


def records(file: InputFile, options: Input) -> Iterator[Record]:
    """Yield the samples of a tar, then the pairs that only its companion lists.

    Raises:
        BadOption: the tar is broken or ends early, or the companion is not img2dataset's.
    """
    listed = _companion(file.companion) if file.companion else None
    rows = {key: row for row, key in enumerate(listed[KEY].to_pylist())} if listed else {}
    keys = set()  # of samples in the tar
    for sample in _samples(file):
        keys.add(sample.key)
        if listed and not sample.metadata and sample.key in rows:
            (sample.metadata,) = listed.slice(rows[sample.key], 1).to_pylist()
        yield _record(sample, file, options)
    for batch in listed.to_batches(max_chunksize=1000) if listed else ():
        for metadata in batch.to_pylist():
            if metadata[KEY] not in keys:
                url, text = _pair(metadata, None, options)
                yield Record(url, text, metadata)


def _companion(file: InputFile) -> pa.Table:
    """Return img2dataset's table, its columns plain."""
    rows, schema = footer(file)
    if KEY not in schema.names:
        missing = missing_column(file.location, "path", KEY, schema.names)
        raise BadOption(f"{missing}; beside a tar of the same name this is read as img2dataset's")
    table = read(file.location, 0, rows, rows)
    columns = [plain_column(table[field.name], field.type) for field in schema]
    return without_times(pa.Table.from_arrays(columns, schema=schema))


def _record(sample: _Sample, file: InputFile, options: Input) -> Record:
    url, text = _pair(sample.metadata, sample.text, options)
    sample.metadata.setdefault(KEY, sample.key)
    image = (file.location, *sample.image) if sample.image else None
    own = f"wds:{file.name}/{sample.key}@{sample.offset}"
    return Record(own if url is None else url, text, sample.metadata, image)


def _pair(
    metadata: dict[str, Any], text: str | None, options: Input
) -> tuple[str | None, str | None]:
    """Return URL and text, and take out of `metadata` the values that they repeat."""
    url = string(metadata.get(options.url))
    if url is not None:
        del metadata[options.url]
    names = (options.text, CAPTION)
    for name in names:
        text = string(metadata.get(name)) if text is None else text
    for name in names:
        if text is not None and metadata.get(name) == text:
            del metadata[name]
    return url, text


def _samples(file: InputFile) -> Iterator[_Sample]:
    """Yield the samples that hold an image, a text or JSON; a name given twice begins another."""
    decoder = json.JSONDecoder(strict=False)
    sample: _Sample | None = None
    with open_file(file.location) as stream:
        for member in members(stream, file.location):
            name = _NAME.fullmatch(member.name)
            if not name or not member.isreg() or member.issparse() or _META.match(member.name):
                continue
            key, suffix = name[1], name[2].lower()
            if sample is None or key != sample.key or suffix in sample.suffixes:
                if sample and sample.suffixes:
                    yield sample
                sample = _Sample(key, member.offset)
            if suffix in IMAGES:
                sample.suffixes.add(suffix)
                if member.size and not sample.image:
                    sample.image = member.offset_data, member.size
            elif suffix in ("txt", "json"):
                sample.suffixes.add(suffix)
                data = _content(stream, member)
                if suffix == "json":
                    sample.metadata = json_object(data, decoder)
                elif data is not None:
                    sample.text = data.decode("utf-8", "backslashreplace")
    if sample and sample.suffixes:
        yield sample


def _content(stream: Any, member: tarfile.TarInfo) -> bytes | None:
    """Return the bytes of a member, None if they are too many for a text."""
    if member.size > MAX_LINE:
        return None
    stream.seek(member.offset_data)
    return bytes(stream.read(member.size))


def members(stream: Any, location: str) -> Iterator[tarfile.TarInfo]:
    """Yield the members; tarfile alone takes a header that it cannot read for the end."""
    offset = 0
    try:
        with tarfile.open(fileobj=stream, mode="r:") as tar:
            while member := tar.next():
                if member.size < 0:  # tarfile would go back and never end
                    raise tarfile.ReadError("a negative size")
                yield member
                tar.members = []  # type: ignore[attr-defined]  # else it keeps every one
                offset = tar.offset
        stream.seek(tar.offset)
        rest = stream.read(tarfile.BLOCKSIZE)
    except (tarfile.TarError, OSError, ValueError) as error:
        raise _broken(location, offset, str(error)) from error
    if rest.strip(b"\0"):
        raise _broken(location, offset, "what lies there is no header")


def _broken(location: str, offset: int, why: str) -> BadOption:
    return BadOption(
        f"{location}: broken or cut off at byte {offset}: {why}; mend it, or leave it out with a "
        "glob that does not match it"
    )


WEBDATASET = Reader(
    "webdataset",
    (".tar",),
    records,
    holds_images=True,
    beside=(".parquet", ".json"),
    companion=".parquet",
)
