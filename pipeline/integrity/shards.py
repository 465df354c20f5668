"""The shards of a selection, opened: every sample is whole, listed, and one that the ledger keeps.

A shard is one task: a tar is streamed once, for its checksum and its samples alike. What the
ledger keeps is compared as a sum over random-looking numbers, one for each (row, uid), so neither
side needs the other's pairs and no machine holds them all; that two different sets have the same
two sums of 64 bits does not happen by accident. Only where sums differ are the pairs looked for.
"""

import json
import tarfile
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.pipeline.dataset import paths
from pairsieve.pipeline.dataset.commit import marker_of
from pairsieve.pipeline.dataset.marker import SAMPLES, Marker
from pairsieve.pipeline.dataset.paths import GATHER_FOLDER, marker_path
from pairsieve.pipeline.dataset.shard_names import (
    file_of_shard,
    is_manifest,
    is_shard,
    name_of_shard,
)
from pairsieve.pipeline.dataset.stages import SHARD
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dataset.streams import HashedReader
from pairsieve.pipeline.integrity.checksums import Checked, Finding, few
from pairsieve.pipeline.integrity.samples import Read, rows, samples, wrong_sample
from pairsieve.pipeline.ledger.files import any_of
from pairsieve.pipeline.ledger.ledger import attach, connect
from pairsieve.pipeline.samples.parquet import SUFFIX
from pairsieve.schemas.columns import KEEP, ROW, SHARD_OFFSET, UID
from pairsieve.schemas.columns import SHARD as SHARD_COLUMN

LISTED = (ROW, UID, SHARD_OFFSET)
SHARD_SHA256 = "shard_sha256"


class Sums(NamedTuple):
    """What stands for a set of pairs: how many, and two sums over them."""

    pairs: int = 0
    one: int = 0
    other: int = 0

    def plus(self, more: "Sums") -> "Sums":
        """Return what stands for both sets, which have no pair in common."""
        low = (1 << 64) - 1
        one, other = self.one + more.one & low, self.other + more.other & low
        return Sums(self.pairs + more.pairs, one, other)


@dataclass(frozen=True, slots=True)
class Shard:
    """A shard to check.

    Attributes:
        name: The selection.
        path: Where it is in the dataset.
        entry: Its size and checksum in the marker.
        samples: How many `sizes.json` says; None where it is not listed there.
        options: What of its samples is not as by default.
    """

    name: str
    path: str
    entry: Mapping[str, Any]
    samples: int | None
    options: Mapping[str, Any]

    @property
    def own(self) -> str:
        """Return by what name the shards go among which it lies."""
        return name_of_shard(self.path)

    @property
    def file(self) -> str:
        """Return what the ledger calls it."""
        return file_of_shard(self.name, self.path)


@dataclass(frozen=True, slots=True)
class CheckedShard:
    """What was found in a shard, and what stands for the pairs that the manifest has in it."""

    checked: Checked
    sums: Sums


@dataclass(frozen=True, slots=True)
class KeptPairs:
    """What stands for the pairs that a selection keeps, of so many gathered `rows`."""

    findings: tuple[Finding, ...]
    sums: Sums
    rows: int


def sums_of(rows: NDArray[np.int64], uids: pa.ChunkedArray) -> Sums:
    """Return what stands for pairs, given their rows and uids, (n,); ValueError: a uid is none."""
    if not len(rows):
        return Sums()
    raw = np.frombuffer(bytes.fromhex("".join(uids.to_pylist())), ">u8").reshape(-1, 2)
    halves = raw.astype(np.uint64)
    mixed = _mixed(_mixed(halves[:, 0] ^ _mixed(halves[:, 1])) ^ rows.astype(np.uint64))
    return Sums(len(rows), int(mixed.sum()), int(_mixed(~mixed).sum()))


