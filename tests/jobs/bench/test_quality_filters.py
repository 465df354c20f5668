"""How well the measures tell fine pictures from degraded ones: the short form of the benchmark."""

import re
from pathlib import Path
from xml.etree import ElementTree

import numpy as np
import pytest
from PIL import Image
from typer.testing import CliRunner

from pairsieve.jobs.bench.commands import bench
from pairsieve.jobs.bench.plots import Curve, Scale, svg
from pairsieve.jobs.bench.quality_filters import (
    SUBJECTS,
    DegradedPictures,
    Separation,
    Subject,
    auc,
)
from pairsieve.jobs.bench_data.degraded import DEGRADATIONS, Plane, photographs, scenes
from pairsieve.schemas.errors import BadOption

PLOTS = Path(__file__).parents[3] / "docs/plots"
SHARPNESS = SUBJECTS[0]
(TEXT,) = (subject for subject in SUBJECTS if subject.name == "text_coverage")
OTHERS = [subject for subject in SUBJECTS if subject not in (SHARPNESS, TEXT)]


@pytest.fixture(scope="module")
def drawn() -> list[Plane]:
    return list(scenes(24, 0))


@pytest.fixture(scope="module")
def degraded(drawn: list[Plane]) -> DegradedPictures:
    return DegradedPictures(drawn, 0)


def lines(degraded: DegradedPictures, subject: Subject) -> list[Separation]:
    return [degraded.separation(subject, fine, bad) for fine, bad in subject.cases]


def test_auc_counts_pairs_and_half_of_the_draws() -> None:
    assert auc(np.array([3.0, 2.0]), np.array([1.0, 2.0])) == 3.5 / 4


def test_every_degradation_keeps_size_and_kind_and_changes_the_picture(drawn: list[Plane]) -> None:
    plane = drawn[0]
    for name, degrade in DEGRADATIONS.items():
        changed = degrade(plane, np.random.default_rng(0))
        assert (changed.shape, str(changed.dtype)) == (plane.shape, "uint8"), name
        assert np.array_equal(changed, plane) == (name == "fine"), name


def test_blur_is_measured_on_drawn_scenes(degraded: DegradedPictures) -> None:
    separations = lines(degraded, SHARPNESS)
    assert np.mean([line.auc for line in separations]) >= 0.985
    assert max(line.false_alarms for line in separations) <= 1 / 24


def test_blur_is_measured_on_real_photographs(real: Path) -> None:
    planes = list(photographs(real / "www/flickr"))
    separations = lines(DegradedPictures(planes[::2], 0), SHARPNESS)
    assert np.mean([line.auc for line in separations]) >= 0.985
    assert DegradedPictures(planes, 0).separation(SHARPNESS, "fine", "gauss_4").false_alarms <= 0.02


def test_text_is_measured_on_drawn_scenes(degraded: DegradedPictures) -> None:
    for line in lines(degraded, TEXT):
        assert line.recall >= 0.95
        assert line.false_alarms <= 1 / 24  # checks in rows


def test_text_is_measured_on_real_photographs(real: Path) -> None:
    planes = list(photographs(real / "www/flickr"))
    for line in lines(DegradedPictures(planes[::2], 0), TEXT):
        assert line.auc >= 0.97
        assert line.recall >= 0.9
        assert line.false_alarms == 0


@pytest.mark.parametrize("subject", OTHERS, ids=lambda subject: str(subject.scale.file))
def test_other_faults_are_measured_on_drawn_scenes(
    degraded: DegradedPictures, subject: Subject
) -> None:
    for line in lines(degraded, subject):
        assert line.auc >= 0.985
        assert line.false_alarms == 0


def test_it_prints_a_line_per_fault_and_the_cost_and_writes_the_plots(tmp_path: Path) -> None:
    done = CliRunner().invoke(
        bench, ["quality-filters", "--pictures", "3", "--plots", str(tmp_path)]
    )
    assert done.exit_code == 0, done.output
    for subject in SUBJECTS:
        assert all(f"{fine:14} {bad}" in done.output for fine, bad in subject.cases)
        assert re.search(rf"{subject.name:16} [\d.]+ ms of CPU", done.output)
    shown = {path.name for path in PLOTS.iterdir()} - {"curation.svg"}  # of `bench curation`
    assert {path.name for path in tmp_path.iterdir()} == shown


def test_plots_of_the_documentation_are_small() -> None:
    assert max(path.stat().st_size for path in PLOTS.iterdir()) < 60_000


def test_a_curve_rises_from_none_to_all_at_its_scores() -> None:
    root = ElementTree.fromstring(svg(Scale("x", "x", 0, 1, 0.5), [Curve("a: b", np.array([0.2]))]))
    (curve,) = root.iter("{http://www.w3.org/2000/svg}polyline")
    heights = [float(point.split(",")[1]) for point in curve.attrib["points"].split()]
    assert heights[:20] == [312.0] * 20
    assert heights[20:] == [12.0] * 81


def test_what_defaults_refuse_is_told_by_rule_and_group(tmp_path: Path, drawn: list[Plane]) -> None:
    good, dull = tmp_path / "good", tmp_path / "dull"
    for folder in (good, dull):
        folder.mkdir()
    for number in range(3):
        Image.fromarray(drawn[number]).save(good / f"{number}.png")
    Image.fromarray(drawn[0] // 16).save(dull / "dark.png")
    (dull / "broken.jpg").write_bytes(b"no")
    told = ["defaults", "--folder", f"good={good}", "--folder", f"dull={dull}"]
    done = CliRunner().invoke(bench, told)
    assert done.exit_code == 0, done.output
    table = {line[:26].strip(): line[26:].split() for line in done.stdout.splitlines()}
    assert table["pictures"] == ["3", "2"]
    assert table["exposure"] == ["0.0%", "50.0%"]
    assert table["unreadable"] == ["0.0%", "50.0%"]
    assert table["any of these"] == ["0.0%", "100.0%"]
    assert {"size", "aspect_ratio", "sharpness", "low_information", "upscaled"} <= table.keys()


def test_a_group_of_no_pictures_is_refused(tmp_path: Path) -> None:
    for folder, says in (("nameless", "write NAME=DIR"), (f"a={tmp_path}", "has no pictures")):
        done = CliRunner().invoke(bench, ["defaults", "--folder", folder])
        assert isinstance(done.exception, BadOption)
        assert says in str(done.exception)
