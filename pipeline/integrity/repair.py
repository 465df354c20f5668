"""Repair: what is damaged is given up, so that its verb makes it again from what is not.

Only markers are deleted, and with that of a gathered slice those of what was made from it; the
files that no marker names any more stay until `gc`. A gathered slice whose marker alone is damaged
gets a new one. Of shards those that are whole are handed back to `shard`, which packs the others
alone; but for shards that depend on what was taken out or added later, which all are made anew.
What nothing can make again is left as it is, and said. The marker of what is damaged goes
last, so that what is killed midway is found again, and mended by the next repair.
"""

from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import PurePosixPath

import pyarrow as pa

from pairsieve.pipeline.dataset import paths
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    EVALUATION,
    GATHER_FOLDER,
    INDEXES,
    REQUESTS_SUFFIX,
    content,
    marker_path,
    shard_parts,
)
from pairsieve.pipeline.dataset.roles import Role, role
from pairsieve.pipeline.dataset.shard_names import file_of_shard, is_shard, name_of_shard
from pairsieve.pipeline.dataset.stages import CAPTION, EMBED, SHARD, STAGES, Scope
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.integrity.checksums import Finding
from pairsieve.pipeline.integrity.lost_marker import rebuilt
from pairsieve.pipeline.shards.shard_parts import HISTORY
from pairsieve.schemas.columns import SHARD as SHARD_COLUMN

ONCE_DELETED = " once its marker is deleted"


def again(finding: Finding) -> str:
    """Return what makes a damaged file again, as a part of a sentence."""
    folder = finding.marker.partition("/")[0]
    if role(finding.marker) is Role.FIXED:
        return "nothing makes it again: put a copy back"
    if role(finding.marker) is not Role.MARKER:
        return "`pairsieve gc` deletes it if pairsieve has made it, else move it away"
    if finding.path.endswith(REQUESTS_SUFFIX):
        return "nothing makes it again, and only the report's request rates are made from it"
    if folder == GATHER_FOLDER:
        layer = paths.layer_of(PurePosixPath(finding.marker).stem)
        verb = "gather --retry" if layer else "run"
        return f"`pairsieve {verb}` gathers its pairs anew{ONCE_DELETED}"
    return f"`pairsieve {_verb(finding.marker)}` makes it again{ONCE_DELETED}"


def _verb(marker: str) -> str:
    """Return the command that makes what a marker commits."""
    folder, _, rest = marker.partition("/")
    if folder == INDEXES:
        return "search"
    stage = next((one for one in STAGES if one.folder == folder), None)
    if stage is None:
        return "run"
    name = f" --name {rest.partition('/')[0]}" if stage.scope is Scope.SELECTION else ""
    return f"{stage.verb or stage.name}{name}"


def repair(store: Store, findings: Iterable[Finding]) -> Iterator[str]:
    """Give up what is damaged; yield a sentence on everything that is done, or is not."""
    by_marker: dict[str, list[Finding]] = {}
    for finding in findings:
        by_marker.setdefault(finding.marker, []).append(finding)
    slices = []
    for marker, of_marker in by_marker.items():
        parts = marker.split("/")
        if role(marker) is not Role.MARKER:
            yield f"{marker}: left as it is; {again(of_marker[0])}"
        elif parts[0] == GATHER_FOLDER:
            mended = _mended(store, marker, of_marker)
            if mended:
                yield f"{marker}: {mended}"
            else:
                slices.append(PurePosixPath(marker).stem)
        elif parts[0] == EMBED.folder:
            yield from _delete(store, [*_scores_on(store, marker), marker])
        elif parts[0] == SHARD.folder and marker == paths.shard_marker(parts[1]):
            yield from _give_up_shards(store, parts[1], of_marker)
        else:
            yield from _delete(store, [marker])
    if slices:
        yield from _give_up_slices(store, slices)


def _delete(store: Store, markers: Iterable[str]) -> Iterator[str]:
    """Delete markers; yield a sentence for each."""
    for path in markers:
        store.delete([path])
        done = again(Finding(path, "", path)).removesuffix(ONCE_DELETED)
        yield f"{path}: deleted; {done}"


