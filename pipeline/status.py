"""Status: where every pair of a dataset is, from the markers alone."""

import time
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, field

from pairsieve.pipeline.captions.sentences import caption_sentences
from pairsieve.pipeline.dataset.commit import damaged
from pairsieve.pipeline.dataset.marker import REPLACED, Marker, outcome_counts
from pairsieve.pipeline.dataset.paths import (
    DONE,
    GATHER_FOLDER,
    PLAN_FILE,
    SEARCHES,
    layer_of,
    report_page,
    select_marker,
)
from pairsieve.pipeline.dataset.roles import Role, role
from pairsieve.pipeline.dataset.stages import (
    GATHER,
    PLAN,
    REPORT,
    VERBS,
    Scope,
    Stage,
)
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.dataset.work import RoundWork, StageWork, round_of, work_of
from pairsieve.pipeline.ledger.files import MADE_BY, current_result, first_names
from pairsieve.pipeline.ledger.ledger import current_shards, gathered_fingerprint
from pairsieve.pipeline.selections.listing import names as selections
from pairsieve.pipeline.unit import plan_file, retry_layers
from pairsieve.pipeline.unit.fetch_diagnosis import diagnose, failures, worst
from pairsieve.pipeline.unit.fetch_summary import line_sentences, total, wider
from pairsieve.pipeline.unit.retry_layers import RetryLayer
from pairsieve.pipeline.vectors import head_check, model_record, reader
from pairsieve.schemas.errors import BadOption, nearest
from pairsieve.schemas.outcomes import Outcome

DEFAULT = "default"  # the selection that a command without a name means
WHOLE = (Scope.POOL, Scope.SELECTION)  # whose only marker answers for all that they do
HOSTS_SHOWN = 5
STEPS_SHOWN = 12


@dataclass
class Retry:
    """What one retry layer has come to, in pairs.

    Attributes:
        retry_layer: Which, from 1.
        reasons: What was requested: `transient`, or outcomes.
        pairs: How many had these outcomes when the layer began.
        pending: Those not fetched again yet.
        recovered: Those that have an image now.
    """

    retry_layer: int
    reasons: str
    pairs: int
    pending: int
    recovered: int


@dataclass
class Status:
    """Where the pairs are; a number is None where its verb has not run.

    Attributes:
        pairs: Pairs of the input.
        pending: Those not gathered yet.
        outcomes: Pairs per outcome of those gathered; that of a pair's latest retry layer.
        retries: One entry per retry layer.
        outdated: True when there is a selection, but more was gathered since: it has no numbers.
        failed, dropped, kept: What the selection made of all pairs.
        in_shards: Samples in the shards of the selection, if they are those of its latest run.
        skipped: Location and damage of each input file that was not read to its end.
        diagnoses: A sentence on each thing that the failures, skipped files or scores point to.
        worst_hosts: (host, failed, requested, commonest failure) of those with the most failures,
            among the worst of each unit.
        line: Sentences on how many requests were under way at once, and on https.
        over_time: (start, s since 1970 UTC, failed, requested, commonest failure) of equal steps.
        models: A sentence on each model that made vectors or wrote captions.
        stages: Those that have left something, in the order of the pipeline.
        work: How far each of these is, embedding by model.
        round: The round of `group` that is under way, or was stopped; None without any.
        complaints: What does not add up; empty when all is well.
    """

    pairs: int
    pending: int
    outcomes: dict[str, int]
    retries: list[Retry] = field(default_factory=list)
    outdated: bool = False
    failed: int | None = None
    dropped: int | None = None
    kept: int | None = None
    in_shards: int | None = None
    skipped: list[tuple[str, str]] = field(default_factory=list)
    diagnoses: list[str] = field(default_factory=list)
    worst_hosts: list[tuple[str, int, int, str]] = field(default_factory=list)
    line: list[str] = field(default_factory=list)
    over_time: list[tuple[int, int, int, str]] = field(default_factory=list)
    models: list[str] = field(default_factory=list)
    stages: list[str] = field(default_factory=list)
    work: list[StageWork] = field(default_factory=list)
    round: RoundWork | None = None
    complaints: list[str] = field(default_factory=list)

    def to_json(self) -> dict[str, object]:
        """Return the fields by name, with `adds_up`."""
        return asdict(self) | {"adds_up": not self.complaints}


