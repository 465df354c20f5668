"""The samples of a tar: read one after the other, without the captions that leave them."""

import json
import tarfile
from collections.abc import Collection, Iterator, Mapping
from typing import Any, NamedTuple

from pairsieve.filters.cleaning import cleaned
from pairsieve.filters.personal_data import REGIONS
from pairsieve.filters.personal_data_kinds import masked
from pairsieve.pipeline.shards.sample_tar import header
from pairsieve.schemas.columns import CAPTIONS

BLOCK = tarfile.BLOCKSIZE
JSON, TEXT = "json", "txt"


class Member(NamedTuple):
    """A file of a sample in a tar: its name, and header, content and zeros as they stand there."""

    name: str
    data: bytes

    @classmethod
    def of(cls, name: str, content: bytes) -> "Member":
        """Return a file of this name and content."""
        return cls(name, header(name, len(content)) + content + bytes(-len(content) % BLOCK))

    @property
    def suffix(self) -> str:
        """Return what stands behind the key."""
        return self.name.partition(".")[2]

    def content(self) -> bytes:
        """Return the content alone."""
        size = tarfile.TarInfo.frombuf(self.data[:BLOCK], "utf-8", "surrogateescape").size
        return self.data[BLOCK : BLOCK + size]


def read(source: Any) -> Iterator[tuple[str, list[Member]]]:
    """Yield key and files of the samples of a tar; files that follow each other with one key."""
    key, members = "", list[Member]()
    while (head := source.read(BLOCK)) != bytes(BLOCK):
        info = tarfile.TarInfo.frombuf(head, "utf-8", "surrogateescape")
        body = source.read(-(-info.size // BLOCK) * BLOCK)
        own = info.name.partition(".")[0]
        if own != key and members:
            yield key, members
            members = []
        key = own
        members.append(Member(info.name, head + body))
    if members:
        yield key, members


def without(members: list[Member], leaving: Mapping[int, str]) -> list[Member]:
    """Return the files of a sample without captions, given by their place in the list of all.

    Those that are files of their own (`1.txt`, ...) are numbered anew. One that is not found among
    them, since it was cleaned or masked in a way that is not known here, takes all of them along.
    """
    if not leaving:
        return members
    stay = [_shorter(member, leaving) for member in members if not _is_caption(member)]
    captions = [member for member in members if _is_caption(member)]
    captions.sort(key=lambda member: int(member.suffix.partition(".")[0]))
    texts = [member.content().decode() for member in captions]
    own = [member.content().decode() for member in stay if member.suffix == TEXT]
    key = members[0].name.partition(".")[0]
    left = enumerate(_left(texts, own, leaving.values()), 1)
    stay += [Member.of(f"{key}.{number}.{TEXT}", text.encode()) for number, text in left]
    return sorted(stay, key=lambda member: member.suffix)


def _is_caption(member: Member) -> bool:
    number, _, kind = member.suffix.partition(".")
    return number.isdigit() and kind == TEXT


def _left(texts: list[str], own: list[str], leaving: Collection[str]) -> list[str]:
    """Return the texts that stay, beside the sample's own one, which does in any case."""
    out: set[str] = set()
    for text in leaving:
        forms = _forms(text)
        if forms.isdisjoint([*texts, *own]):
            return []
        out |= forms
    return [text for text in texts if text not in out]


def _forms(text: str) -> set[str]:
    """Return how a text may stand in a sample."""
    as_they_are = {text, cleaned(text) or text}
    return as_they_are | {masked(form, REGIONS) for form in as_they_are}


def _shorter(member: Member, leaving: Collection[int]) -> Member:
    """Return a file of a sample, of its JSON the captions without those that leave."""
    if member.suffix != JSON:
        return member
    sample = json.loads(member.content())
    captions = sample.get(CAPTIONS.name)
    if not captions:
        return member
    sample[CAPTIONS.name] = [text for n, text in enumerate(captions) if n not in leaving]
    return Member.of(member.name, json.dumps(sample, ensure_ascii=False).encode())
