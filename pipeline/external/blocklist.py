"""The blocklist: URLs, hosts and content hashes that must never enter.

A list is a text file, `.gz` and `.zst` too, with one entry a line, `#` before a remark:

    host example.org
    url https://example.com/a/picture.jpg
    sha256 e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855
    phash 9f172786e71f1e00 2

A host stands for its sub-domains too. URLs are compared in their canonical form without the scheme,
because a picture is the same over http and https. A pHash stands for all within some bits of it, by
default those of the recipe.

Of an entry only 64 bits and its line are kept. Two texts with the same 64 bits are not told apart:
with a million entries one look-up in 10^13 is wrong, and then a pair too many stays out.

Measured, one core, a million entries: URLs are read in 6.7 s and take 32 MB, SHA-256 in 1.8 s and
16 MB, pHashes in 2.1 s and 56 MB; then a URL is looked up in 3 us, a pHash in 11 us (among 50,000
in 0.6 us). Where many are to be looked up, `url_hashes` are joined with the ledger's instead.
"""

import hashlib
import re
from array import array
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import lru_cache
from typing import Self

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.fetch.addresses import Refused, target_of
from pairsieve.pipeline.fetch.canonical_url import DEFAULT_PORTS, CanonicalUrl, canonical
from pairsieve.pipeline.hamming.lookup import HashIndex
from pairsieve.pipeline.input.files import InputFile, list_files, open_text
from pairsieve.schemas.arrays import Hashes
from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.recipe import Blocklist
from pairsieve.schemas.recipe_external import MAX_PHASH_DISTANCE

ALLOWED = {
    "host": "a host name, e.g. `host example.org`",
    "url": "an http or https URL, e.g. `url https://example.org/a.jpg`",
    "sha256": "64 hex digits",
    "phash": f"16 hex digits, then, if wanted, the bits allowed, 0 to {MAX_PHASH_DISTANCE}",
}
_SHA256 = re.compile(r"[0-9a-fA-F]{64}")
_PHASH = re.compile(r"([0-9a-fA-F]{16})(?:\s+(\d{1,2}))?")
_USUAL_PORTS = frozenset(DEFAULT_PORTS.values())
_LINE_BITS = 40  # of an entry's location; above them the number of its file

Locations = NDArray[np.uint64]  # (n,), file and line of each entry
Keys = tuple[NDArray[np.uint64], Locations]  # (n,) each, of some entries of one kind


