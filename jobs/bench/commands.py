"""`pairsieve bench`: the commands."""

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from pairsieve.jobs.cli_options import App, EngineKind, Kind, Workers
from pairsieve.schemas.errors import BadOption

bench = App(
    help="Measure what pairsieve costs, beside what others use; all on this machine.",
    no_args_is_help=True,
)

DISTRIBUTED_HASHES = 10_000_000  # of the distributed search

Runs = Annotated[int, typer.Option("--runs", min=1, help="Runs of each contestant; odd is best.")]
Python = Annotated[
    Path | None,
    typer.Option(
        "--img2dataset-python",
        help="Interpreter of img2dataset's environment; default: what `make img2dataset` made.",
    ),
]
Without = Annotated[
    bool, typer.Option("--without-img2dataset", help="Leave the comparison with it out.")
]


@bench.command()
def fetch(
    images: Annotated[int, typer.Option("--images", min=1, help="Images per run.")] = 1000,
    body_bytes: Annotated[
        int, typer.Option("--body-bytes", min=4, help="Size of each image, bytes.")
    ] = 56_000,
    concurrency: Annotated[
        int, typer.Option("--concurrency", min=1, max=1000, help="Transfers, or threads, at once.")
    ] = 256,
    hosts: Annotated[
        int, typer.Option("--hosts", min=1, help="Host names in one unit, to measure scheduling.")
    ] = 10_000,
    runs: Runs = 5,
    img2dataset_python: Python = None,
    without_img2dataset: Without = False,
) -> None:
    """Compare the CPU time of a fetched image with img2dataset's downloader and urllib's."""
    from pairsieve.jobs.bench.fetch import FetchBenchmark, bench

    python = img2dataset(img2dataset_python, without_img2dataset)
    bench(FetchBenchmark(images, body_bytes, concurrency, hosts, runs, python), typer.echo)


@bench.command()
def pixels(
    images: Annotated[int, typer.Option("--images", min=1, help="JPEGs drawn.")] = 36,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the drawing.")] = 0,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Measure the JPEGs in this folder instead.")
    ] = None,
    passes: Annotated[
        int, typer.Option("--passes", min=1, help="How often a run works through them.")
    ] = 2,
    runs: Runs = 5,
    img2dataset_python: Python = None,
    without_img2dataset: Without = False,
) -> None:
    """Compare the CPU time of decode, resize and encode with img2dataset's Resizer."""
    from pairsieve.jobs.bench.pixels import PixelsBenchmark, bench

    python = img2dataset(img2dataset_python, without_img2dataset)
    bench(PixelsBenchmark(images, seed, folder, passes, runs, python), typer.echo)


@bench.command()
def quality_filters(
    folder: Annotated[
        list[Path] | None, typer.Option("--folder", help="Measure the pictures in here too.")
    ] = None,
    pictures: Annotated[int, typer.Option("--pictures", min=2, help="Scenes drawn.")] = 100,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the drawing.")] = 0,
    plots: Annotated[
        Path | None, typer.Option("--plots", help="Write the documentation's plots here.")
    ] = None,
) -> None:
    """Measure how well the image filters tell degraded pictures, and what they cost."""
    from pairsieve.jobs.bench.quality_filters import bench

    bench(folder or (), pictures, seed, typer.echo, plots)


@bench.command()
def defaults(
    folder: Annotated[
        list[str], typer.Option("--folder", help="A group of good pictures: NAME=DIR.")
    ],
) -> None:
    """Say what each rule on images that `init` writes refuses of good pictures, by group."""
    from pairsieve.jobs.bench.quality_filters import defaults

    groups = {}
    for each in folder:
        name, equals, path = each.partition("=")
        if not equals or not name or not Path(path).is_dir():
            raise BadOption(f"--folder {each}: write NAME=DIR, a folder of pictures")
        groups[name] = Path(path)
    defaults(groups, typer.echo)


@bench.command()
def group(
    sizes: Annotated[
        list[int] | None,
        typer.Option("--hashes", min=1000, help="Hashes searched; give it once for each size."),
    ] = None,
    distance: Annotated[
        int, typer.Option("--distance", min=0, max=10, help="Largest distance of a pair, bits.")
    ] = 4,
    checked: Annotated[
        int, typer.Option("--checked", min=2, help="Hashes compared all with all, for the recall.")
    ] = 200_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the hashes.")] = 0,
    partitions: Annotated[
        int | None,
        typer.Option(
            "--partitions",
            min=1,
            max=4096,
            help="Instead: distribute over so many tasks per table.",
        ),
    ] = None,
) -> None:
    """Measure what the search for near-duplicates costs, by number of hashes, and its recall.

    With --partitions, what it costs distributed over tasks, and whether it finds the same.
    """
    from pairsieve.jobs.bench import group, group_distributed

    if partitions is None:
        benchmark = group.GroupBenchmark(tuple(sizes or group.SIZES), distance, checked, seed)
        group.bench(benchmark, typer.echo)
        return
    for size in sizes or (DISTRIBUTED_HASHES,):
        distributed = group_distributed.DistributedBenchmark(size, seed, distance, partitions)
        group_distributed.bench(distributed, typer.echo)


