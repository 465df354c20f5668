"""The recipe's `keep`: one entry names one rule; and where a recipe comes from."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import Field, model_validator

from pairsieve.schemas.recipe_base import Section, ValueText

# Keys of an entry of `keep`; any other names a filter.
# Of rules that are no filters.
KINDS = ("where", "top_fraction", "at_most", "sample", "mix", "length_balance")
KEEP_KEYS = frozenset((*KINDS, "of", "by", "gate", "name"))


def one_rule(entry: Any) -> Any:
    """Turn `{aspect_ratio: {max_ratio: 3}, gate: true}` into the fields of `Keep`."""
    if not isinstance(entry, dict):
        raise ValueError("an entry names one rule, e.g. `- aspect_ratio: {max_ratio: 3}`")
    filters = [key for key in entry if key not in KEEP_KEYS]
    if len(filters) + len(KEEP_KEYS & entry.keys() & {*KINDS}) != 1:
        raise ValueError(
            "an entry names exactly one rule: a filter, `where`, `top_fraction`, `at_most`, "
            "`sample`, `mix` or `length_balance`; this one has the keys "
            f"{', '.join(map(str, entry)) or '(none)'}"
        )
    rest = {key: value for key, value in entry.items() if key in KEEP_KEYS}
    if filters:
        rest |= {"filter": filters[0], "options": entry[filters[0]] or {}}
    return rest


class AtMost(Section):
    """At most so many survivors of each value of a column."""

    per: str = Field(min_length=1, description="The column; a pair without a value is kept.")
    n: int = Field(ge=1, description="Pairs to keep of each value.")
    by: str | None = Field(
        None, min_length=1, description="A column of numbers: the highest stay. Else by chance."
    )


class Sample(Section):
    """So many survivors, or a share of them, by chance."""

    n: int | None = Field(None, ge=1, description="Pairs to keep.")
    fraction: float | None = Field(None, gt=0, le=1, description="Share of them to keep.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.n is None) == (self.fraction is None):
            raise ValueError("sample: say one of `n` and `fraction`")
        return self


class Mix(Section):
    """Survivors in given shares of the values of a column, by chance; as many as there can be."""

    by: str = Field(min_length=1, description="The column.")
    shares: dict[ValueText, Annotated[float, Field(gt=0, le=1)]] = Field(
        min_length=1, description="Share of each value; they add up to 1; others are dropped."
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        _check_whole("mix", self.shares.values())
        return self


def _check_whole(rule: str, shares: Iterable[float]) -> None:
    total = math.fsum(shares)
    if abs(total - 1) > 1e-6:
        raise ValueError(f"{rule}: the shares must add up to 1, not {total:g}")


class Lengths(Section):
    """Survivors in given shares of their captions' lengths, by chance; as many as there can be."""

    of: Literal["caption_words", "caption_unicode_words", "caption_chars", "caption_tokens"] = (
        Field("caption_words", description="The column of lengths; others than words in `text`.")
    )
    shares: dict[int, Annotated[float, Field(gt=0, le=1)]] = Field(
        min_length=2,
        description="Share of each range, by its least length: `{3: 0.3, 6: 0.5, 11: 0.2}` for 3 "
        "to 5, 6 to 10, and 11 or more; they add up to 1; what is shorter is dropped.",
    )

    @model_validator(mode="after")
    def _whole(self) -> Self:
        if min(self.shares) < 0:
            raise ValueError(f"length_balance: a length is at least 0, not {min(self.shares)}")
        _check_whole("length_balance", self.shares.values())
        return self

    @property
    def ranges(self) -> tuple[tuple[str, float], ...]:
        """Return each range, as `3+`, and its share, the longest first."""
        return tuple((f"{least}+", self.shares[least]) for least in sorted(self.shares)[::-1])


class Keep(Section):
    """One rule of `keep`: a filter with its options, a condition, or the top of a score."""

    filter: str | None = Field(None, description="Name of the filter.")
    options: dict[str, Any] = Field({}, description="Its options.")
    where: str | None = Field(
        None, min_length=1, description="A DuckDB condition over ledger columns."
    )
    top_fraction: float | None = Field(
        None, gt=0, le=1, description="Share of the measured pairs to keep, highest first."
    )
    of: str | None = Field(
        None, description="The column that `top_fraction` ranks: of numbers or times."
    )
    by: str | None = Field(
        None,
        min_length=1,
        description="A column, as `language`: `top_fraction` takes its share of each value of it.",
    )
    at_most: AtMost | None = Field(
        None, description="`{per: host, n: 1000, by: clip_similarity}`: a cap per value."
    )
    sample: Sample | None = Field(None, description="`{n: 1000000}` or `{fraction: 0.1}`.")
    mix: Mix | None = Field(
        None, description="`{by: language, shares: {en: 0.5, zh: 0.5}}`: survivors in shares."
    )
    length_balance: Lengths | None = Field(
        None, description="`{shares: {3: 0.3, 6: 0.5, 11: 0.2}}`: captions in shares of lengths."
    )
    gate: bool = Field(False, description="Apply at once: a pair that fails costs nothing more.")
    name: str | None = Field(None, min_length=1, description="Name in the funnel and the ledger.")

    @model_validator(mode="after")
    def _of_top_fraction(self) -> Self:
        if self.top_fraction is None:
            for key in ("of", "by"):
                if getattr(self, key) is not None:
                    raise ValueError(f"`{key}` belongs to `top_fraction`, and there is none")
        return self

    @property
    def rule_name(self) -> str:
        """Return what the rule is called in the funnel and the ledger."""
        made = self.name or self.filter or self.where
        if self.at_most:
            return made or f"at_most per {self.at_most.per}"
        if self.sample:
            return made or "sample"
        if self.mix:
            return made or f"mix by {self.mix.by}"
        if self.length_balance:
            return made or "length_balance"
        return made or f"top_fraction {self.of}{f' by {self.by}' if self.by else ''}"


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a recipe comes from.

    `file` is the name of its file, without folders; `overrides` are what `--set` was given, and
    `presets` those whose rules it has.
    """

    file: str = ""
    overrides: tuple[str, ...] = ()
    presets: tuple[str, ...] = ()
