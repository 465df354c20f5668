import io
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tests.pipeline.explore.dataset import COLOURS, SCRIPT, SQL_HOST, Finished, jpeg, make

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.explore.pictures import at_bound, look_up, small
from pairsieve.pipeline.explore.sample import Sample, draw
from pairsieve.schemas.errors import Stopped

SHARP = "sharpness.min_sharpness"


@pytest.fixture(scope="module")
def drawn(finished: Finished) -> Sample:
    return draw(finished.store, Serial(), "default")


def _sharpness(drawn: Sample, rows: list[int]) -> list[float]:
    return [float(drawn.bound(SHARP)[1][drawn.rows == row][0]) for row in rows]


def test_the_nearest_to_a_bound_come_first_on_either_side(drawn: Sample) -> None:
    inside, outside = at_bound(drawn, SHARP, 0.3, {}, others_pass=False)
    within, beyond = _sharpness(drawn, inside), _sharpness(drawn, outside)
    assert within == sorted(within)
    assert min(within) >= np.float32(0.3) > max(beyond)
    assert beyond == sorted(beyond, reverse=True)
    assert len(inside) + len(outside) == np.isfinite(drawn.bound(SHARP)[1]).sum()


def test_only_some_pairs_are_looked_at(drawn: Sample) -> None:
    inside, outside = at_bound(drawn, SHARP, 0.3, {"host": SQL_HOST, "language": "en"}, False)
    assert inside + outside
    assert {row % 50 for row in inside + outside} == {3}
    assert {row % 3 for row in inside + outside} == {0}
    kept, _ = at_bound(drawn, SHARP, 0.3, {}, others_pass=True)
    assert len(kept) < len(at_bound(drawn, SHARP, 0.3, {}, others_pass=False)[0])


def _colour(picture: bytes | None) -> tuple[int, ...]:
    assert picture
    with Image.open(io.BytesIO(picture)) as image:
        return tuple(int(c) for c in np.asarray(image)[-1, -1])


def test_pairs_are_shown_as_they_are_with_their_own_pictures(finished: Finished) -> None:
    shown = look_up(finished.store, "default", [599, 7, 205, 6], {"sharpness"})
    assert [one.pair["row"] for one in shown] == [599, 7, 205, 6]
    assert shown[0].picture is None
    assert (shown[1].pair["text"], shown[1].blurred) == (SCRIPT, False)
    assert "image_file" not in shown[1].pair
    for one in shown[1:]:
        wanted = COLOURS[one.pair["row"] % 3]
        assert np.abs(np.subtract(_colour(one.picture), wanted)).max() < 12


def test_reasons_are_the_rules_that_drop_it(finished: Finished) -> None:
    (copy,) = look_up(finished.store, "default", [17])
    assert "duplicate" in copy.reasons


def test_what_scores_say_is_not_safe_is_blurred_until_asked_for(finished: Finished) -> None:
    (blurred,) = look_up(finished.store, "default", [40])
    (clear,) = look_up(finished.store, "default", [40], unblurred=[40])
    assert (blurred.blurred, clear.blurred) == (True, False)
    assert blurred.picture == small(jpeg(COLOURS[40 % 3]), blurred=True)
    assert clear.picture == small(jpeg(COLOURS[40 % 3]))
    edges = [float(np.ptp(np.asarray(Image.open(io.BytesIO(p))), axis=(0, 1)).max())
             for p in (blurred.picture, clear.picture) if p]  # fmt: skip
    assert edges[0] < edges[1] / 2


def test_what_the_protection_of_minors_refuses_is_never_shown(tmp_path: Path) -> None:
    made = make(tmp_path, minor_row=11)
    refused, other = look_up(made.store, "default", [11, 12], unblurred=[11])
    assert refused.picture is None
    assert other.picture


def test_a_picture_that_is_not_as_it_was_stored_is_not_shown(
    tmp_path: Path,
) -> None:
    made = make(tmp_path)
    tar = Store.at(made.store.url).local
    assert tar
    file = tar / "gather/00000000.0123456789ab.tar"
    file.write_bytes(file.read_bytes().replace(b"\xff\xda", b"\xff\xdb"))
    with pytest.raises(Stopped, match="its bytes are not those that were committed"):
        look_up(made.store, "default", [1])