def _scores_on(store: Store, marker: str) -> list[str]:
    """Return the markers of the scores that were measured on vectors."""
    folder, _, name = marker.rpartition("/")
    return [
        path for path, _, _ in store.list(folder) if path.endswith(f"/{name}") and path != marker
    ]


def _mended(store: Store, marker: str, findings: list[Finding]) -> str | None:
    """Mend the marker of a gathered slice where that is enough; return what was done, or None."""
    new, done = None, ""
    if all(finding.path.endswith(REQUESTS_SUFFIX) for finding in findings):
        new = _without_requests(store, marker)
        done = "names no requests any more; the report's rates lack them"
    elif all(finding.path == marker for finding in findings):
        new = rebuilt(store, marker)
        done = "written anew from the files beside it, which are as they were"
    if new is None:
        return None
    store.write(marker, new.dumps())
    return done


def _without_requests(store: Store, path: str) -> Marker | None:
    """Return a marker without its file of requests."""
    marker = store.marker(path)
    if marker is None:
        return None
    files = {n: entry for n, entry in marker.files.items() if not n.endswith(REQUESTS_SUFFIX)}
    return replace(marker, files=files)


def _give_up_slices(store: Store, damaged: list[str]) -> Iterator[str]:
    """Let gathered slices be gathered anew, and what was made from them be made anew."""
    for name in damaged:
        path = marker_path(GATHER_FOLDER, name)
        yield f"{path}: what its images came from may be gone by now; its files stay until `gc`"
    names = _standing_on(store, damaged)
    yield from _delete(store, _made_from(store, [*names, *damaged]))
    yield from _delete(store, [marker_path(GATHER_FOLDER, one) for one in (*names, *damaged)])


def _standing_on(store: Store, damaged: list[str]) -> list[str]:
    """Return the task slices of later retry layers of the same units."""
    layers: dict[int, int] = {}
    for name in damaged:
        unit, layer, _ = paths.parsed(name)
        layers[unit] = min(layer, layers.get(unit, layer))
    others = (name for name in store.marker_names(GATHER_FOLDER) if name not in damaged)
    parsed = ((name, *paths.parsed(name)[:2]) for name in others)
    return [name for name, unit, layer in parsed if unit in layers and layer > layers[unit]]


def _made_from(store: Store, names: Iterable[str]) -> list[str]:
    """Return the markers of what was made from gathered slices, slice by slice."""
    stems = set(names)
    every = (
        path
        for folder in (EMBED.folder, CAPTION.folder, EVALUATION)
        for path, _, _ in store.list(folder)
    )
    return [p for p in every if PurePosixPath(p).stem in stems and role(p) is Role.MARKER]


def _give_up_shards(store: Store, name: str, findings: list[Finding]) -> Iterator[str]:
    """Let the damaged shards of a selection be packed anew, and keep the others."""
    marker = paths.shard_marker(name)
    damaged = {finding.path for finding in findings}
    done = None if marker in damaged else store.marker(marker)
    tars = [file for file in done.files if is_shard(file)] if done else []
    lost = done is not None and HISTORY in done.extra
    whole = [t for t in tars if not (lost or damaged & {t, paths.manifest(name_of_shard(t))})]
    for tar in whole:
        assert done
        _hand_back(store, name, tar, done)
    store.delete([*(tar for tar in tars if tar not in whole), marker])
    yield (
        f"{marker}: deleted; `pairsieve shard --name {name}` packs {len(tars) - len(whole)} "
        f"shards anew and keeps {len(whole)}"
    )


def _hand_back(store: Store, name: str, tar: str, done: Marker) -> None:
    """Commit a whole shard as `shard` does before all of them are there."""
    import pyarrow.parquet as pq

    own, file = name_of_shard(tar), file_of_shard(name, tar)
    with store.reader(paths.manifest(own)) as source:
        listed: pa.Table = pq.read_table(source, filters=[(SHARD_COLUMN.name, "=", file)])
    stem = PurePosixPath(tar).stem
    part = content(shard_parts(own), stem, ".parquet")
    with store.writer(part) as sink:
        pq.write_table(listed, sink)
    files = {tar: done.files[tar], part: sink.entry()}
    extra = {"fingerprint": done.extra["fingerprint"]}
    marker = Marker(listed.num_rows, files, {}, extra)
    store.write(marker_path(shard_parts(own), stem), marker.dumps())
