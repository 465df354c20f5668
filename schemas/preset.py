"""What a preset is."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

ANY_LENGTH = 2_147_483_647  # the most that a count of characters can be: no upper bound


@dataclass(frozen=True, slots=True)
class Preset:
    """The rules of a published dataset.

    Attributes:
        name: As `keep: {preset: NAME}` has it.
        title: What it is the rules of.
        source: The paper and its section, or the file of a repository, that they are taken from.
        keep: The rules, as entries of `keep`.
        model: (model, pretrained) of open_clip's whose scores the rules bound; None for none.
        model_note: The model in words, where open_clip has none.
        passed: (pairs kept, pairs there were) as published; None where nothing is.
        passed_of: Of which pool.
        lists: Keys that stand beside its name, and the rule whose `path` each is.
        differs: In what the rules are not exactly those that were published, a sentence each.
    """

    name: str
    title: str
    source: str
    keep: tuple[dict[str, Any], ...]
    model: tuple[str, str] | None = None
    model_note: str = ""
    passed: tuple[float, float] | None = None
    passed_of: str = ""
    lists: Mapping[str, str] = field(default_factory=dict)
    differs: tuple[str, ...] = ()

    @property
    def pass_rate(self) -> float | None:
        """Return the published share of the pairs that were kept, 0 to 1."""
        return self.passed[0] / self.passed[1] if self.passed else None

    @property
    def model_name(self) -> str:
        """Return the model that it presumes, in words."""
        return self.model_note or (" / ".join(self.model) if self.model else "-")
