"""`bench quality-filters`: how well image filters tell degraded pictures, and what they cost.

AUC is the probability that a degraded picture scores worse than a fine one, of all pairs of them.
False alarms and recall are shares of fine and degraded pictures that the default rule drops. Every
picture goes the way of a fetched one, through `pipeline/image/pixels.py`. The plots of the
documentation are made from the same scores:

    pairsieve bench quality-filters --folder DIR --plots docs/plots

`bench defaults`: what each rule on images that `init` writes refuses of good pictures, by group.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pairsieve.filters import FILTERS
from pairsieve.filters.base import measured
from pairsieve.filters.exposure import Exposure
from pairsieve.filters.low_information import LowInformation
from pairsieve.filters.order import Phase, ordered
from pairsieve.filters.perceptual_hash import PerceptualHash
from pairsieve.filters.sharpness import Sharpness
from pairsieve.filters.text_coverage import TextCoverage
from pairsieve.filters.upscaled import Upscaled
from pairsieve.jobs.bench import plots
from pairsieve.jobs.bench_data.degraded import (
    DEGRADATIONS,
    SUFFIXES,
    Plane,
    photographs,
    scenes,
)
from pairsieve.jobs.recipes.template import template
from pairsieve.pipeline.image.pixels import Picture, picture
from pairsieve.pipeline.ledger.rules import Rule, passing, rules
from pairsieve.schemas import recipe
from pairsieve.schemas.columns import HEIGHT, LUMA, LUMA_256, WIDTH, Column
from pairsieve.schemas.errors import BadOption

Scores = NDArray[np.float64]  # (n,), higher is better
BATCH = 32  # pictures measured together
UNREADABLE, ANY = "unreadable", "any of these"  # rows of `bench defaults` beside the rules
PASSES = 3  # over the fine pictures, for the time


@dataclass(frozen=True, slots=True)
class Subject:
    """One measure: what it should tell apart, and its score.

    Attributes:
        filter: The filter, with its default options.
        score: From the columns it writes, a number that is higher for better pictures.
        cases: Pairs of degradations, the first fine.
        scale: What the plot shows, and where the default bound lies.
    """

    filter: Any
    score: Callable[[Mapping[str, Any]], Any]
    cases: tuple[tuple[str, str], ...]
    scale: plots.Scale

    @property
    def name(self) -> str:
        """Return the name of the filter."""
        return str(type(self.filter).__module__.rsplit(".", 1)[1])


BLURS = ("gauss_1", "gauss_2", "gauss_4", "motion_5", "motion_9", "from_128_px", "from_85_px")
TEXTS = ("text_card", "captioned")
SUBJECTS = (
    Subject(
        Sharpness(),
        lambda columns: columns["sharpness"],
        (
            *(("fine", blur) for blur in BLURS),
            *((name, f"gauss_2_{name}") for name in ("jpeg_50", "noise", "half_contrast")),
        ),
        plots.Scale("sharpness", "sharpness", 0, 1, Sharpness().min_sharpness),
    ),
    Subject(
        Upscaled(),
        lambda columns: -columns["upscaled"],
        tuple(("fine", scale) for scale in ("twice", "three_times", "four_times")),
        plots.Scale("upscaled", "upscaled", 1, 6, Upscaled().max_factor, -1),
    ),
    Subject(
        LowInformation(),
        lambda columns: -columns["low_information"],
        (("fine", "card"), ("fine", "bordered")),
        plots.Scale("low_information", "low_information", 0, 1, LowInformation().max_flat, -1),
    ),
    Subject(
        TextCoverage(),
        lambda columns: -columns["text_coverage"],
        tuple(("fine", f"{what}_{share}") for what in TEXTS for share in (10, 30)),
        plots.Scale("text_coverage", "text_coverage", 0, 0.3, TextCoverage().max_text, -1),
    ),
    Subject(
        Exposure(),
        lambda columns: columns["exposure_bright"],
        (("fine", "dark"),),
        plots.Scale("exposure_bright", "exposure_bright", 0, 255, Exposure().min_bright),
    ),
    Subject(
        Exposure(),
        lambda columns: columns["exposure_bright"] - columns["exposure_dark"],
        (("fine", "washed_out"),),
        plots.Scale(
            "exposure_range", "exposure_bright - exposure_dark", 0, 255, Exposure().min_range
        ),
    ),
)


def defaults(groups: Mapping[str, Path], echo: Callable[[str], None]) -> None:
    """Print what each default on images refuses of the pictures in each folder, in percent.

    Raises:
        BadOption: a folder is not there or has no pictures.
    """
    applied = image_rules()
    counts = {name: refused(folder, applied) for name, folder in groups.items()}
    width = max(12, *(len(name) + 2 for name in groups))
    echo(f"{'refuses of good pictures':26}" + "".join(f"{name:>{width}}" for name in counts))
    echo(f"{'pictures':26}" + "".join(f"{found['']:>{width}}" for found in counts.values()))
    for row in (*(rule.name for rule in applied), UNREADABLE, ANY):
        shares = [found[row] / max(1, found[""]) for found in counts.values()]
        echo(f"{row:26}" + "".join(f"{share:>{width}.1%}" for share in shares))


def image_rules() -> tuple[Rule, ...]:
    """Return the rules on images of the recipe that `init` writes."""
    import yaml

    made = recipe.Recipe.model_validate(yaml.safe_load(template()))
    return tuple(rule for rule in rules(made) if rule.phase is Phase.IMAGE)


def refused(folder: Path, applied: Sequence[Rule]) -> dict[str, int]:
    """Return how many pictures each rule refuses, by its name, and of "" how many there are."""
    files = sorted(p for p in folder.rglob("*") if p.suffix.lower() in SUFFIXES)
    if not files:
        raise BadOption(f"--folder: {folder} has no pictures: {', '.join(SUFFIXES)}")
    counts = dict.fromkeys(("", *(rule.name for rule in applied), UNREADABLE, ANY), 0)
    counts[""] = len(files)
    for start in range(0, len(files), BATCH):
        bodies = [file.read_bytes() for file in files[start : start + BATCH]]
        results = [picture(body, recipe.Image()) for body in bodies]
        pictures = [each for each in results if isinstance(each, Picture)]
        lost = len(results) - len(pictures)
        table = _table(pictures)
        verdicts = {rule.name: passing(table, [rule]) for rule in applied}
        for name, passes in verdicts.items():
            counts[name] += int((~passes).sum())
        counts[UNREADABLE] += lost
        counts[ANY] += lost + int((~np.all(list(verdicts.values()), axis=0)).sum())
    return counts


def _table(pictures: Sequence[Picture]) -> pa.Table:
    """Return what `gather` measures of pictures by their sizes and luma."""
    inputs: dict[Column, Any] = {
        WIDTH: np.array([each.width for each in pictures], np.int32),
        HEIGHT: np.array([each.height for each in pictures], np.int32),
        LUMA: column([each.luma for each in pictures]),
        LUMA_256: column([each.luma_256 for each in pictures]),
    }
    for one in ordered(FILTERS).image:
        if set(one.reads) <= inputs.keys():
            inputs |= measured(one, inputs)
    stored = {c.name: v for c, v in inputs.items() if c not in (LUMA, LUMA_256)}
    return pa.table(stored)


@dataclass(frozen=True, slots=True)
class Separation:
    """How well one filter tells fine pictures from those with one degradation."""

    measure: str
    fine: str
    degraded: str
    auc: float
    false_alarms: float
    recall: float


def bench(
    folders: Iterable[Path],
    count: int,
    seed: int,
    echo: Callable[[str], None],
    plots_folder: Path | None,
) -> None:
    """Measure `count` drawn scenes and the pictures in `folders`; print the separations.

    Plots of the scores are written to `plots_folder`, if not None.
    """
    sets = {"drawn": list(scenes(count, seed))}
    sets |= {folder.name: list(photographs(folder)) for folder in folders}
    curves: dict[Subject, list[plots.Curve]] = {subject: [] for subject in SUBJECTS}
    for name, planes in sets.items():
        echo(f"{name}: {len(planes)} pictures")
        echo(f"  {'measure':16} {'fine':14} {'degraded':22} {'AUC':>6} {'recall':>7} {'alarms':>7}")
        degraded = DegradedPictures(planes, seed)
        for subject in SUBJECTS:
            separations = [degraded.separation(subject, fine, bad) for fine, bad in subject.cases]
            for each in separations:
                echo(_printed(each))
            mean = np.mean([each.auc for each in separations])
            echo(f"  {subject.name:16} {'':14} {'mean':22} {mean:6.4f}")
            degradations = dict.fromkeys(
                degradation for case in subject.cases if "fine" in case for degradation in case
            )
            curves[subject] += [
                plots.Curve(f"{name}: {degradation}", abs(degraded.scores(subject, degradation)))
                for degradation in degradations
            ]
        for measure, spent in costs(planes).items():
            echo(f"  {measure:16} {spent:.3f} ms of CPU per picture")
    if plots_folder is not None:
        plots.write(plots_folder, {subject.scale: curves[subject] for subject in SUBJECTS})


def _printed(line: Separation) -> str:
    return (
        f"  {line.measure:16} {line.fine:14} {line.degraded:22} {line.auc:6.4f} "
        f"{line.recall:6.1%} {line.false_alarms:7.1%}"
    )


class DegradedPictures:
    """Pictures with every degradation, measured when needed."""

    def __init__(self, planes: list[Plane], seed: int) -> None:
        self._planes = planes
        self._seed = seed
        self._inputs: dict[str, dict[Column, Any]] = {}

    def separation(self, subject: Subject, fine: str, bad: str) -> Separation:
        """Return how well the filter tells the degradations `fine` and `bad` apart."""
        good, worse = self.scores(subject, fine), self.scores(subject, bad)
        dropped = [
            float(np.mean(~self._passing(subject, degradation))) for degradation in (fine, bad)
        ]
        return Separation(subject.name, fine, bad, auc(good, worse), *dropped)

    def scores(self, subject: Subject, degradation: str) -> Scores:
        """Return the score of every picture with this degradation."""
        columns = self._columns(subject, degradation)
        return np.asarray(subject.score(columns), np.float64)

    def _passing(self, subject: Subject, degradation: str) -> NDArray[np.bool_]:
        """Return which pictures the default rule keeps."""
        columns = self._columns(subject, degradation)
        rule = Rule(subject.name, subject.filter.rule(), False, Phase.IMAGE)
        return passing(pa.table(columns), [rule])

    def _columns(self, subject: Subject, degradation: str) -> dict[str, Any]:
        """Return the columns that the measure writes, by name."""
        if degradation not in self._inputs:
            self._inputs[degradation] = filter_inputs(
                DEGRADATIONS[degradation](plane, np.random.default_rng((self._seed, number)))
                for number, plane in enumerate(self._planes)
            )
        columns = measured(subject.filter, self._inputs[degradation])
        return {column.name: values for column, values in columns.items()}


def filter_inputs(planes: Iterable[Plane]) -> dict[Column, Any]:
    """Return what `gather` gives to measures of pictures published as `planes`, uncompressed."""
    import cv2

    results = [
        picture(cv2.imencode(".bmp", plane)[1].tobytes(), recipe.Image()) for plane in planes
    ]
    pictures = [each for each in results if isinstance(each, Picture)]
    # What OpenCV has just encoded is decoded; one rejected would shift those after it.
    assert len(pictures) == len(results)
    return {
        LUMA: column([each.luma for each in pictures]),
        LUMA_256: column([each.luma_256 for each in pictures]),
    }


def column(planes: list[Plane]) -> NDArray[np.object_]:
    """Return planes as an object array, (n,)."""
    array = np.empty(len(planes), object)
    array[:] = planes
    return array


def auc(fine: Scores, degraded: Scores) -> float:
    """Return the share of pairs in which the fine picture scores higher; a draw is a half."""
    higher = np.mean(fine[:, None] > degraded)
    return float(higher + np.mean(fine[:, None] == degraded) / 2)


def costs(planes: list[Plane]) -> dict[str, float]:
    """Return the CPU time of each image measure per picture, ms, in batches as in `gather`."""
    inputs = filter_inputs(planes)
    batches = [
        {each: values[start : start + BATCH] for each, values in inputs.items()}
        for start in range(0, len(planes), BATCH)
    ]
    spent: dict[str, float] = {}
    for measure in (PerceptualHash(), *{subject.filter: None for subject in SUBJECTS}):
        for batch in batches:  # so that all is compiled, and every size seen
            measured(measure, batch)
        start = time.process_time()
        for _ in range(PASSES):
            for batch in batches:
                measured(measure, batch)
        took = time.process_time() - start
        name = type(measure).__module__.rsplit(".", 1)[1]
        spent[name] = 1000 * took / PASSES / len(planes)
    return spent | {"all together": sum(spent.values())}
