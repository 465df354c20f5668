"""Keep images by their most probable tag.

Zero-shot: the recipe gives each tag some prompts under `embed.tags`, and every image gets the
softmax over all of them with the model's own temperature. So a probability says how far a tag is
ahead of the recipe's others, and one tag more changes all.

Source: CLIP (arXiv:2103.00020), section 3.1.4. The defaults keep everything that is measured.
"""

from dataclasses import dataclass

from pairsieve.schemas.columns import TAG, TAG_PROBABILITY


@dataclass(frozen=True, slots=True)
class Tags:
    """Keep images whose most probable tag is one of `any_of` and none of `none_of`."""

    any_of: tuple[str, ...] = ()  # names under `embed.tags`; none listed: any
    none_of: tuple[str, ...] = ()  # names under `embed.tags`
    min_probability: float = 0.0  # of that tag, [0, 1]

    def __post_init__(self) -> None:
        for name in ("any_of", "none_of"):
            if isinstance(getattr(self, name), str):
                raise ValueError(f"{name} must be a list of tags, got {getattr(self, name)!r}")
            object.__setattr__(self, name, tuple(getattr(self, name)))
        if not 0 <= self.min_probability <= 1:
            raise ValueError(f"min_probability must be in [0, 1], got {self.min_probability}")

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; the bound itself is kept."""
        conditions = [f"{TAG_PROBABILITY.name} >= {self.min_probability!r}"]
        if self.any_of:
            conditions.append(f"{TAG.name} IN ({_strings(self.any_of)})")
        if self.none_of:
            conditions.append(f"{TAG.name} NOT IN ({_strings(self.none_of)})")
        return " AND ".join(conditions)


def _strings(names: tuple[str, ...]) -> str:
    """Return the names as SQL strings."""
    return ", ".join("'" + name.replace("'", "''") + "'" for name in names)
