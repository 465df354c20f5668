"""What the markers of a task slice's vectors and scores remember beside files and counts.

They are read long after they were written, by status and report, so their keys are named here once.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self


@dataclass(frozen=True, slots=True)
class EmbedTime:
    """How long the vectors of a task slice took.

    Attributes:
        model_s: How long the model computed, s.
        seconds: From the first image read to the last vector, s.
    """

    model_s: float = 0.0
    seconds: float = 0.0

    @classmethod
    def from_json(cls, extra: Mapping[str, Any]) -> Self:
        """Return the times in a marker's `extra`; 0 where it has none."""
        return cls(extra.get("model_s", 0.0), extra.get("seconds", 0.0))

    def to_json(self) -> dict[str, float]:
        """Return a marker's `extra`, rounded to microseconds."""
        return {"model_s": round(self.model_s, 6), "seconds": round(self.seconds, 6)}


@dataclass(frozen=True, slots=True)
class ScoreSources:
    """What measured the scores of a task slice.

    Attributes:
        by_column: By the name of a column, in words what measured it.
    """

    by_column: Mapping[str, str]

    @classmethod
    def from_json(cls, extra: Mapping[str, Any]) -> Self:
        """Return what a marker's `extra` says."""
        return cls(extra["how"])

    def to_json(self) -> dict[str, dict[str, str]]:
        """Return a marker's `extra`."""
        return {"how": dict(self.by_column)}

    def column_metadata(self, name: str) -> dict[str, str]:
        """Return what to add to the Parquet metadata of a column; nothing for one not measured."""
        return {"measured": self.by_column[name]} if name in self.by_column else {}
