"""WebDatasets as input: pairs whose images are already there, so nothing is fetched.

A tar is walked once; of its images only the location is noted: in one that is compressed, where
they lie in what it unpacks to. A sample is the consecutive members
with one key, as the webdataset library groups them: the key ends at the first dot of the name, and
what a member holds is told by what follows the last one. Its text is `.txt`, else the text or
`caption` of `.json`; its URL is that of `.json`. One without a URL gets the address of its location
in the input, so that two samples never pass for the same pair. One without image or text is a pair,
too.

img2dataset writes beside each tar a Parquet file of the same name with every pair it tried: those
that have no sample in the tar are records without an image.
"""

import json
import re
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, TypeVar

import pyarrow as pa

from pairsieve.pipeline.input.column_types import without_times
from pairsieve.pipeline.input.files import InputFile, is_compressed, open_file
from pairsieve.pipeline.input.forward_stream import ForwardStream
from pairsieve.pipeline.input.parquet import footer, read
from pairsieve.pipeline.input.parquet import plain as plain_column
from pairsieve.pipeline.input.reader import (
    SHOWN,
    BadFile,
    Reader,
    Record,
    chosen,
    is_captions,
    missing_column,
    told,
)
from pairsieve.pipeline.input.text import MAX_LINE, json_object
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe_input import Input

IMAGES = frozenset(
    (
        "jpg", "jpeg", "jpe", "jfif", "jpeg2", "jp2", "png", "webp", "gif", "bmp", "tif", "tiff",
        "avif", "heic", "heif", "ppm", "pgm", "pbm", "pnm", "image", "img",
    )
)  # fmt: skip
TEXTS = frozenset(("txt", "text", "transcript"))
KEY, CAPTION = "key", "caption"  # names that img2dataset uses
# Source: webdataset.tariterators.base_plus_ext and tar_file_iterator, with line breaks in names.
_NAME = re.compile(r"((?:.*/|)[^.]+)[.]([^/]*)", re.DOTALL)
_Member = TypeVar("_Member")  # what a sample holds of a member
_META = re.compile(r"__[^/]*__($|/)")


@dataclass(slots=True)
class _Sample:
    """What the members with one key hold.

    Attributes:
        key: Their name up to its first dot.
        offset: Where the first member's header lies.
        suffixes: What follows the dot, of every member.
        images: Offset and bytes of each image, by suffix.
        texts: Each text, by suffix.
        metadata: What `.json` holds.
        problem: Why it does not.
    """

    key: str
    offset: int
    suffixes: set[str] = field(default_factory=set)
    images: dict[str, tuple[int, int]] = field(default_factory=dict)
    texts: dict[str, str | None] = field(default_factory=dict)
    metadata: dict[str, Any] = field(default_factory=dict)
    problem: str | None = None


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
                url, text, problem = url_and_text(metadata, None, options)
                yield Record(url, text, metadata, None, problem)


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
    image = _one_of(sample.images, "image", options.image, sample, file)
    text = _one_of(sample.texts, "text", options.text, sample, file)
    url, text, problem = url_and_text(sample.metadata, text, options)
    sample.metadata.setdefault(KEY, sample.key)
    location = (file.location, *image) if image and image[1] else None
    own = f"wds:{file.name}/{sample.key}@{sample.offset}"
    problem = sample.problem or problem
    if not location:
        problem = problem or f"no image among {', '.join(f'.{s}' for s in sorted(sample.suffixes))}"
    return Record(own if url is None else url, text, sample.metadata, location, problem)


def _one_of(
    members: dict[str, _Member], key: str, suffix: str | None, sample: _Sample, file: InputFile
) -> _Member | None:
    """Return the member that the recipe names, else the only one, or the only one named plainly.

    So `.jpg` is the image beside `.seg.png`, as for those who read WebDatasets by suffix.

    Raises:
        BadOption: there are several, and the recipe does not say which.
    """
    if suffix in members:
        return members[suffix]
    plain = [name for name in members if "." not in name] or list(members)
    if len(plain) > 1:
        names = ", ".join(f"`{name}`" for name in plain)
        raise BadOption(
            f"input.{key}: {file.location}: sample `{sample.key}` holds several: {names} (a key "
            f"ends at the first dot of a name); say `input.{key}: {plain[0]}`, for example"
        )
    return members[plain[0]] if plain else None


