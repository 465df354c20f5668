"""The texts of samples as the recipe wants them: cleaned, mixed, with personal data masked."""

import hashlib
import json
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from typing import Any

import pyarrow as pa

from pairsieve.filters.affixes import without
from pairsieve.filters.personal_data import REGIONS
from pairsieve.filters.personal_data_kinds import masked
from pairsieve.pipeline.input.extra_columns import is_json, source_of
from pairsieve.schemas.columns import CAPTION_TEXTS, CAPTIONS, TEXT, UID
from pairsieve.schemas.pool_columns import BOILERPLATE_PREFIX, BOILERPLATE_SUFFIX, CAPTIONS_RANKED
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.recipe_shard import BEST

CAPTION_FILES = pa.map_(pa.string(), pa.large_binary())
LISTED = ("caption", "captions")  # by which inputs call a list of captions, whatever the text is
MOST_CAPTIONS = 100  # of a sample, as of a keeper and its copies


@dataclass(frozen=True, slots=True)
class Captions:
    """What is done to texts.

    Attributes:
        clean: Whether the text that is trained on is cleaned.
        mask: Whether personal data is masked, in the JSON, too.
        regions: Countries whose phone numbers are known without a `+`.
        shares: Kinds of texts and their shares; none where all are of one kind.
        seed: By which each pair's kind is drawn.
        affixes: Whether a cleaned text is without the boiler-plate of its host.
        lists: Columns with several captions of a pair, each with whether they are JSON, of which
            those but the text are written, too.
        best: Whether the text that is trained on is the best of those of an image's copies.
    """

    clean: bool
    mask: bool
    regions: tuple[str, ...]
    shares: tuple[tuple[str, float], ...] = ()
    seed: int = 0
    affixes: bool = False
    lists: tuple[tuple[str, bool], ...] = ()
    best: bool = False

    @classmethod
    def of(cls, recipe: Recipe, extra: Iterable[pa.Field] = ()) -> "Captions":
        """Return what a recipe wants, given the extra columns of the input."""
        shard = recipe.shard
        clean, mask = shard.text == "cleaned", shard.personal_data == "mask"
        shares = tuple(sorted(shard.text.items())) if isinstance(shard.text, dict) else ()
        lists = _lists(recipe, extra) if shard.captions == "all" else ()
        affixes = recipe.group.boilerplate is not None and shard.cleans
        regions, best = phone_regions(recipe), shard.text == BEST
        return cls(clean, mask, regions, shares, shard.seed, affixes, tuple(lists), best)

    def trained_on(self, samples: pa.Table) -> pa.ChunkedArray:
        """Return the text of each sample, UTF-8: the original where cleaning leaves nothing."""
        texts = self._mixed(samples) if self.shares else samples[TEXT.name]
        if self.best:
            texts = pa.chunked_array([pa.array(_best(samples), pa.string())])
        if self.clean or self.mask:
            each = zip(texts.to_pylist(), self._affixes(samples), strict=True)
            texts = pa.chunked_array([[self._caption(text, *affixes) for text, affixes in each]])
        return texts.cast(pa.large_string()).cast(pa.large_binary())

    def _affixes(self, samples: pa.Table) -> list[tuple[str, str]]:
        """Return the boiler-plate of each sample's text before and after it."""
        names = [column.name for column in (BOILERPLATE_PREFIX, BOILERPLATE_SUFFIX)]
        if not self.affixes or not set(names) <= set(samples.column_names):
            return [("", "")] * samples.num_rows
        prefixes, suffixes = (samples[name].fill_null("").to_pylist() for name in names)
        return list(zip(prefixes, suffixes, strict=True))

    def _caption(self, text: str, prefix: str = "", suffix: str = "") -> str:
        if self.clean:
            text = without(text, prefix, suffix) or text
        return self._masked(text) if self.mask else text

    def _mixed(self, samples: pa.Table) -> pa.ChunkedArray:
        """Return the text of each sample of the kind that it draws, the original without one."""
        texts = samples[TEXT.name].to_pylist()
        of_kind = {kind: texts for kind, _ in self.shares}
        of_kind |= {
            kind: samples[kind].to_pylist() for kind in of_kind if kind in samples.column_names
        }
        mixed, affixes = [], self._affixes(samples)
        for index, uid in enumerate(samples[UID.name].to_pylist()):
            kind = drawn(uid, self.seed, self.shares)
            text = of_kind[kind][index] or texts[index]
            mixed.append((without(text, *affixes[index]) or text) if kind == "cleaned" else text)
        return pa.chunked_array([pa.array(mixed, pa.string())])

    def files(self, samples: pa.Table) -> pa.Array:
        """Return suffix and content of the files of each sample's further captions."""
        if not self.lists:
            return pa.nulls(samples.num_rows, CAPTION_FILES)
        columns = [
            _strings(samples[name].to_pylist(), is_json)
            for name, is_json in self.lists
            if name in samples.column_names
        ]
        texts = samples[TEXT.name].to_pylist()
        chosen = _best(samples) if self.best else texts
        rows = zip(texts, chosen, self._affixes(samples), *columns, strict=True)
        files = [self._files(*row) for row in rows]
        return pa.array(files, CAPTION_FILES)

    def _files(
        self, text: str, chosen: str, affixes: tuple[str, str], *lists: list[str]
    ) -> list[tuple[str, bytes]]:
        written = dict.fromkeys(self._caption(one) for some in ([text], *lists) for one in some)
        own = self._caption(chosen), self._caption(chosen, *affixes)
        others = [one for one in written if one.strip() and one not in own][:MOST_CAPTIONS]
        return [(f"{number}.txt", one.encode()) for number, one in enumerate(others, 1)]

    def masked(self, samples: pa.Table) -> pa.Table:
        """Return samples in whose texts, as far as the recipe says so, personal data is masked."""
        if not self.mask:
            return samples
        for name in (TEXT.name, *(column.name for column in CAPTION_TEXTS)):
            if name in samples.column_names:
                texts = [text and self._masked(text) for text in samples[name].to_pylist()]
                samples = _replaced(samples, name, texts)
        if CAPTIONS.name not in samples.column_names:
            return samples
        others = [
            captions and [self._masked(text) for text in captions]
            for captions in samples[CAPTIONS.name].to_pylist()
        ]
        return _replaced(samples, CAPTIONS.name, others)

    def _masked(self, text: str) -> str:
        return masked(text, self.regions)