def _mixed(values: NDArray[np.uint64]) -> NDArray[np.uint64]:
    """Return SplitMix64's finalizer of the values."""
    values = (values ^ (values >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    values = (values ^ (values >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return values ^ (values >> np.uint64(31))


def shards_of(store: Store, name: str, done: Marker) -> tuple[list[Shard], list[Finding]]:
    """Return the shards that the marker of a selection names, and what is wrong beside them.

    `sizes.json` must list each of them and nothing else, and no other tar may lie beside them: a
    reader would take it for one.
    """
    tars = {file: entry for file, entry in done.files.items() if is_shard(file)}
    findings = [
        Finding(path, "it lies among the shards, and no marker names it", path)
        for path, _, _ in store.list(paths.shards_folder(name))
        if (is_shard(path) or path.endswith(".tar")) and path not in done.files
    ]
    sizes: dict[str, int | None] = {}
    for own in sorted({name_of_shard(file) for file in done.files}):
        told, wrong = _sizes(store, name, own, [t for t in tars if name_of_shard(t) == own])
        sizes |= told
        findings += wrong
    options = done.extra.get(SAMPLES, {})
    shards = [Shard(name, tar, entry, sizes.get(tar), options) for tar, entry in tars.items()]
    return shards, findings


def _sizes(
    store: Store, name: str, own: str, tars: list[str]
) -> tuple[dict[str, int | None], list[Finding]]:
    """Return the samples of each tar as `sizes.json` has them, and what is wrong with that."""
    folder, marker, path = paths.shards_folder(own), paths.shard_marker(name), paths.sizes(own)
    try:
        sizes = json.loads(store.read(path))
        sizes = sizes if isinstance(sizes, dict) else {}
    except (ValueError, FileNotFoundError):
        return dict.fromkeys(tars), []  # it has a finding of its own
    listed = {f"{folder}/{file}": samples for file, samples in sizes.items()}
    findings = [
        Finding(path, f"it lists {tar.removeprefix(f'{folder}/')}, which is no shard", marker)
        for tar in listed.keys() - set(tars)
    ]
    findings += [
        Finding(path, f"it does not list {tar.removeprefix(f'{folder}/')}", marker)
        for tar in tars
        if tar not in listed
    ]
    return listed, findings


def check_shard(store: Store, decode: bool, shard: Shard) -> CheckedShard:
    """Return what is wrong with a shard; with `decode` its images are decoded."""
    marker = paths.shard_marker(shard.name)
    try:
        listed = _listed(store, shard)
        sums = sums_of(listed[ROW.name].to_numpy(), listed[UID.name])
    except (pa.ArrowException, OSError, ValueError):
        listed = None  # the manifest has a finding of its own
    findings = [
        Finding(shard.path, wrong, marker) for wrong in _wrong_in(store, shard, decode, listed)
    ]
    if listed is None:
        return CheckedShard(Checked(tuple(findings), 1, shard.entry["bytes"]), Sums())
    if shard.samples is not None and shard.samples != listed.num_rows:
        wrong = f"it says {shard.samples} samples in {shard.file}, the manifest has"
        findings.append(Finding(paths.sizes(shard.own), f"{wrong} {listed.num_rows}", marker))
    return CheckedShard(Checked(tuple(findings), 1, shard.entry["bytes"]), sums)


def _listed(store: Store, shard: Shard) -> pa.Table:
    """Return the manifest's rows of a shard, in their order there."""
    import pyarrow.parquet as pq

    names = [*(column.name for column in LISTED), SHARD_SHA256]
    with store.reader(paths.manifest(shard.own)) as source:
        own = [(SHARD_COLUMN.name, "=", shard.file)]
        return pq.read_table(source, columns=names, filters=own)


def _wrong_in(store: Store, shard: Shard, decode: bool, listed: pa.Table | None) -> Iterator[str]:
    """Yield what is wrong with a shard: its bytes, or its samples."""
    checked = _checked_parquet if shard.path.endswith(SUFFIX) else _checked_tar
    try:
        with store.reader(shard.path) as source:
            changed, wrong = checked(source, shard, decode, listed)
    except FileNotFoundError:
        yield "it is gone"
        return
    if changed:
        yield changed
    yield from _few(wrong)
    if listed is not None and set(listed[SHARD_SHA256].to_pylist()) - {shard.entry["sha256"]}:
        yield "the manifest has another SHA-256 of it than the marker"


def _checked_tar(
    source: BinaryIO, shard: Shard, decode: bool, listed: pa.Table | None
) -> tuple[str | None, list[str]]:
    """Return what is wrong with the bytes of a tar, and with its samples, read together."""
    reader = HashedReader(source)
    read = (
        (sample.key, sample.offset, wrong_sample(sample, shard.options, decode))
        for sample in samples(reader)
    )
    wrong = list(_wrong_samples(read, "tar", listed))
    return reader.wrong(shard.entry), wrong


def _checked_parquet(
    source: BinaryIO, shard: Shard, decode: bool, listed: pa.Table | None
) -> tuple[str | None, list[str]]:
    """Return what is wrong with the bytes of a Parquet shard; if nothing is, with its samples."""
    if changed := HashedReader(source).wrong(shard.entry):
        return changed, []
    source.seek(0)
    return None, list(_wrong_samples(rows(source, decode), "Parquet file", listed))


def _few(sentences: list[str]) -> Iterator[str]:
    findings = few(Finding("", wrong, "") for wrong in sentences)
    return (finding.wrong for finding in findings)


def _wrong_samples(read: Iterable[Read], what: str, listed: pa.Table | None) -> Iterator[str]:
    """Yield what is wrong with samples as they are read, and with how the manifest lists them."""
    expected = (
        None
        if listed is None
        else list(
            zip(listed[UID.name].to_pylist(), listed[SHARD_OFFSET.name].to_pylist(), strict=True)
        )
    )
    keys = []
    try:
        for key, offset, wrong in read:
            keys.append((key, offset))
            if wrong:
                yield f"sample {key}: {wrong}"
    except (tarfile.TarError, pa.ArrowException, OSError, ValueError) as error:
        yield f"it is no whole {what}: {error}"
        return
    if expected is None or keys == expected:
        return
    there, wanted = {key for key, _ in keys}, {key for key, _ in expected}
    yield from (f"sample {key}: it is not in the manifest" for key in sorted(there - wanted))
    yield from (
        f"sample {key}: the manifest lists it, and it is not there"
        for key in sorted(wanted - there)
    )
    if there == wanted:
        yield "its samples are in another order or place than in the manifest, or there twice"


def kept_sums(store: Store, name: str, slices: Sequence[str]) -> KeptPairs:
    """Return what stands for the pairs of some gathered slices that the selection keeps."""
    try:
        tables = [_uids(store, marker_path(GATHER_FOLDER, one)) for one in slices]
        table = pa.concat_tables(tables)
        rows = table[ROW.name].to_numpy()
        kept = _kept_rows(store, name, slices, (int(rows.min()), int(rows.max())))
        mask = np.isin(rows, kept)
        sums = sums_of(rows[mask], table[UID.name].filter(pa.array(mask)))
    except _Unreadable as error:
        return KeptPairs((error.finding,), Sums(), 0)
    except ValueError:
        marker = marker_path(GATHER_FOLDER, min(slices))
        wrong = f"a uid of it or of the {len(slices) - 1} slices behind it is none"
        return KeptPairs((Finding(marker, wrong, marker),), Sums(), 0)
    return KeptPairs((), sums, len(rows))


def _uids(store: Store, marker: str) -> pa.Table:
    """Return `row` and `uid` of a gathered slice."""
    committed = marker_of(store, marker)
    return _read(store, committed.file(".parquet"), marker, [ROW.name, UID.name])


def _kept_rows(
    store: Store, name: str, slices: Sequence[str], span: tuple[int, int]
) -> NDArray[np.int64]:
    """Return the rows of the span that the selection keeps, out of the files of these slices."""
    between = [(ROW.name, ">=", span[0]), (ROW.name, "<=", span[1]), (KEEP.name, "=", True)]
    marker = paths.select_marker(name)
    selected = store.marker(marker)
    numbers = [paths.parsed(one)[0] for one in slices]
    names = [
        file
        for file, entry in (selected.files if selected else {}).items()
        if file.endswith(".parquet") and any_of(entry, min(numbers), max(numbers))
    ]
    tables = [_read(store, file, marker, [ROW.name], between) for file in names]
    return np.concatenate([np.zeros(0, np.int64), *(each[ROW.name].to_numpy() for each in tables)])


class _Unreadable(Exception):
    """A file of the ledger cannot be read."""

    def __init__(self, finding: Finding) -> None:
        super().__init__(finding.wrong)
        self.finding = finding


def _read(
    store: Store, path: str, marker: str, columns: list[str], filters: Any = None
) -> pa.Table:
    """Return columns of a Parquet file of the ledger.

    Raises:
        _Unreadable: it is damaged.
    """
    import pyarrow.parquet as pq

    try:
        with store.reader(path) as source:
            return pq.read_table(source, columns=columns, filters=filters)
    except (OSError, ValueError, pa.ArrowException) as error:
        raise _Unreadable(Finding(path, f"it cannot be read: {error}", marker)) from error


def differing(store: Store, name: str, done: Marker) -> Iterator[Finding]:
    """Yield the pairs that are in the manifest or kept by the selection, but not both.

    Raises:
        Stopped: a file of the ledger is gone or has another size.
    """
    marker = paths.shard_marker(name)
    manifests = [file for file in done.files if is_manifest(file)]
    with connect(store) as connection:
        attach(connection, store, selection=name, before=SHARD)
        connection.read_parquet([*map(store.location, manifests)]).create_view("manifest")
        kept = "SELECT row, uid FROM gathered SEMI JOIN (FROM selected WHERE keep) USING (row)"
        for wrong, one, other in (
            ("is in the shards, and the ledger does not keep it", "FROM manifest", kept),
            ("the ledger keeps it, and it is in no shard", kept, "FROM manifest"),
        ):
            query = f"SELECT uid FROM ({one}) ANTI JOIN ({other}) USING (row, uid) ORDER BY uid"
            uids = connection.execute(query).fetchall()
            yield from few(Finding(min(manifests), f"{uid}: {wrong}", marker) for (uid,) in uids)
