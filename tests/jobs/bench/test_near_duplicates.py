"""A short `bench near-duplicates`: edits, lookalikes, and that verification tells them apart."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from pairsieve.jobs.bench.near_duplicates import (
    NearDuplicatesBenchmark,
    Pictures,
    bench,
    detected,
    false_joins,
    measure,
    read_pictures,
)
from pairsieve.jobs.bench_data.edits import EDITS, ORIENTATIONS, Pixels
from pairsieve.jobs.bench_data.lookalikes import lookalikes
from pairsieve.jobs.demo_web.drawing import draw
from pairsieve.jobs.demo_web.scenes import random_scene
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe_group import Group

DEFAULT = Group().verify


def scene(seed: int) -> Pixels:
    return draw(random_scene(np.random.default_rng(seed)), 320, 256)


@pytest.fixture(scope="module")
def others() -> Pictures:
    return measure(lookalikes(600, seed=5))


def test_no_two_lookalikes_are_the_same_picture_and_the_seed_decides() -> None:
    drawn = list(lookalikes(200, seed=1))
    assert len({pixels.tobytes() for _, pixels in drawn}) == 200
    assert [kind for kind, _ in drawn[:10]] == ["scene"] * 6 + ["card"] * 2 + ["graphic"] * 2
    again = list(lookalikes(20, seed=1))
    assert all((one[1] == other[1]).all() for one, other in zip(drawn, again, strict=False))


@pytest.mark.parametrize(
    ("kind", "name"), [(kind, name) for kind, edits in EDITS.items() for name in edits]
)
def test_every_edit_changes_the_picture_and_gives_pixels(kind: str, name: str) -> None:
    pixels = scene(1)
    edited = EDITS[kind][name](pixels)
    assert edited.dtype == np.uint8
    assert edited.ndim == 3
    assert edited.shape != pixels.shape or (edited != pixels).any()


def test_light_edits_are_found_and_rotated_ones_too() -> None:
    gentle = [("re-compress", "quality 50"), ("resize", "x 0.5"), ("brightness", "x 0.8")]
    pictures = []
    for seed in range(6):
        pixels = scene(seed)
        pictures += [("original", pixels)]
        pictures += [(kind, EDITS[kind][name](pixels)) for kind, name in gentle]
        pictures += [(name, orient(pixels)) for name, orient in ORIENTATIONS.items()]
    assert detected(measure(pictures), 4, DEFAULT).mean() > 0.9


def test_another_picture_is_not_found() -> None:
    copies = measure([("original", scene(1)), ("other", scene(2)), ("mirrored", scene(3))])
    assert detected(copies, 4, ()).tolist() == [True, False, False]


def test_verification_keeps_lookalikes_apart_that_the_phash_joins(others: Pictures) -> None:
    alone, verified = false_joins(others, 4, ()), false_joins(others, 4, DEFAULT)
    assert alone.sum() > 5
    assert verified.sum() <= 1
    assert not alone[others.kinds == "scene"].any()


def test_all_edits_of_real_photographs_the_web_makes_are_found(
    real: Path, others: Pictures
) -> None:
    pictures = []
    for pixels in list(read_pictures(real / "www/flickr"))[:15]:
        pictures.append(("original", pixels))
        pictures += [
            (kind, edit(pixels))
            for kind in ("re-compress", "resize")
            for edit in EDITS[kind].values()
        ]
    joined = detected(measure(pictures), 4, DEFAULT)
    assert joined.mean() > 0.98
    wrong = false_joins(others, 4, DEFAULT).sum()
    assert joined.sum() / (joined.sum() + wrong) >= 0.99


def test_both_tables_are_printed(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for seed in range(2):
        Image.fromarray(scene(seed)).save(tmp_path / f"{seed}.png")
    lines: list[str] = []
    bench(NearDuplicatesBenchmark([tmp_path], pictures=20), lines.append)
    printed = capsys.readouterr().out
    assert "different pictures" in printed
    assert "Recall per edit" in printed
    assert lines[0] == "editing 2 photographs ..."


def test_without_photographs_it_says_what_is_missing() -> None:
    with pytest.raises(BadOption, match="--folder"):
        bench(NearDuplicatesBenchmark([]), print)
