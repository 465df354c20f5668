"""The texts of samples as the recipe wants them: cleaned, and with personal data masked."""

from collections.abc import Sequence
from dataclasses import dataclass

import pyarrow as pa

from pairsieve.filters.cleaning import cleaned
from pairsieve.filters.personal_data import REGIONS
from pairsieve.filters.personal_data_kinds import masked
from pairsieve.schemas.columns import CAPTIONS, TEXT
from pairsieve.schemas.recipe import Recipe


@dataclass(frozen=True, slots=True)
class Captions:
    """What is done to texts.

    Attributes:
        clean: Whether the text that is trained on is cleaned.
        mask: Whether personal data is masked, in the JSON, too.
        regions: Countries whose phone numbers are known without a `+`.
    """

    clean: bool
    mask: bool
    regions: tuple[str, ...]

    @classmethod
    def of(cls, recipe: Recipe) -> "Captions":
        """Return what a recipe wants."""
        shard = recipe.shard
        clean, mask = shard.text == "cleaned", shard.personal_data == "mask"
        return cls(clean, mask, phone_regions(recipe))

    def trained_on(self, samples: pa.Table) -> pa.ChunkedArray:
        """Return the text of each sample, UTF-8: the original where cleaning leaves nothing."""
        texts = samples[TEXT.name]
        if self.clean or self.mask:
            texts = pa.chunked_array([[self._caption(text) for text in texts.to_pylist()]])
        return texts.cast(pa.large_string()).cast(pa.large_binary())

    def _caption(self, text: str) -> str:
        if self.clean:
            text = cleaned(text) or text
        return self._masked(text) if self.mask else text

    def masked(self, samples: pa.Table) -> pa.Table:
        """Return samples in whose texts, as far as the recipe says so, personal data is masked."""
        if not self.mask:
            return samples
        texts = [self._masked(text) for text in samples[TEXT.name].to_pylist()]
        samples = _replaced(samples, TEXT.name, texts)
        if CAPTIONS.name not in samples.column_names:
            return samples
        others = [
            captions and [self._masked(text) for text in captions]
            for captions in samples[CAPTIONS.name].to_pylist()
        ]
        return _replaced(samples, CAPTIONS.name, others)

    def _masked(self, text: str) -> str:
        return masked(text, self.regions)


def phone_regions(recipe: Recipe) -> tuple[str, ...]:
    """Return the countries whose phone numbers are known without a `+`."""
    return recipe.text.phone_regions if recipe.text else REGIONS


def _replaced(table: pa.Table, name: str, values: Sequence[object]) -> pa.Table:
    index = table.column_names.index(name)
    return table.set_column(index, name, pa.array(values, table.schema.field(index).type))
