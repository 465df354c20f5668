"""The metrics of a run for Prometheus: what the displays show, at a port of this machine.

They are read off the few sums that the driver keeps, at the moment they are asked for; nothing is
counted for them alone.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING

from pairsieve.jobs.live.stage_progress import StageProgress
from pairsieve.schemas.errors import BadOption

if TYPE_CHECKING:
    from prometheus_client import Metric

    from pairsieve.jobs.live.progress import Display

LOOPBACK = "127.0.0.1"
Value = Callable[[StageProgress], float | None]


@dataclass(frozen=True, slots=True)
class StageMetric:
    """A metric with the label `stage`.

    Attributes:
        name: Of the metric; that of a counter ends in `_total`.
        text: What it tells.
        value: Of a stage; None where it has none.
    """

    name: str
    text: str
    value: Value

    @property
    def kind(self) -> str:
        """Return its type: what only grows while a run goes is a counter."""
        return "counter" if self.name.endswith("_total") else "gauge"


STAGE_METRICS = (
    StageMetric(
        "pairsieve_stage_pairs",
        "Pairs that the stage answers for when it is done.",
        lambda s: s.total,
    ),
    StageMetric(
        "pairsieve_stage_pairs_done",
        "Pairs it has answered for, those of earlier runs among them.",
        lambda s: s.pairs,
    ),
    StageMetric(
        "pairsieve_stage_pairs_per_second",
        "Pairs of this run per second, since the stage began.",
        lambda s: s.rate,
    ),
    StageMetric(
        "pairsieve_stage_left_seconds",
        "Time left at that rate.",
        lambda s: s.left_s,
    ),
    StageMetric(
        "pairsieve_stage_round_tasks",
        "Tasks of the round over the whole pool that is under way; absent where none is.",
        lambda s: getattr(s.round, "total", None),
    ),
    StageMetric(
        "pairsieve_stage_round_tasks_done",
        "Those that are done, by earlier runs too.",
        lambda s: getattr(s.round, "done", None),
    ),
    StageMetric(
        "pairsieve_stage_cpu_busy_ratio",
        "Share of the processors' time that the stage used, since it began.",
        lambda s: s.cpu_share,
    ),
    StageMetric(
        "pairsieve_stage_gpu_busy_ratio",
        "Share of the GPUs' time in which models computed; absent without a GPU.",
        lambda s: s.gpu_share,
    ),
    StageMetric(
        "pairsieve_pairs_total",
        "Pairs that this run has answered for.",
        lambda s: s.new,
    ),
    StageMetric(
        "pairsieve_cpu_seconds_total",
        "CPU time that this run has spent.",
        lambda s: s.cpu_s,
    ),
    StageMetric(
        "pairsieve_model_seconds_total",
        "Time in which models computed.",
        lambda s: s.model_s,
    ),
    StageMetric(
        "pairsieve_fetched_bytes_total",
        "Bytes received from the web.",
        lambda s: s.fetched,
    ),
    StageMetric(
        "pairsieve_written_bytes_total",
        "Bytes committed to the dataset.",
        lambda s: s.written,
    ),
)
OUTCOMES = ("pairsieve_stage_outcome_pairs", "Pairs with an outcome, by `stage` and `outcome`.")
PROCESSORS = ("pairsieve_processors", "Processors that the work may use.")
GPUS = ("pairsieve_gpus", "GPUs that the work may use.")


class Metrics:
    """What is known of the work of a command; nothing until it shows a display.

    Attributes:
        display: The latest that it has shown.
        result: What the work came to, by name, numbers and texts; empty until it is known.
    """

    def __init__(self) -> None:
        self.display: Display | None = None
        self.result: dict[str, float | str] = {}

    def show(self, display: "Display") -> None:
        """Tell from now on what this display knows."""
        self.display = display

    def collect(self) -> Iterator["Metric"]:
        """Yield the metrics as the client library asks for them, in a thread of its own."""
        if self.display:
            yield from _of_stages(list(self.display.stages.items()))
            engine = self.display.engine
            for (name, text), value in ((PROCESSORS, engine.processors), (GPUS, engine.gpus)):
                yield _metric(name, text, "gauge", [({}, value)])


def _of_stages(stages: Sequence[tuple[str, StageProgress]]) -> Iterator["Metric"]:
    """Yield the metrics of all stages."""
    for metric in STAGE_METRICS:
        values = [({"stage": name}, metric.value(stage)) for name, stage in stages]
        yield _metric(metric.name, metric.text, metric.kind, values)
    outcomes = [
        ({"stage": name, "outcome": outcome}, pairs)
        for name, stage in stages
        for outcome, pairs in stage.outcomes.copy().items()
    ]
    yield _metric(*OUTCOMES, "gauge", outcomes)


def _metric(
    name: str, text: str, kind: str, values: Iterable[tuple[dict[str, str], float | None]]
) -> "Metric":
    """Return a metric with these labels and values, but for those that are None."""
    from prometheus_client import Metric

    metric = Metric(name.removesuffix("_total"), text, kind)
    for labels, value in values:
        if value is not None:
            metric.add_sample(name, labels, value)
    return metric


@contextmanager
def served(port: int | None) -> Iterator[Metrics]:
    """Serve metrics at a port that this machine alone reaches, until the work is done; or at none.

    Raises:
        BadOption: the port is taken or may not be had, or the client library is not there.
    """
    metrics = Metrics()
    with nullcontext() if port is None else _server(metrics, port):
        yield metrics


@contextmanager
def _server(metrics: Metrics, port: int) -> Iterator[None]:
    """Serve metrics in a thread."""
    if not find_spec("prometheus_client"):
        raise BadOption("--metrics-port: needs `pip install 'pairsieve[metrics]'`")
    from prometheus_client import CollectorRegistry, start_http_server

    registry = CollectorRegistry(auto_describe=False)
    registry.register(metrics)
    try:
        server, thread = start_http_server(port, LOOPBACK, registry)
    except OSError as error:
        raise BadOption(
            f"--metrics-port: {LOOPBACK}:{port} cannot be listened on: {error.strerror}"
        ) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
