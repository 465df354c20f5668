"""Shard: survivors become WebDataset tars, in a seeded order, that open_clip trains from.

The order is that of the MD5 of seed and uid: a uniform shuffle of the whole pool that depends on
nothing but the two, so workers, failures and unit sizes leave the same bytes. Each shard is one
task; it fetches its images in byte ranges from wherever they were gathered.
"""

import hashlib
import io
import json
import tarfile
from collections.abc import Generator, Iterable, Iterator
from functools import partial
from typing import TYPE_CHECKING, Any, BinaryIO

import pyarrow as pa

from pairsieve.filters.cleaning import cleaned
from pairsieve.filters.personal_data import REGIONS
from pairsieve.filters.personal_data_kinds import masked
from pairsieve.pipeline.dataset import checksums, paths, stages
from pairsieve.pipeline.dataset.commit import commit, current, fingerprint, replace
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    content,
    manifest,
    select_marker,
    shard_file,
    shard_marker,
    shard_order,
    shard_parts,
    shards_folder,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Crashed, Engine
from pairsieve.pipeline.input.column_types import finite, without_times
from pairsieve.pipeline.ledger.ledger import attach, check_images, connect
from pairsieve.pipeline.ledger.sql import quoted
from pairsieve.pipeline.unit import plan_file
from pairsieve.pipeline.vectors.folders import scores_folders
from pairsieve.schemas.columns import (
    CAPTIONS,
    COLUMNS,
    ROW,
    SHARD,
    SHARD_OFFSET,
    TEXT,
    UID,
    Column,
    arrow_schema,
)
from pairsieve.schemas.errors import BadOption, Stopped
from pairsieve.schemas.recipe import Recipe

if TYPE_CHECKING:
    from duckdb import DuckDBPyConnection

SAMPLES_AT_ONCE = 256  # samples whose images are read together
TEXTS = ("text", "personal_data")  # options of `shard` that leave shards as they were by default
MODE, OWNER = 0o444, "bigdata"  # of a tar's members; Source: webdataset.TarWriter's defaults
SHARD_SHA256 = Column("shard_sha256", pa.string(), "", "SHA-256 of the shard file, hex.", False)
MANIFEST = (ROW, UID, SHARD, SHARD_OFFSET, SHARD_SHA256)


def decide(recipe: Recipe, store: Store, engine: Engine, name: str) -> Iterator[Marker]:
    """Yield the marker of each shard; so `run` calls every stage that decides."""
    yield from run(recipe, store, engine, name)