class BlocklistIndex:
    """The entries of all files, looked up by URL, host, SHA-256 and pHash."""

    def __init__(self, names: Sequence[str], keys: Mapping[str, Keys]) -> None:
        """Take the names of the files and, by kind, the keys and locations of the entries.

        A kind is one of `ALLOWED`, that of a pHash with its distance behind it.
        """
        self.names = names
        self.keys: dict[str, Keys] = {}
        self._by_hash: list[tuple[HashIndex, Locations]] = []
        for kind, (values, locations) in keys.items():
            if kind.startswith("phash"):
                self.keys[kind] = values, locations
                self._by_hash.append((HashIndex(values, int(kind[5:])), locations))
            else:
                distinct, firsts = np.unique(values, return_index=True)
                self.keys[kind] = distinct, locations[firsts]

    @classmethod
    def of_files(cls, sources: tuple[InputFile, ...], max_distance: int) -> Self:
        """Read the files.

        Raises:
            BadOption: a line is not an entry, or a file cannot be read to its end.
        """
        entries = (
            (number << _LINE_BITS | line, kind, key)
            for number, source in enumerate(sources)
            for line, kind, key in _entries(source, max_distance)
        )
        return cls([source.name for source in sources], _by_kind(entries))

    @classmethod
    def of_keys(cls, lists: Mapping[str, Sequence[tuple[str, int]]]) -> Self:
        """Return the index of lists, by their names, of keys as `keys_of` gives them."""
        entries = (
            (number << _LINE_BITS | line, *key)
            for number, keys in enumerate(lists.values())
            for line, key in enumerate(keys, 1)
        )
        return cls(list(lists), _by_kind(entries))

    def of_url(self, url: str | None) -> str | None:
        """Return the entry that a URL, as anybody writes it, is on; None if on none."""
        return self.of_canonical(canonical(url)) if url else None

    def of_canonical(self, url: CanonicalUrl | None) -> str | None:
        """Return the entry that a URL or its host is on; None if on none, or without a URL."""
        if url is None:
            return None
        dotted = url.host != url.host_name and url.scheme in DEFAULT_PORTS
        entry = self.of_hash(next(_url_keys(url)) if dotted else url.hash)
        return entry or (self.of_host(url.host) if self.has_hosts else None)

    def of_sha256(self, sha256: str) -> str | None:
        """Return the entry that the bytes with this SHA-256, hex, are on; None if on none."""
        return self._find("sha256", int(sha256[:16], 16))

    def of_hashes(self, hashes: Hashes) -> dict[int, str]:
        """Return the entry for each position in `hashes`, (n,), that has a pHash as neighbour."""
        entries: dict[int, str] = {}
        for index, locations in self._by_hash:
            for position, entry, bits in index.find(hashes):
                text = f"{self._text('phash', locations[entry])}, {bits} bits away"
                entries.setdefault(position, text)
        return entries

    def of_hash(self, url_hash: int) -> str | None:
        """Return the entry on which the canonical URL with this hash is; None if on none."""
        return self._find("url", url_hash)

    def of_host(self, host: str) -> str | None:
        """Return the entry on which a host, or a domain that it is in, is; None if on none."""
        found = (self._find("host", _key(name)) for name in _with_parents(host))
        return next(filter(None, found), None)

    @property
    def has_hashes(self) -> bool:
        """Return whether any pHash is on the list."""
        return bool(self._by_hash)

    @property
    def has_hosts(self) -> bool:
        """Return whether any host is on the list."""
        return "host" in self.keys

    @property
    def url_hashes(self) -> NDArray[np.uint64]:
        """Return the hash of every canonical URL on the list, over http and over https, (n,)."""
        return self.keys.get("url", (np.zeros(0, np.uint64),))[0]

    @property
    def sha256_starts(self) -> NDArray[np.uint64]:
        """Return the first 64 bits of every SHA-256 on the list, (n,)."""
        return self.keys.get("sha256", (np.zeros(0, np.uint64),))[0]

    def _find(self, kind: str, key: int) -> str | None:
        if kind not in self.keys:
            return None
        keys, locations = self.keys[kind]
        index = int(np.searchsorted(keys, np.uint64(key)))
        is_entry = index < len(keys) and keys[index] == key
        return self._text(kind, locations[index]) if is_entry else None

    def _text(self, kind: str, location: np.uint64) -> str:
        """Return how an entry is reported: its kind, line and file."""
        file, line = int(location) >> _LINE_BITS, int(location) & ((1 << _LINE_BITS) - 1)
        return f"{kind} in line {line} of {self.names[file]}"


def _by_kind(entries: Iterable[tuple[int, str, int]]) -> dict[str, Keys]:
    """Return the keys and locations of entries, given location, kind and key of each, by kind."""
    keys: dict[str, array[int]] = defaultdict(lambda: array("Q"))
    locations: dict[str, array[int]] = defaultdict(lambda: array("Q"))
    for location, kind, key in entries:
        keys[kind].append(key)
        locations[kind].append(location)
    return {kind: (np.array(of), np.array(locations[kind])) for kind, of in keys.items()}


def load(options: Blocklist) -> BlocklistIndex:
    """Return the index of a recipe's blocklist; read again when a file changes.

    Raises:
        BadOption: there is no such file, or a line in one is not an entry.
    """
    return _read(sources(options), options.max_distance)