def best_of(captions: Sequence[str], ranked: Sequence[int]) -> str | None:
    """Return the caption that ranks first, given the indices in order; blank ones do not count."""
    return next((captions[index] for index in ranked if captions[index].strip()), None)


def _best(samples: pa.Table) -> list[str]:
    """Return the best of the captions of each sample and its copies; its own without copies."""
    texts: list[str] = samples[TEXT.name].to_pylist()
    if not {CAPTIONS.name, CAPTIONS_RANKED.name} <= set(samples.column_names):
        return texts
    columns = (samples[column.name].to_pylist() for column in (CAPTIONS, CAPTIONS_RANKED))
    each = zip(texts, *columns, strict=True)
    return [best_of(captions or (), ranked or ()) or text for text, captions, ranked in each]


def drawn(uid: str, seed: int, shares: Sequence[tuple[str, float]]) -> str:
    """Return which kind a pair has, by the MD5 of seed and uid; kinds are in the order given."""
    digest = hashlib.md5(f"{seed}:text:{uid}".encode(), usedforsecurity=False).digest()
    point = int.from_bytes(digest[:8], "big") / 2**64
    for kind, end in zip(
        (kind for kind, _ in shares), accumulate(s for _, s in shares), strict=True
    ):
        if point < end:
            return kind
    return shares[-1][0]


def _lists(recipe: Recipe, extra: Iterable[pa.Field]) -> Iterator[tuple[str, bool]]:
    """Yield the columns that hold several captions of a pair, and whether they are JSON."""
    yield CAPTIONS.name, False
    for field in extra:
        of_texts = pa.types.is_list(field.type) or pa.types.is_large_list(field.type)
        if source_of(field) in (recipe.input.text, *LISTED) and (of_texts or is_json(field)):
            yield field.name, is_json(field)


def _strings(values: list[Any], in_json: bool) -> list[list[str]]:
    """Return the strings in each of the lists; none of what is no list."""
    lists = [json.loads(value) if in_json and value else value for value in values]
    return [
        [one for one in value if isinstance(one, str)] if isinstance(value, list) else []
        for value in lists
    ]


def phone_regions(recipe: Recipe) -> tuple[str, ...]:
    """Return the countries whose phone numbers are known without a `+`."""
    return recipe.text.phone_regions if recipe.text else REGIONS


def _replaced(table: pa.Table, name: str, values: Sequence[object]) -> pa.Table:
    index = table.column_names.index(name)
    return table.set_column(index, name, pa.array(values, table.schema.field(index).type))