def run(recipe: Recipe, store: Store, engine: Engine, name: str) -> Generator[Marker]:
    """Pack the survivors of the selection `name`; yield each shard's marker as it commits.

    Shards of another selection or other options under this name are deleted first.

    Raises:
        BadOption: there is no such selection.
        Stopped: a stored image is gone, or a task's process kept dying.
    """
    selected = store.marker(select_marker(name))
    if selected is None:
        raise BadOption(f"there is no selection `{name}` yet; run `pairsieve select --name {name}`")
    shape: tuple[Any, ...] = recipe.shard.model_dump(exclude=set(TEXTS)), recipe.image.format
    if texts := recipe.shard.model_dump(include=set(TEXTS), exclude_defaults=True):
        shape = (*shape, texts, _regions(recipe))
    selection = selected.extra["fingerprint"]
    identity = fingerprint(selection, shape)
    if current(store, shard_marker(name), identity):
        _tidy(store, name)
        return
    check_images(store)
    _clear(store, name, identity)
    order = _order(recipe, store, name, identity)
    done = store.markers(shard_parts(name))
    yield from done.values()
    shards = range(-(-selected.counts["kept"] // recipe.shard.samples))
    todo = [shard for shard in shards if _stem(shard) not in done]
    task = partial(_pack, recipe, store, name, order.file(".parquet"), identity)
    for shard, result in engine.map(task, todo):
        if isinstance(result, Crashed):
            raise Stopped(f"shard {_stem(shard)}: its process died ({result.reason}); run again")
        yield result
    _finish(store, name, identity, selection)


def _stem(shard: int) -> str:
    return f"{shard:05d}"


def _clear(store: Store, name: str, identity: str) -> None:
    """Delete what is committed under this name for another selection or with other options."""
    markers = {shard_marker(name): store.marker(shard_marker(name))} | {
        paths.marker_path(shard_parts(name), stem): marker
        for stem, marker in store.markers(shard_parts(name)).items()
    }
    for path, marker in markers.items():
        if marker and marker.extra["fingerprint"] != identity:
            store.delete([path, *marker.files])


def _order(recipe: Recipe, store: Store, name: str, identity: str) -> Marker:
    """Return the marker of a Parquet file with the survivors in order, a row group per shard."""
    import pyarrow.parquet as pq

    order_marker = shard_order(name)
    if done := current(store, order_marker, identity):
        return done
    path = content(shard_parts(name), "order", ".parquet")
    with connect(store) as connection, store.writer(path) as sink:
        attach(connection, store, scores_folders(recipe), name, before=stages.SHARD)
        key = f"md5({quoted(str(recipe.shard.seed))} || ':' || uid)"
        batches = _batches(
            connection,
            f"SELECT * FROM ledger WHERE keep ORDER BY {key}, uid",
            recipe.shard.samples,
        )
        durations = _durations(store)
        first = _with_durations(next(batches), durations)
        with pq.ParquetWriter(
            sink, first.schema, compression="zstd", write_page_checksum=True
        ) as writer:
            writer.write_table(first, recipe.shard.samples)
            for table in batches:
                writer.write_table(_with_durations(table, durations), recipe.shard.samples)
    marker = Marker(0, {path: sink.entry()}, {}, {"fingerprint": identity})
    replace(store, order_marker, marker)
    return marker


def _durations(store: Store) -> dict[str, pa.DataType]:
    """Return the types of the extra columns that are durations: DuckDB reads them as numbers."""
    if not store.exists(paths.PLAN_FILE):
        return {}
    schema = plan_file.read(store).schema
    return {field.name: field.type for field in schema if pa.types.is_duration(field.type)}


def _with_durations(table: pa.Table, durations: dict[str, pa.DataType]) -> pa.Table:
    """Return a table with the unit of its durations."""
    for name, type in durations.items():
        table = table.set_column(
            table.column_names.index(name), name, table[name].cast(pa.int64()).cast(type)
        )
    return table


def _durations_as_text(table: pa.Table) -> pa.Table:
    """Return a table with durations as ISO 8601 has them in seconds, `PT1.5S`."""
    for index, field in enumerate(table.schema):
        if pa.types.is_duration(field.type):
            numbers = table.column(index).cast(pa.int64()).to_pylist()
            text = [None if n is None else _seconds(n, field.type.unit) for n in numbers]
            table = table.set_column(index, field.name, pa.array(text, pa.string()))
    return table


def _seconds(count: int, unit: str) -> str:
    digits = {"s": 0, "ms": 3, "us": 6, "ns": 9}[unit]
    whole, part = divmod(abs(count), 10**digits)
    fraction = f".{part:0{digits}d}".rstrip("0") if part else ""
    return f"{'-' * (count < 0)}PT{whole}{fraction}S"


def _batches(connection: "DuckDBPyConnection", query: str, rows: int) -> Iterator[pa.Table]:
    """Yield the result in tables of exactly `rows` rows but for the last; at least one table."""
    reader = connection.sql(query).to_arrow_reader(rows)
    buffered = reader.schema.empty_table()
    yielded = False
    for batch in reader:
        buffered = pa.concat_tables([buffered, pa.Table.from_batches([batch])])
        while buffered.num_rows >= rows:
            yield buffered.slice(0, rows)
            buffered, yielded = buffered.slice(rows), True
    if buffered.num_rows or not yielded:
        yield buffered


def _pack(recipe: Recipe, store: Store, name: str, order: str, identity: str, shard: int) -> Marker:
    """Write one shard and commit it."""
    import pyarrow.parquet as pq

    with store.reader(order) as source:
        samples = _group(source, shard)
    tar_path = f"{shards_folder(name)}/{shard_file(shard)}"
    with store.writer(tar_path) as tar:
        offsets = _write_samples(store, samples, tar, recipe)
    table = pa.table(
        {
            ROW.name: samples[ROW.name],
            UID.name: samples[UID.name],
            SHARD.name: [shard_file(shard)] * samples.num_rows,
            SHARD_OFFSET.name: offsets,
            SHARD_SHA256.name: [tar.entry()["sha256"]] * samples.num_rows,
        }
    )
    part_path = content(shard_parts(name), _stem(shard), ".parquet")
    with store.writer(part_path) as sink:
        pq.write_table(table.cast(arrow_schema(MANIFEST)), sink)
    files = {tar_path: tar.entry(), part_path: sink.entry()}
    marker = Marker(samples.num_rows, files, {}, {"fingerprint": identity})
    return commit(store, paths.marker_path(shard_parts(name), _stem(shard)), marker)


def _group(order: BinaryIO, shard: int) -> pa.Table:
    """Return the samples of one shard; the file's own checksums of its pages are compared.

    Raises:
        Stopped: the file is damaged.
    """
    import pyarrow.parquet as pq

    try:
        file = pq.ParquetFile(order, page_checksum_verification=True)
        return file.read_row_group(shard)
    except (pa.ArrowException, OSError) as error:
        raise Stopped(
            f"shard {_stem(shard)}: the order of the samples is damaged: {error}; "
            f"{checksums.REPAIR}"
        ) from error


def _write_samples(store: Store, samples: pa.Table, sink: Any, recipe: Recipe) -> list[int]:
    """Write the samples to a tar; return where each begins, in bytes."""
    offsets = []
    columns = COLUMNS + recipe.other_scores
    with tarfile.open(fileobj=sink, mode="w|", format=tarfile.USTAR_FORMAT) as tar:
        for start in range(0, samples.num_rows, SAMPLES_AT_ONCE):
            some = samples.slice(start, SAMPLES_AT_ONCE)
            rows = without_times(_durations_as_text(some)).to_pylist()
            images = checksums.read_images(store, checksums.located(rows))
            for sample, image in zip(rows, images, strict=True):
                offsets.append(tar.offset)
                text = _caption(recipe, sample[TEXT.name]).encode()
                data = sample_json(_masked(recipe, sample), columns)
                files = {recipe.image.format: image, "txt": text, "json": data}
                _add_sample(tar, sample[UID.name], files)
    return offsets


def _add_sample(tar: tarfile.TarFile, key: str, files: dict[str, bytes]) -> None:
    """Add a sample's files, by extension: the bytes that webdataset's `TarWriter` would write.

    Importing webdataset would import PyTorch, which packing does not need.
    """
    for extension, body in sorted(files.items()):
        member = tarfile.TarInfo(f"{key}.{extension}")
        member.size, member.mode = len(body), MODE
        member.uname = member.gname = OWNER
        tar.addfile(member, io.BytesIO(body))


def _caption(recipe: Recipe, text: str) -> str:
    """Return the text that is trained on: the original where cleaning leaves nothing."""
    if recipe.shard.text == "cleaned":
        text = cleaned(text) or text
    return masked(text, _regions(recipe)) if recipe.shard.personal_data == "mask" else text


def _masked(recipe: Recipe, sample: dict[str, Any]) -> dict[str, Any]:
    """Return a sample in whose texts, as far as the recipe says so, personal data is masked."""
    if recipe.shard.personal_data == "keep":
        return sample
    regions = _regions(recipe)
    others = sample.get(CAPTIONS.name)
    return sample | {
        TEXT.name: masked(sample[TEXT.name], regions),
        CAPTIONS.name: others and [masked(text, regions) for text in others],
    }


def _regions(recipe: Recipe) -> tuple[str, ...]:
    """Return the countries whose phone numbers are known without a `+`."""
    return recipe.text.phone_regions if recipe.text else REGIONS


def sample_json(sample: dict[str, Any], columns: Iterable[Column]) -> bytes:
    """Return the JSON of a sample: those of `columns` that belong there, and the extra columns.

    What is not among `columns`, pairsieve's own, is an extra column of the input. Missing values
    are left out. NaN and the infinities are null, because JSON (RFC 8259) has no word for them.
    """
    own = {column.name: column for column in columns}
    content: dict[str, Any] = {}
    for name, value in sample.items():
        column = own.get(name)
        if value is not None and (column is None or column.in_sample):
            content[name] = finite(_digits(column, value) if column else value)
    text = json.dumps(content, ensure_ascii=False, sort_keys=True, default=_text, allow_nan=False)
    return text.encode()


def _text(value: Any) -> str:
    """Return a value that JSON has no form for: the bytes of an expected hash, a decimal."""
    return value.hex() if isinstance(value, bytes) else str(value)


def _digits(column: Column, value: Any) -> Any:
    """Return the value of a column, its float32 numbers by the digits that they have.

    Hashes are 16 hex digits: JSON has no numbers of 64 bits without a sign, and readers fail.
    """
    if pa.types.is_map(column.type):
        counts = pa.types.is_integer(column.type.item_type)
        return {key: one if counts else _rounded(one) for key, one in value}
    if pa.types.is_uint64(column.type):
        return f"{value:016x}"
    return _rounded(value) if pa.types.is_float32(column.type) else value


def _rounded(value: float) -> float:
    """Return a float32 by the digits that it has."""
    return float(f"{value:.7g}")


def _finish(store: Store, name: str, identity: str, selection: str) -> None:
    """Put the parts together: `sizes.json`, `manifest.parquet` and the marker that commits all."""
    import pyarrow.parquet as pq

    parts = store.markers(shard_parts(name))
    path = manifest(name)
    with (
        store.writer(path) as sink,
        pq.ParquetWriter(sink, arrow_schema(MANIFEST), compression="zstd") as writer,
    ):
        for marker in parts.values():
            with store.reader(marker.file(".parquet")) as source:
                writer.write_table(pq.read_table(source))
    sizes = {shard_file(int(stem)): marker.rows for stem, marker in parts.items()}
    sizes_path = paths.sizes(name)
    data = json.dumps(sizes, indent=1).encode()
    store.write(sizes_path, data)
    entry = {"bytes": len(data), "sha256": hashlib.sha256(data).hexdigest()}
    files: dict[str, dict[str, Any]] = {sizes_path: entry, path: sink.entry()}
    for marker in parts.values():
        tar = marker.file(".tar")
        files[tar] = marker.files[tar]
    rows = sum(sizes.values())
    extra = {"fingerprint": identity, "selection": selection}
    marker = Marker(rows, files, {"kept": rows, "shards": len(sizes)}, extra)
    store.write(shard_marker(name), marker.dumps())
    _tidy(store, name)


def _tidy(store: Store, name: str) -> None:
    """Delete what was only needed while the shards were made."""
    parts = (file for file, _, _ in store.list(shard_parts(name)))
    store.delete([file for file in parts if not paths.is_foreign(file)])
    store.delete([shard_order(name)])