@dataclass(frozen=True, slots=True)
class Made:
    """What a stage has left that has left a marker.

    Attributes:
        stage: Which.
        folder: Of its markers; of a model there may be one of vectors and several of scores.
        markers: By their names.
    """

    stage: Stage
    folder: str
    markers: Mapping[str, Marker]

    @property
    def title(self) -> str:
        """Return the name of the stage, and that of the model where it has one."""
        if self.stage.scope is not Scope.MODEL:
            return self.stage.name
        model, _, scores = self.folder.removeprefix(f"{self.stage.folder}/").partition("/")
        return f"{'scores of' if scores else self.stage.name} {model}"


def status(store: Store, name: str) -> Status:
    """Return where the pairs are, as the markers of the selection `name` have it.

    Raises:
        BadOption: there is no dataset, or no selection of that name while there are others.
    """
    plan = plan_file.read(store)
    names = selections(store)
    if name not in names and (names or name != DEFAULT):
        known = nearest(name, names) if names else "none was made yet"
        raise BadOption(f"--name: there is no selection `{name}`; {known}")
    gathered = store.markers(GATHER_FOLDER)
    outcomes = outcome_counts(gathered.values())
    done = sum(marker.rows for part, marker in gathered.items() if not layer_of(part))
    summary = Status(plan.pairs, plan.pairs - done, dict(outcomes))
    fetches = total(gathered.values())
    summary.skipped = list(plan.skipped)
    summary.diagnoses = [*plan.sentences(), *diagnose(fetches)]
    summary.worst_hosts = worst(fetches.hosts, HOSTS_SHOWN)
    summary.line = line_sentences(gathered.values())
    steps = wider(dict(fetches.steps), STEPS_SHOWN)
    summary.over_time = [(start, *failures(counts)) for start, counts in steps]
    summary.models = [*model_record.model_sentences(store), *caption_sentences(store)]
    summary.stages = [stage.name for stage in VERBS if _committed(store, stage, name)]
    _expect(summary, "pairs per outcome", sum(outcomes.values()), "pairs gathered", done)
    if done > plan.pairs:
        summary.complaints.append(f"{done} pairs gathered, but only {plan.pairs} planned")
    layers = retry_layers.read_layers(store)
    made = list(_made(store, name, gathered))
    retried = sum(layer.pairs for layer in layers)
    summary.work = list(_work(store, made, plan.pairs + retried))
    summary.round = round_of(store, SEARCHES, time.time())
    for layer in layers:
        _add_retry(summary, layer, retry_layers.markers_of(layer, gathered).values())
    summary.complaints += _damage(store, made)
    selected = store.marker(select_marker(name))
    summary.diagnoses += head_check.sentences(store, _scores(store, selected))
    judged = gathered_fingerprint(first_names(gathered.values(), ".parquet"))
    summary.outdated = selected is not None and selected.extra["gathered"] != judged
    if selected and not summary.outdated:
        _add_selection(summary, selected, done)
        _add_shards(summary, current_shards(store, name))
    return summary


def _made(store: Store, name: str, gathered: Mapping[str, Marker]) -> Iterator[Made]:
    """Yield what each stage has left that has left a marker; of models folder after folder."""
    for stage in VERBS:
        if stage == GATHER and gathered:
            yield Made(stage, stage.folder, gathered)
        elif stage.scope is Scope.MODEL:
            paths = [path for path, _, _ in store.list(stage.folder) if role(path) is Role.MARKER]
            for folder in sorted({path.rpartition("/")[0] for path in paths}):
                yield Made(stage, folder, store.markers(folder))
        elif stage.scope in WHOLE and (done := current_result(store, stage, name)):
            yield Made(stage, stage.folder, {DONE: done})