def sources(options: Blocklist) -> tuple[InputFile, ...]:
    """Return the files of a blocklist; BadOption if one is not there."""
    files: list[InputFile] = []
    for path in options.files:
        matching = list_files(path)[0]
        if not matching:
            raise BadOption(f"blocklist.files: no file matches {path}")
        files += sorted(matching, key=lambda file: file.name)
    return tuple(files)


@lru_cache(maxsize=1)
def _read(files: tuple[InputFile, ...], max_distance: int) -> BlocklistIndex:
    return BlocklistIndex.of_files(files, max_distance)


def _entries(source: InputFile, max_distance: int) -> Iterator[tuple[int, str, int]]:
    """Yield line, kind and key of every entry; a pHash's kind names its distance."""
    try:
        with open_text(source) as file:
            for line, raw in enumerate(file, 1):
                text = raw.decode("utf-8-sig" if line == 1 else "utf-8").strip()
                if text and not text.startswith("#"):
                    kind, value = (*text.split(None, 1), "")[:2]
                    for key in keys_of(kind, value, max_distance):
                        yield line, *key
    except OSError as error:
        raise BadOption(f"{source.location}: cannot be read to its end: {error}") from error
    except UnicodeDecodeError as error:
        raise BadOption(f"{source.location}, line {line}: not UTF-8") from error
    except ValueError as error:
        raise BadOption(f"{source.location}, line {line}: {error}; got {text[:200]!r}") from error


def keys_of(kind: str, value: str, max_distance: int) -> Iterator[tuple[str, int]]:
    """Yield what an entry is found by; ValueError, saying what is allowed, if it is none."""
    if kind not in ALLOWED:
        raise ValueError(f"an entry begins with its kind; {nearest(kind, list(ALLOWED))}")
    if kind == "sha256" and _SHA256.fullmatch(value):
        yield kind, int(value[:16], 16)
    elif kind == "phash" and (match := _PHASH.fullmatch(value)):
        distance = max_distance if match[2] is None else int(match[2])
        if distance > MAX_PHASH_DISTANCE:
            raise ValueError(f"after `phash` comes {ALLOWED[kind]}")
        yield f"phash{distance}", int(match[1], 16)
    elif kind in ("host", "url"):
        target = target_of(f"http://{value}/" if kind == "host" else value)
        if isinstance(target, Refused) or (kind == "host" and not _is_host(target, value)):
            raise ValueError(f"after `{kind}` comes {ALLOWED[kind]}")
        if kind == "host":
            yield kind, _key(target.host_name)
        else:
            yield from ((kind, key) for key in _url_keys(target))
    else:
        raise ValueError(f"after `{kind}` comes {ALLOWED[kind]}")


def _is_host(target: CanonicalUrl, value: str) -> bool:
    """Return whether `value` is nothing but a host: no port, path or credentials."""
    return target.url == f"http://{target.host}/" and not re.search(r"[/?#@\s]|:\d*$", value)


def _url_keys(target: CanonicalUrl) -> Iterator[int]:
    """Yield the hashes under which a URL is looked up: over http and https, without a last dot.

    Its own comes first. A port that is the other scheme's usual one is no other way to it.
    """
    usual = target.port == DEFAULT_PORTS[target.scheme]
    rest = f"{target.host_name}{'' if usual else f':{target.port}'}{target.target}"
    yield _key(f"{target.scheme}://{rest}")
    if usual or target.port not in _USUAL_PORTS:
        yield _key(f"{'https' if target.scheme == 'http' else 'http'}://{rest}")


def _with_parents(host: str) -> Iterator[str]:
    """Yield a host and the domains that it is in: a.b.c, b.c, c."""
    host = host.rstrip(".") or host
    yield host
    while not host.startswith("[") and "." in host:
        host = host.partition(".")[2]
        yield host


def _key(text: str) -> int:
    """Return 64 bits that stand for a text."""
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "big")