def url_and_text(
    metadata: dict[str, Any], text: str | None, options: Input
) -> tuple[str | None, str | None, str | None]:
    """Return URL, text and what is wrong; take out of `metadata` the values that they repeat."""
    url, problem = metadata.get(options.url), None
    if isinstance(url, str):
        del metadata[options.url]
    else:
        url, problem = None, None if url is None else told(options.url, url)
    names = (options.text, CAPTION)
    for name in names:
        value = metadata.get(name)
        if text is None and isinstance(value, str):
            text = value
        elif text is None and isinstance(value, list) and is_captions(value):
            text = chosen(value, options.caption, url or "")
        elif text is None and value is not None:
            problem = problem or told(name, value)
    for name in names:
        if text is not None and metadata.get(name) == text:
            del metadata[name]
    return url, text, None if text is not None and url is not None else problem


def _samples(file: InputFile) -> Iterator[_Sample]:
    """Yield the samples; a name given twice begins another."""
    decoder = json.JSONDecoder(strict=False)
    sample: _Sample | None = None
    with _opened(file.location) as stream:
        for member in members(stream, file.location):
            name = _NAME.fullmatch(member.name)
            if not name or member.isdir() or _META.match(member.name):
                continue
            key, suffix = name[1], name[2].lower()
            if sample is None or key != sample.key or suffix in sample.suffixes:
                if sample:
                    yield sample
                sample = _Sample(key, member.offset)
            sample.suffixes.add(suffix)
            if not member.isreg() or member.issparse():
                sample.problem = sample.problem or f".{suffix} is a link or no plain file"
            else:
                _take(sample, suffix, member, (stream, file.location), decoder)
    if sample:
        yield sample


def _take(
    sample: _Sample,
    suffix: str,
    member: tarfile.TarInfo,
    opened: tuple[Any, str],
    decoder: json.JSONDecoder,
) -> None:
    """Put into the sample what the member holds, by what follows its last dot."""
    kind = suffix.rpartition(".")[2]
    if kind in IMAGES:
        sample.images[suffix] = member.offset_data, member.size
    elif kind in TEXTS:
        data = _content(opened, member)
        sample.texts[suffix] = None if data is None else _decoded(data, suffix, sample)
    elif suffix == "json":
        sample.metadata, sample.problem = json_object(_content(opened, member), decoder)


def _decoded(data: bytes, suffix: str, sample: _Sample) -> str | None:
    """Return a text; None where it is not UTF-8, which is noted in the sample."""
    try:
        return data.decode()
    except UnicodeDecodeError:
        shown = data.decode("utf-8", "backslashreplace")[:SHOWN]
        sample.problem = sample.problem or f".{suffix} is not UTF-8: {shown}"
        return None


def _content(opened: tuple[Any, str], member: tarfile.TarInfo) -> bytes | None:
    """Return the bytes of a member, None if they are too many for a text.

    Raises:
        BadFile: they cannot be read.
    """
    stream, location = opened
    if member.size > MAX_LINE:
        return None
    try:
        stream.seek(member.offset_data)
        return bytes(stream.read(member.size))
    except OSError as error:
        raise _broken(location, member.offset, str(error)) from error


def _opened(location: str) -> Any:
    """Return a tar's bytes as a file; one that is compressed is read forwards only."""
    return ForwardStream(location) if is_compressed(location) else open_file(location)


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
        if isinstance(stream, ForwardStream):
            stream.drain()
    except (tarfile.TarError, OSError, ValueError) as error:
        raise _broken(location, offset, str(error)) from error
    if rest.strip(b"\0"):
        raise _broken(location, offset, "what lies there is no header")


def _broken(location: str, offset: int, why: str) -> BadFile:
    return BadFile(
        f"{location}: broken or cut off at byte {offset}: {why}; mend it, or leave it out with a "
        "glob that does not match it"
    )


WEBDATASET = Reader(
    "webdataset",
    (".tar",),
    records,
    compressed=True,
    holds_images=True,
    # With what pairsieve leaves beside its own shards: members, and indexes of loaders.
    beside=(".parquet", ".json", ".members.pq", ".tar.idx", ".yaml"),
    companion=".parquet",
)
