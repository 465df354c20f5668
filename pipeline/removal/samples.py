"""The samples of a tar: read one after the other, without those and the captions that leave."""

import json
import tarfile
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from pairsieve.filters.cleaning import cleaned
from pairsieve.filters.personal_data import REGIONS
from pairsieve.filters.personal_data_kinds import masked
from pairsieve.pipeline.dataset.marker import PHONE_REGIONS
from pairsieve.pipeline.dataset.streams import HashingWriter
from pairsieve.pipeline.samples.sample_tar import header, tar_bytes
from pairsieve.schemas.columns import CAPTIONS
from pairsieve.schemas.recipe_shard import BEST

BLOCK = tarfile.BLOCKSIZE
JSON, TEXT = "json", "txt"


@dataclass(frozen=True, slots=True)
class Rest:
    """What is left of a shard.

    Attributes:
        dropped: Keys of the samples that leave.
        leaving: By key, the captions that leave a sample: each by its place in the list of all.
        options: What of the samples is not as by default, as the marker of the shards has it.
        best: By key, the best of the captions that stay of such a sample.
    """

    dropped: Collection[str]
    leaving: Mapping[str, Mapping[int, str]]
    options: Mapping[str, Any] = field(default_factory=dict)
    best: Mapping[str, str | None] = field(default_factory=dict)

    def text(self, key: str, text: str) -> str:
        """Return what a sample is trained on instead of `text`: the best caption that stays."""
        best = self.best.get(key) if self.options.get("text") == BEST else None
        if best is None:
            return text
        regions = self.options.get(PHONE_REGIONS)
        return best if regions is None else masked(best, tuple(regions))

    def captions(self, texts: list[str], own: list[str], leaving: Collection[str]) -> list[str]:
        """Return the further captions of a sample that stay, beside its own text.

        A text leaves in each form in which it may stand there. If it is found in none, since it was
        cleaned or masked in a way that is not known here, all of them leave.
        """
        out: set[str] = set()
        for text in leaving:
            forms = self._forms(text)
            if forms.isdisjoint([*texts, *own]):
                return []
            out |= forms
        return [text for text in texts if text not in out]

    def _forms(self, text: str) -> set[str]:
        """Return how a text may stand in a sample."""
        as_they_are = {text, cleaned(text) or text}
        regions = tuple(self.options.get(PHONE_REGIONS, REGIONS))
        return as_they_are | {masked(form, regions) for form in as_they_are}


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


def write(source: Any, sink: HashingWriter, rest: Rest) -> list[int]:
    """Write what is left of a tar to another; return at which byte each sample begins."""
    offsets = []
    for key, members in read(source):
        if key not in rest.dropped:
            offsets.append(sink.size)
            for member in without(members, rest.leaving.get(key, {}), rest):
                sink.write(member.data)
    sink.write(bytes(tar_bytes(sink.size) - sink.size))
    return offsets


def without(members: list[Member], leaving: Mapping[int, str], rest: Rest) -> list[Member]:
    """Return the files of a sample without captions, given by their place in the list of all.

    Those that are files of their own (`1.txt`, ...) are numbered anew.
    """
    if not leaving:
        return members
    stay = [_shorter(member, leaving) for member in members if not _is_caption(member)]
    captions = [member for member in members if _is_caption(member)]
    captions.sort(key=lambda member: int(member.suffix.partition(".")[0]))
    texts = [member.content().decode() for member in captions]
    key = members[0].name.partition(".")[0]
    place = next(n for n, member in enumerate(stay) if member.suffix == TEXT)
    own = stay[place].content().decode()
    text = rest.text(key, own)
    stay[place] = Member.of(stay[place].name, text.encode())
    left = [one for one in rest.captions(texts, [own], leaving.values()) if one != text]
    stay += [Member.of(f"{key}.{n}.{TEXT}", one.encode()) for n, one in enumerate(left, 1)]
    return sorted(stay, key=lambda member: member.suffix)


def _is_caption(member: Member) -> bool:
    number, _, kind = member.suffix.partition(".")
    return number.isdigit() and kind == TEXT


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
