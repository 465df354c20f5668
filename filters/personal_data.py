"""Drop captions that hold personal data, before the image is fetched.

E-mail addresses, phone numbers, public IP addresses, IBANs, cards and numbers of identity (US,
China, Brazil, Spain), by form and, where there are any, check digits; phone numbers by
libphonenumber, with a `+` from any country, without one from those of `text.phone_regions` and only
if grouped as is usual there. The ledger has kinds and counts, not what was found.
`shard: {personal_data: mask}` puts `[email]` and the like in its place instead. Names and addresses
of houses are not detected. Measured of the first 10,000 code points of the cleaned text with the
recipe's section `text`.

Source: the kinds are those of the personal data redaction of Dolma (arXiv:2402.00159, section 3.3)
and BigCode (arXiv:2301.03988), which count e-mail, phone and IP addresses; the check digits are
named in `personal_data_kinds.py`.
Measured: found in 3 of 5,000 alt texts of LAION-400M, one of them a version taken for an IP
address, and in none of 15,833 captions of CC3M. 4 to 9 us per caption and core.
"""

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pairsieve.filters.personal_data_kinds import KINDS, find
from pairsieve.schemas.arrays import Texts
from pairsieve.schemas.columns import Column
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.text_columns import CLEAN_TEXT, PERSONAL_DATA

REGIONS = ("US",)


@dataclass(frozen=True, slots=True)
class PersonalDataFinder:
    """Counts personal data; `regions` are those whose phone numbers are known without a `+`."""

    reads: ClassVar[tuple[Column, ...]] = (CLEAN_TEXT,)
    writes: ClassVar[tuple[Column, ...]] = (PERSONAL_DATA,)

    regions: tuple[str, ...] = REGIONS

    def measure(self, clean_text: Texts) -> Texts:
        """Return pairs of kind and count, sorted, of each text, (n,)."""
        counts = np.empty(len(clean_text), object)
        for index, text in enumerate(clean_text):
            found = find(text, self.regions)
            counts[index] = sorted(Counter(one.kind for one in found).items()) if found else []
        return counts


@dataclass(frozen=True, slots=True)
class PersonalData:
    """Keep captions that hold none of the `kinds` of personal data."""

    reads: ClassVar[tuple[Column, ...]] = PersonalDataFinder.reads
    writes: ClassVar[tuple[Column, ...]] = PersonalDataFinder.writes
    needs: ClassVar[str] = "text: {}"

    kinds: tuple[str, ...] = KINDS  # of email, phone, ip, iban, card, id

    def __post_init__(self) -> None:
        if isinstance(self.kinds, str) or not self.kinds or not set(self.kinds) <= set(KINDS):
            raise ValueError(f"kinds must be a list of {', '.join(KINDS)}; got {self.kinds!r}")
        object.__setattr__(self, "kinds", tuple(self.kinds))

    def configured(self, recipe: Recipe) -> PersonalDataFinder | None:
        """Return what finds personal data where the recipe asks for it."""
        text = recipe.text
        return PersonalDataFinder(text.phone_regions) if text and text.personal_data else None

    def measure(self, clean_text: Texts) -> Texts:
        """Return what `PersonalDataFinder` does, (n,)."""
        return PersonalDataFinder().measure(clean_text)

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; null where nothing was measured."""
        name = PERSONAL_DATA.name
        none = " AND ".join(f"{name}['{kind}'] IS NULL" for kind in self.kinds)
        return f"CASE WHEN {name} IS NOT NULL THEN {none} END"
