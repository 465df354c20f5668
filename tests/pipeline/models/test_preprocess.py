from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from open_clip.transform import PreprocessCfg, image_transform_v2
from PIL import Image

from pairsieve.pipeline.models.preprocess import (
    Preprocess,
    preprocess,
    resized_by_pillow,
    resized_by_torch,
)

MODES = ("shortest", "longest", "squash")
INTERPOLATIONS = ("bicubic", "bilinear")
SIZES: tuple[Any, ...] = (64, 224, (64, 96), (112, 48))
SHAPES = (  # height, width: reduced, enlarged, square, very long, as they are, tall enough for 13
    *((512, 683), (683, 512), (40, 31), (100, 100), (33, 900), (900, 33), (64, 96), (224, 224)),
    *((225, 226), (226, 225), (1200, 500), (65, 64), (1, 1), (500, 1)),
)


def config(mode: str, interpolation: str, size: Any, **more: Any) -> dict[str, Any]:
    return {
        "size": size,
        "mean": (0.4, 0.5, 0.6),
        "std": (0.2, 0.3, 0.4),
        "interpolation": interpolation,
        "resize_mode": mode,
        "fill_color": 0,
    } | more


def furthest(ours: Preprocess, chosen: dict[str, Any], image: NDArray[np.uint8]) -> float:
    """Return how far any pixel is from open_clip's transform, of 255."""
    theirs = image_transform_v2(PreprocessCfg(**chosen), is_train=False)(Image.fromarray(image))
    mean, std = (torch.tensor(chosen[name]).view(3, 1, 1) for name in ("mean", "std"))
    mine = ours(image)
    assert mine.shape == theirs.shape
    return float((mine - 255 * (theirs * std + mean)).abs().max())


def checkered(height: int, width: int) -> NDArray[np.uint8]:
    """Return pixels of black and white at random: nothing is cut off harder by resizing."""
    random = np.random.default_rng(height)
    return random.choice(np.array([0, 255], np.uint8), (height, width, 3))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("interpolation", INTERPOLATIONS)
@pytest.mark.parametrize("size", SIZES)
def test_every_pixel_is_within_2_of_255_of_open_clips(
    mode: str, interpolation: str, size: Any
) -> None:
    chosen = config(mode, interpolation, size, fill_color=90)
    ours = preprocess(chosen)
    assert ours.resize is resized_by_torch
    # open_clip itself fails at the longest of all, or makes 50 million pixels of it.
    shapes = [shape for shape in SHAPES if mode == "squash" or max(shape) / min(shape) < 100]
    assert {shape: furthest(ours, chosen, checkered(*shape)) for shape in shapes} == {
        shape: pytest.approx(0, abs=2.001) for shape in shapes
    }


def test_real_photographs_are_within_2_of_255_of_open_clips(real: Path) -> None:
    paths = sorted((real / "www/flickr").glob("*.jpg"))[:40]
    assert paths
    for mode in MODES:
        chosen = config(mode, "bicubic", 224)
        for path in paths:
            with Image.open(path) as image:
                assert furthest(preprocess(chosen), chosen, np.asarray(image.convert("RGB"))) < 2.01


def test_pillow_resizes_exactly_as_open_clip_where_pytorch_does_not() -> None:
    chosen = config("shortest", "bicubic", 64)
    ours = Preprocess(**(vars(preprocess(chosen)) | {"resize": resized_by_pillow}))
    assert furthest(ours, chosen, checkered(90, 150)) < 0.001


def test_a_picture_that_has_the_size_is_untouched() -> None:
    image = checkered(64, 64)
    ours = preprocess(config("shortest", "bicubic", 64))(image)
    assert np.array_equal(ours.permute(1, 2, 0).numpy(), image)


def test_one_number_of_mean_and_deviation_stands_for_every_channel() -> None:
    ours = preprocess(config("squash", "bilinear", 32, mean=0.5, std=[0.1, 0.2, 0.3]))
    assert (ours.mean, ours.std) == ((0.5, 0.5, 0.5), (0.1, 0.2, 0.3))


def test_a_line_of_pixels_still_gives_a_picture() -> None:
    image = preprocess(config("longest", "bicubic", 64, fill_color=7))(checkered(500, 1))
    assert image.shape == (3, 64, 64)
    assert (image == 7).all(dim=0).sum() == 63 * 64  # all but one column