@bench.command()
def decide(
    rows: Annotated[int, typer.Option("--rows", min=1, help="Pairs of the pool.")] = 1_000_000,
    blocklist_entries: Annotated[
        int, typer.Option("--blocklist-entries", min=1, help="Lines of the blocklist.")
    ] = 1_000_000,
    verbs: Annotated[
        str,
        typer.Option("--verbs", help="Only these: group, select, reselect, blocklist, report."),
    ] = "group,select,reselect,blocklist,report",
    keep: Annotated[
        Path | None,
        typer.Option("--keep", help="Keep the pool in this folder, and use it if it is there."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the pool.")] = 0,
    workers: Annotated[
        int | None, typer.Option("--workers", min=1, help="Of the commands that take them.")
    ] = None,
    costs: Annotated[
        Path | None, typer.Option("--costs", help="Write what was measured here, as JSON.")
    ] = None,
) -> None:
    """Measure what deciding costs over a drawn pool: seconds and memory of every command."""
    from pairsieve.jobs.bench.decide import DecideBenchmark, bench, parse_verbs
    from pairsieve.jobs.bench_data.pool import Pool

    wanted = parse_verbs(verbs)
    pool = Pool(rows, seed)
    bench(DecideBenchmark(pool, blocklist_entries, wanted, keep, workers, costs), typer.echo)


@bench.command()
def units(
    count: Annotated[int, typer.Option("--units", min=1, help="Units to commit.")] = 100_000,
    engine: Kind = EngineKind.SERIAL,
    workers: Workers = None,
) -> None:
    """Measure what a unit costs besides its work: to schedule it, commit it and find it again."""
    from pairsieve.jobs.bench_scale.units import UnitsBenchmark, bench

    bench(UnitsBenchmark(count, "serial" if engine is EngineKind.SERIAL else "ray", workers))


@bench.command()
def scale(
    costs: Annotated[list[Path], typer.Argument(help="Files that `bench decide --costs` wrote.")],
    pairs: Annotated[
        list[int] | None, typer.Option("--pairs", min=1, help="Sizes; default: 1 and 10 billion.")
    ] = None,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Of the cluster.")] = 64,
    task_ms: Annotated[
        float, typer.Option("--task-ms", min=0, help="CPU time of the driver for a task.")
    ] = 3.0,
) -> None:
    """Reckon what deciding costs on a cluster from what was measured: tables in Markdown."""
    from pairsieve.jobs.bench_scale import table

    sizes = pairs or [10**9, 10**10]
    read = [table.read(path) for path in costs]
    for line in table.markdown(read, sizes, table.Cluster(workers, task_ms)):
        typer.echo(line)


@bench.command()
def shard(
    rows: Annotated[int, typer.Option("--rows", min=1, help="Pairs of the pool.")] = 20_000,
    unit: Annotated[int, typer.Option("--unit", min=1, help="Pairs of a unit.")] = 1_000,
    window_units: Annotated[
        int, typer.Option("--window-units", min=1, max=1000, help="Units of a window.")
    ] = 8,
    samples: Annotated[int, typer.Option("--samples", min=1, help="Samples per shard.")] = 1_000,
    image_bytes: Annotated[
        int, typer.Option("--image-bytes", min=1, help="Median size of a stored image, bytes.")
    ] = 50_000,
    folder: Annotated[
        Path | None, typer.Option("--folder", help="Work in here; default: the temporary folder.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of pool and order.")] = 0,
    workers: Annotated[int, typer.Option("--workers", min=1, help="Of Ray.")] = 2,
    runs: Runs = 3,
) -> None:
    """Compare making shards, by both mixes, with copying them by cp, and say how mixed they are."""
    from pairsieve.jobs.bench.shard import ShardBenchmark, bench
    from pairsieve.jobs.bench_data.pool import Pool

    pool = Pool(rows, seed, unit)
    bench(
        ShardBenchmark(pool, window_units, samples, image_bytes, folder, runs, workers), typer.echo
    )


@bench.command()
def semantic(
    count: Annotated[
        int, typer.Option("--vectors", min=1000, help="Vectors searched.")
    ] = 1_000_000,
    width: Annotated[int, typer.Option("--width", min=2, help="Components of a vector.")] = 512,
    checked: Annotated[
        int, typer.Option("--checked", min=1, help="Vectors compared with all, for the recall.")
    ] = 2000,
    probes: Annotated[
        list[int] | None,
        typer.Option("--probes", min=1, max=4, help="Clusters per vector; default: 1, then 2."),
    ] = None,
    min_cosine: Annotated[
        float,
        typer.Option(
            "--min-cosine", min=0.9, max=1, help="Lowest cosine of two that show the same."
        ),
    ] = 0.95,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the vectors.")] = 0,
) -> None:
    """Measure what the search for images that show the same costs, and its recall."""
    from pairsieve.jobs.bench.semantic import SemanticBenchmark, bench

    numbers = tuple(probes or (1, 2))
    bench(SemanticBenchmark(count, width, checked, numbers, min_cosine, seed), typer.echo)


@bench.command()
def embed(
    images: Annotated[int, typer.Option("--images", min=8, help="Pictures of a run.")] = 128,
    model: Annotated[
        str, typer.Option("--model", help="Name of an open_clip model, or the path of a config.")
    ] = "ViT-B-32",
    precisions: Annotated[
        list[str] | None,
        typer.Option("--precision", help="pairsieve's; give it once for each contestant."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Keep the random weights in this folder.")
    ] = None,
    runs: Runs = 5,
) -> None:
    """Compare the CPU time of an image's vector with open_clip's, and with the bare model's."""
    from pairsieve.jobs.bench.embed import EmbedBenchmark, bench

    contestants = tuple(precisions or ("auto", "bf16"))
    bench(EmbedBenchmark(images, model, contestants, weights, runs), typer.echo)


@bench.command()
def gpu(
    device: Annotated[
        str, typer.Option("--device", help="auto, cuda, or cpu for a small version.")
    ] = "auto",
    models: Annotated[
        list[str] | None,
        typer.Option("--model", help="Name of an open_clip model; give it once for each."),
    ] = None,
    pairs: Annotated[
        int | None, typer.Option("--pairs", min=8, help="Pairs embedded end to end.")
    ] = None,
    actors: Annotated[
        list[int] | None,
        typer.Option("--actors", min=1, max=16, help="That share the GPU; give it once for each."),
    ] = None,
    seconds: Annotated[float, typer.Option("--seconds", min=0, help="Of each measurement.")] = 2.0,
    minutes: Annotated[
        float, typer.Option("--minutes", min=0, help="After which no further part begins.")
    ] = 8.0,
    only: Annotated[
        list[str] | None,
        typer.Option("--only", help="Parts with this word in their name, e.g. decoders."),
    ] = None,
    weights: Annotated[
        Path | None, typer.Option("--weights", help="Keep the random weights in this folder.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--json", help="Write the results here, after every part.")
    ] = None,
) -> None:
    """Measure embedding on a GPU: is it right, how fast is the model, and how fast all of it."""
    from pairsieve.jobs.bench import gpu as benchmark

    chosen = benchmark.choose_device(device)
    if chosen is None:
        typer.echo(benchmark.NO_GPU)
        return
    options = benchmark.sized(chosen, pairs, tuple(actors or ()))
    measured = replace(
        options,
        models=tuple(models or benchmark.MODELS),
        seconds=seconds,
        minutes=minutes,
        only=tuple(only or ()),
        weights=weights,
        out=out,
    )
    benchmark.bench(measured, typer.echo)


@bench.command()
def near_duplicates(
    folder: Annotated[
        list[Path] | None, typer.Option("--folder", help="Photographs to make copies of.")
    ] = None,
    edited: Annotated[
        Path | None,
        typer.Option("--edited", help="A folder of edits of its first picture by name."),
    ] = None,
    pictures: Annotated[
        int, typer.Option("--pictures", min=2, help="Different pictures drawn.")
    ] = 10_000,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the drawing.")] = 0,
) -> None:
    """Measure how many edited copies are found, and how many different pictures are joined."""
    from pairsieve.jobs.bench.near_duplicates import NearDuplicatesBenchmark, bench

    bench(NearDuplicatesBenchmark(folder or (), edited, pictures, seed), typer.echo)


@bench.command()
def text(
    captions: Annotated[
        list[Path] | None,
        typer.Option("--captions", help="A file of captions, one a line up to a tab."),
    ] = None,
    labelled: Annotated[
        list[Path] | None,
        typer.Option("--labelled", help="A file of language, kind and text, parted by tabs."),
    ] = None,
    generated: Annotated[int, typer.Option("--generated", min=1, help="Captions made up.")] = 5000,
    half: Annotated[
        int | None,
        typer.Option("--half", min=0, max=1, help="Only lines whose MD5 is even, 0, or odd, 1."),
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Seed of the captions.")] = 0,
    pool: Annotated[
        int, typer.Option("--pool", min=0, help="Captions of the pool that is counted over.")
    ] = 1_000_000,
    entries: Annotated[
        int, typer.Option("--entries", min=1, help="Entries that these are matched with.")
    ] = 500_000,
    only: Annotated[str | None, typer.Option("--only", help="Of the counts this alone.")] = None,
) -> None:
    """Measure what each measure of captions costs, what it drops, and what counting costs."""
    from pairsieve.jobs.bench.text import TextBenchmark, bench

    files = (tuple(captions or ()), tuple(labelled or ()))
    bench(TextBenchmark(*files, generated, half, seed, pool, entries, only), typer.echo)


def img2dataset(python: Path | None, without: bool) -> Path | None:
    """Return the interpreter of img2dataset's environment, None to leave it out."""
    from pairsieve.jobs.bench.alternate import img2dataset_python

    if without:
        typer.echo("img2dataset is left out, so nothing is compared with it.")
        return None
    return img2dataset_python(python)
