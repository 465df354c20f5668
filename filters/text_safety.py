"""Drop captions with words of your own lists, before the image is fetched.

pairsieve ships no such list: `text.word_lists` names yours, e.g. a checkout of LDNOOBW's, a file
per language. A list knows no context: LDNOOBW's English one has words of anatomy and of porn sites,
so look at what it drops before trusting it. With `together` a caption must have entries of each
list to be dropped, e.g. of children and of sex, where either alone is harmless. Measured of the
cleaned text.

Source: C4 (arXiv:1910.10683), section 2.2, drops pages with any word of LDNOOBW's English list;
Dodge et al. (arXiv:2104.08758) show whom that removes.
Measured: with 5,000 generated entries 3.6 to 3.9 us per caption and core. How many unsafe captions
a list finds is a question of the list.
"""

from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from pairsieve.filters.word_lists import loaded
from pairsieve.schemas.arrays import Texts
from pairsieve.schemas.columns import Column
from pairsieve.schemas.recipe import Recipe
from pairsieve.schemas.text_columns import CLEAN_TEXT, LISTED_WORDS


@dataclass(frozen=True, slots=True)
class ListedWords:
    """Counts the entries of word lists, given as pairs of name and path."""

    reads: ClassVar[tuple[Column, ...]] = (CLEAN_TEXT,)
    writes: ClassVar[tuple[Column, ...]] = (LISTED_WORDS,)

    paths: tuple[tuple[str, str], ...] = ()

    def measure(self, clean_text: Texts) -> Texts:
        """Return pairs of list and count, sorted, of each text, (n,)."""
        lists = loaded(self.paths)
        counts = np.empty(len(clean_text), object)
        for index, text in enumerate(clean_text):
            counts[index] = lists.count(text)
        return counts


@dataclass(frozen=True, slots=True)
class TextSafety:
    """Keep captions in which entries of `lists` occur at most `max_words` times."""

    reads: ClassVar[tuple[Column, ...]] = ListedWords.reads
    writes: ClassVar[tuple[Column, ...]] = ListedWords.writes
    needs: ClassVar[str] = "text: {word_lists: {unsafe: PATH}}"

    lists: tuple[str, ...] = ()  # names under `text.word_lists`; none listed: all
    max_words: int = 0  # times
    together: bool = False  # drop only what has more than `max_words` of each of the lists

    def __post_init__(self) -> None:
        if isinstance(self.lists, str):
            raise ValueError(f"lists must be a list of names, got {self.lists!r}")
        object.__setattr__(self, "lists", tuple(self.lists))
        if not self.max_words >= 0:
            raise ValueError(f"max_words must be at least 0, got {self.max_words}")
        if self.together and len(self.lists) < 2:
            raise ValueError("together needs at least two `lists`, each of which must be met")

    def configured(self, recipe: Recipe) -> ListedWords | None:
        """Return what counts the words of the recipe's lists, if it has any."""
        lists = recipe.text.word_lists if recipe.text else {}
        return ListedWords(tuple(sorted(lists.items()))) if lists else None

    def measure(self, clean_text: Texts) -> Texts:
        """Return what `ListedWords` does without a list, (n,)."""
        return ListedWords().measure(clean_text)

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; the bound itself is kept."""
        name = LISTED_WORDS.name
        counts = [f"coalesce({name}['{each}'], 0)" for each in map(_escaped, self.lists)] or [
            f"coalesce(list_sum(map_values({name})), 0)"
        ]
        if self.together:
            few = " OR ".join(f"{count} <= {self.max_words!r}" for count in counts)
            return f"CASE WHEN {name} IS NOT NULL THEN {few} END"
        return f"CASE WHEN {name} IS NOT NULL THEN {' + '.join(counts)} <= {self.max_words!r} END"


def _escaped(name: str) -> str:
    """Return a name for a string of SQL."""
    return str(name).replace("'", "''")