def _work(store: Store, made: Iterable[Made], attempted: int) -> Iterator[StageWork]:
    """Yield how far each stage is, where so many pairs are attempted."""
    now = time.time()
    for one in made:
        total = one.markers[DONE].rows if one.stage.scope in WHOLE else attempted
        yield work_of(store, one.title, one.folder, one.markers, total, now)


def _scores(store: Store, selected: Marker | None) -> list[str]:
    """Return the folders of the scores that a selection has read; without one, of the latest."""
    if selected and MADE_BY in selected.extra:
        return list(selected.extra[MADE_BY]["scores"].values())
    models = model_record.read_records(store)
    return [one for model in models for one in reader.latest_scores(store, model).values()]


def _damage(store: Store, made: Iterable[Made]) -> Iterator[str]:
    """Yield a sentence on each committed file that is gone or has another size."""
    for one in made:
        again = f"`pairsieve {one.stage.name}` makes it again"
        for file, wrong in damaged(store, one.markers.values()):
            yield f"{file}: {wrong}; {store.remedy if one.stage == GATHER else again}"


def _committed(store: Store, stage: Stage, name: str) -> bool:
    """Return whether a stage has left something: of those per selection, for the one `name`."""
    if stage.scope in WHOLE:
        return current_result(store, stage, name) is not None
    if stage.scope is Scope.DATASET:
        return store.exists({PLAN: PLAN_FILE, REPORT: report_page(name)}[stage])
    return bool(store.marker_names(stage.folder))


def _add_retry(summary: Status, layer: RetryLayer, markers: Iterable[Marker]) -> None:
    """Add one retry layer; its task slices must supersede as many pairs as they answer for."""
    rows = sum(marker.rows for marker in markers)
    recovered = sum(marker.counts.get(Outcome.OK, 0) for marker in markers)
    summary.retries.append(
        Retry(
            layer.number,
            retry_layers.as_option(layer.outcomes),
            layer.pairs,
            layer.pairs - rows,
            recovered,
        )
    )
    replaced = sum(sum(marker.extra[REPLACED].values()) for marker in markers)
    with_outcome = sum(sum(marker.counts.values()) for marker in markers)
    what = f"pairs that retry layer {layer.number}"
    _expect(summary, f"{what} replaced", replaced, "pairs retried", rows)
    _expect(summary, f"{what} has an outcome for", with_outcome, "pairs retried", rows)
    if rows > layer.pairs:
        summary.complaints.append(
            f"{what} fetched again: {rows}, but only {layer.pairs} were to be"
        )


def _add_selection(summary: Status, selected: Marker, done: int) -> None:
    """Add what the selection made of the pairs; it must answer for all that are gathered."""
    counts = selected.counts
    summary.failed, summary.dropped, summary.kept = (
        counts[key] for key in ("failed", "dropped", "kept")
    )
    parts = summary.failed + summary.dropped + summary.kept
    _expect(summary, "failed + dropped + kept", parts, "pairs gathered", done)
    passed = (Outcome.OK, Outcome.GATED)
    failed = sum(pairs for outcome, pairs in summary.outcomes.items() if outcome not in passed)
    _expect(
        summary, "failed in the selection", summary.failed, "pairs with a failing outcome", failed
    )


def _add_shards(summary: Status, shards: Marker | None) -> None:
    """Add the samples in shards; they must be the pairs kept."""
    if shards and summary.kept is not None:
        summary.in_shards = shards.counts["kept"]
        _expect(summary, "samples in shards", summary.in_shards, "pairs kept", summary.kept)


def _expect(summary: Status, what: str, count: int, as_many_as: str, expected: int) -> None:
    if count != expected:
        summary.complaints.append(f"{what}: {count}, but {as_many_as}: {expected}")
