"""Read what is printed in a picture: lines of text, where they are and what they say.

PP-OCRv6, a detector of lines and a reader of each, small models for Latin, Chinese and Japanese
script, whose weights lie in the wheel of rapidocr (both Apache-2.0); they are named by path, so
that nothing is downloaded. ONNX Runtime runs them on one thread, so a machine reads the same text
always.
"""

from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

Corners = NDArray[np.float32]  # (4, 2): x, y in px, clockwise from the upper left

MAX_LINES = 30  # read of a picture, the largest; a page of text has more, and each costs 20 ms
MIN_CONFIDENCE = 0.7  # of the reader; what is no text is found as a line sometimes, and not read
MIN_CHARACTERS = 2  # letters and digits of a line: a window is read as one of Chinese, surely
MAX_SIDE = 960  # px, longer side of what the detector sees
PACKAGES = ("onnxruntime", "rapidocr")
OPTIONS: dict[str, Any] = {
    "Global.log_level": "critical",
    "Global.use_cls": False,  # whether lines stand on their head
    "Det.limit_type": "max",
    "Det.limit_side_len": MAX_SIDE,
    "EngineConfig.onnxruntime.intra_op_num_threads": 1,
    "EngineConfig.onnxruntime.inter_op_num_threads": 1,
}


@dataclass(frozen=True, slots=True)
class Line:
    """A line of text in a picture.

    Attributes:
        corners: Of the box around it.
        text: What it says.
    """

    corners: Corners
    text: str


def missing() -> list[str]:
    """Return the packages that are needed and not installed."""
    return [name for name in PACKAGES if find_spec(name) is None]


def read_lines(luma: NDArray[np.uint8]) -> list[Line]:
    """Return the lines in a luma plane, (h, w), that can be read, from top to bottom."""
    reader, lock = _reader()
    pixels = np.repeat(luma[:, :, None], 3, axis=2)
    with lock:  # the reader keeps what it works on
        found = reader(pixels, use_det=True, use_rec=False).boxes
        boxes = [] if found is None else _largest([np.asarray(box, np.float32) for box in found])
        texts = [_text(reader, _level(pixels, box)) for box in boxes]
    return [Line(box, text) for box, text in zip(boxes, texts, strict=True) if text]


def _largest(boxes: list[Corners]) -> list[Corners]:
    """Return the `MAX_LINES` boxes of the largest area, in the order in which they came."""
    import cv2

    areas = np.array([cv2.contourArea(box) for box in boxes])
    kept = np.sort(np.argsort(-areas, kind="stable")[:MAX_LINES])
    return [boxes[index] for index in kept]


def _level(pixels: NDArray[np.uint8], box: Corners) -> NDArray[np.uint8]:
    """Return the pixels of a box, level."""
    import cv2

    top, right, bottom, left = np.linalg.norm(np.roll(box, -1, axis=0) - box, axis=1)
    width, height = max(1, round(max(top, bottom))), max(1, round(max(right, left)))
    to = np.array([[0, 0], [width, 0], [width, height], [0, height]], np.float32)
    level = cv2.warpPerspective(
        pixels,
        cv2.getPerspectiveTransform(box, to),
        (width, height),
        flags=cv2.INTER_CUBIC,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.asarray(level)


def _text(reader: Any, pixels: NDArray[np.uint8]) -> str:
    """Return what a line says; nothing where the reader is not sure enough.

    A tall one is read upwards and downwards, and the surer of both counts.
    """
    height, width = pixels.shape[:2]
    turns = (1, -1) if height >= 1.5 * width else (0,)
    read = [_read(reader, np.rot90(pixels, turn).copy()) for turn in turns]
    confidence, text = max(read, key=lambda each: each[0])
    enough = sum(map(str.isalnum, text)) >= MIN_CHARACTERS
    return text if confidence >= MIN_CONFIDENCE and enough else ""


def _read(reader: Any, pixels: NDArray[np.uint8]) -> tuple[float, str]:
    """Return how sure the reader is of a line, in [0, 1], and what it says."""
    result = reader(pixels, use_det=False, use_rec=True)
    if not result.txts:
        return 0.0, ""
    return min(map(float, result.scores)), " ".join(result.txts).strip()


@lru_cache(maxsize=1)
def _reader() -> tuple[Any, Lock]:
    """Return the reader, and what lets one thread at a time use it."""
    import rapidocr

    models = Path(str(rapidocr.__file__)).parent / "models"
    paths = {
        "Det.model_path": str(models / "PP-OCRv6_det_small.onnx"),
        "Rec.model_path": str(models / "PP-OCRv6_rec_small.onnx"),
    }
    return rapidocr.RapidOCR(params=OPTIONS | paths), Lock()
