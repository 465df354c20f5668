"""Whether the input is still the one that was planned: size and content decide.

Sizes and times of change, or entity tags, are compared first. Where only they differ, the content
does: XXH3 of 128 bits, taken of every local file when the plan is made (a core hashes faster than
any disk reads). An object's entity tag stands for its content. That files with other times are the
planned ones is remembered, so they are read once.
"""

import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor

from pairsieve.pipeline.dataset.commit import fingerprint
from pairsieve.pipeline.dataset.paths import INPUT_SEEN
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.input.files import InputFile, open_file
from pairsieve.pipeline.input.formats import InputFiles
from pairsieve.pipeline.unit.plan_file import Plan

CHUNK_BYTES = 1 << 20
FILES_AT_ONCE = min(16, os.cpu_count() or 1)


NOT_READ = ""  # the content of a file that lies beyond the plan's limit


def contents(files: Sequence[InputFile], read: Sequence[bool] | None = None) -> list[str]:
    """Return what stands for the content of each file; nothing for one that is not `read`."""
    with ThreadPoolExecutor(FILES_AT_ONCE) as pool:
        return list(pool.map(_content, files, read or [True] * len(files)))


def fingerprints(found: InputFiles, of_files: Sequence[str]) -> dict[str, str]:
    """Return what a plan remembers of its input: by version, and by content (of its files)."""
    return {"input": _by_version(found), "content": _by_content(found, of_files)}


def is_planned(plan: Plan, found: InputFiles, store: Store) -> bool:
    """Return whether the files are those of the plan, whatever their times of change."""
    seen = _by_version(found)
    if seen in (plan.fingerprints["input"], _seen(store)):
        return True
    if [(f.path, f.bytes) for f in plan.files] != [(f.location, f.bytes) for f in found.files]:
        return False
    pairs = list(zip(found.files, plan.files, strict=True))
    changed = [now for now, then in pairs if now.version != then.version and then.content]
    read = dict(zip((file.location for file in changed), contents(changed), strict=True))
    of_files = [read.get(then.path, then.content) for then in plan.files]
    if _by_content(found, of_files) != plan.fingerprints["content"]:
        return False
    store.write(INPUT_SEEN, seen.encode())
    return True


def _content(file: InputFile, read: bool = True) -> str:
    """Return XXH3-128 of a local file or of a folder's files, hex, or an object's entity tag."""
    import xxhash

    if not read:
        return NOT_READ
    if "://" in file.location:
        return file.version
    state = xxhash.xxh3_128()
    if file.members:
        return fingerprint([(member.name, _content(member)) for member in file.members])
    with open_file(file.location) as source:
        while chunk := source.read(CHUNK_BYTES):
            state.update(chunk)
    return state.hexdigest()


def _seen(store: Store) -> str | None:
    """Return the fingerprint by version of files whose content was compared already."""
    try:
        return store.read(INPUT_SEEN).decode("ascii", "replace")
    except FileNotFoundError:
        return None


def _by_version(found: InputFiles) -> str:
    every = [*found.files, *_companions(found)]
    return fingerprint(found.reader.format, [(f.location, f.bytes, f.version) for f in every])


def _by_content(found: InputFiles, of_files: Sequence[str]) -> str:
    beside = list(_companions(found))
    of_every = [*of_files, *contents(beside)]
    every = zip([*found.files, *beside], of_every, strict=True)
    return fingerprint(found.reader.format, [(f.location, f.bytes, c) for f, c in every])


def _companions(found: InputFiles) -> Iterator[InputFile]:
    return (file.companion for file in found.files if file.companion)
