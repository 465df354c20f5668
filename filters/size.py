"""Drop images that are too small to show anything, or too large: in px and in bytes.

Nothing is measured here: fetch and decode fill the columns, for the image as published, upright,
not for the stored one.

Source: DataComp (arXiv:2304.14108), basic filtering: a shorter side of at least 200 px. COYO-700M
(github.com/kakaobrain/coyo-dataset) demands the same 200 px and 5,000 bytes.
"""

from dataclasses import dataclass

from pairsieve.schemas.columns import FETCH_BYTES, HEIGHT, WIDTH

BOUNDS = {
    "side_px": (f"least({WIDTH.name}, {HEIGHT.name})", f"greatest({WIDTH.name}, {HEIGHT.name})"),
    "pixels": (f"{WIDTH.name} * {HEIGHT.name}",) * 2,
    "bytes": (FETCH_BYTES.name,) * 2,
}


@dataclass(frozen=True, slots=True)
class Size:
    """Keep images whose sides, pixels and bytes are within the bounds."""

    min_side_px: int = 200  # px, shorter side
    max_side_px: int | None = None  # px, longer side; None for no upper bound
    min_pixels: int = 1  # width * height
    max_pixels: int | None = None  # width * height; None for no upper bound
    min_bytes: int = 1  # bytes of the file
    max_bytes: int | None = None  # bytes of the file; None for no upper bound

    def __post_init__(self) -> None:
        for what in BOUNDS:
            least, most = getattr(self, f"min_{what}"), getattr(self, f"max_{what}")
            if not least >= 1:
                raise ValueError(f"min_{what} must be at least 1, got {least}")
            if most is not None and not most >= least:
                raise ValueError(f"max_{what} must be at least min_{what} ({least}), got {most}")

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep; every bound itself is kept."""
        bounds = []
        for what, (small, large) in BOUNDS.items():
            least, most = getattr(self, f"min_{what}"), getattr(self, f"max_{what}")
            if least > 1:
                bounds.append(f"{small} >= {least!r}")
            if most is not None:
                bounds.append(f"{large} <= {most!r}")
        return " AND ".join(bounds) or f"{WIDTH.name} >= 1"
