"""Draw what is served where a picture is missing: blank cards and cards with a notice."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Pixels = NDArray[np.uint8]  # (h, w, 3), RGB
_PAPERS = ((255, 255, 255), (238, 238, 238), (221, 226, 233), (40, 42, 48), (204, 204, 204))
_NOTICES = (
    ("IMAGE NOT", "AVAILABLE"),
    ("No image",),
    ("Photo", "coming soon"),
    ("This picture was", "removed"),
    ("404",),
)


def blank_card(rng: np.random.Generator, width: int, height: int) -> Pixels:
    """Return a card of one colour, (height, width, 3), now and then with a thin frame."""
    import cv2

    paper = _PAPERS[rng.integers(len(_PAPERS))]
    card = np.full((height, width, 3), paper, np.uint8)
    if rng.random() < 0.3:
        cv2.rectangle(card, (4, 4), (width - 5, height - 5), _ink(paper), 2)
    return card


def notice_card(rng: np.random.Generator, width: int, height: int) -> Pixels:
    """Return a card that says that there is no picture, (height, width, 3)."""
    import cv2

    card: Any = blank_card(rng, width, height)
    lines = _NOTICES[rng.integers(len(_NOTICES))]
    ink = _ink(tuple(int(level) for level in card[0, 0]))
    widest = max(cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, 1, 2)[0][0] for line in lines)
    scale = min(1.2 * height / 300, float(rng.uniform(0.4, 0.6)) * width / widest)
    for index, line in enumerate(lines):
        (across, down), _ = cv2.getTextSize(line, cv2.FONT_HERSHEY_SIMPLEX, scale, 2)
        corner = ((width - across) // 2, height // 2 + int((index + 0.3) * 1.8 * down))
        cv2.putText(card, line, corner, cv2.FONT_HERSHEY_SIMPLEX, scale, ink, 2, cv2.LINE_AA)
    return np.asarray(card, np.uint8)


def _ink(paper: tuple[int, ...]) -> tuple[int, int, int]:
    """Return a grey that can be read on `paper`."""
    level = 110 if sum(paper) > 384 else 170
    return level, level, level
