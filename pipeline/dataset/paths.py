"""Every name in a dataset is made here; `roles` tells them apart."""

import re
import uuid
from collections.abc import Iterable

from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.stages import (
    BLOCKLIST,
    CAPTION,
    COLUMNS,
    EMBED,
    GATHER,
    GROUP,
    PLAN,
    REPORT,
    SELECT,
    SHARD,
    Stage,
)

GATHER_FOLDER = GATHER.folder
EMBED_FOLDER = EMBED.folder
CAPTION_FOLDER = CAPTION.folder
PLAN_FILE = "plan.json"
INPUT_SEEN = f"{PLAN.folder}/input_seen"  # versions of the planned files, touched since
STATS = "stats.duckdb"  # of a selection, in the folder of its report, as the page is
REPORT_PAGE = "report.html"
INDEX_PAGE = "index.html"  # of the dataset: lists the selections
SUPERSEDED = f"{GROUP.folder}/superseded.parquet"
RETRY_LAYERS = f"{GATHER.folder}/layers"  # what was decided of each retry layer
SEARCHES = f"{GROUP.folder}/near"  # what distributed searches leave until `group` is committed
EVALUATION = f"{GROUP.folder}/evaluation"
INDEXES = "search"
LEASES = "leases"
SPILL = "tmp."  # how folders begin into which DuckDB spills what does not fit into memory
SCRATCH = "scratch."  # how folders begin that live as long as one command
BLOCKS = "blocks"  # the folder of what a stage over the pool leaves block by block
ORDER = "order"  # the folder of rounds: what puts samples in order, or counts survivors
MANIFEST = "manifest.parquet"
CARD = "README.md"  # of Parquet shards, and of what is published about a selection
CARD_CROISSANT, CARD_TRAINING = "croissant.json", "training-content.md"
CARD_QUALITY, CARD_DOMAINS, CARD_TAKEDOWNS = "quality.md", "domains.csv", "takedowns.csv"
CARD_ROOT, CARD_SIGNATURE = "root.txt", "root.txt.sig"
CARD_FILES = (
    CARD, CARD_CROISSANT, CARD_TRAINING, CARD_QUALITY, CARD_DOMAINS, CARD_TAKEDOWNS, CARD_ROOT,
    CARD_SIGNATURE,
)  # fmt: skip
ENERGON_FOLDER = ".nv-meta"
ENERGON_INFO, ENERGON_SPLIT, ENERGON_DATASET = ".info.json", "split.yaml", "dataset.yaml"
DONE = "done"  # the name of the one marker of a folder
LABELS_FOLDER = "labels"  # what people have said of pairs
EVALUATED = "evaluate"  # the folder of how well models do that were trained on selections
FORGOTTEN = "forgotten"  # the folder of what `forget` has taken out

VECTORS_SUFFIX = ".vectors.parquet"
SCORES_SUFFIX = ".scores.parquet"
CAPTIONS_SUFFIX = ".captions.parquet"
REQUESTS_SUFFIX = ".requests.pq"  # not `.parquet`: ledger parts are found by that

MEMBERS_SUFFIX = ".members.pq"  # not `.parquet`: the listing of shards is found by that

MARKER_INDEX = "index.bin"  # the markers of a folder, folded together

# The folders of what is measured of pairs by a model.
OF_MODEL = re.compile(
    rf"(?:{EMBED.folder}/[^/]+(?:/scores-[0-9a-f]{{16}})?|{CAPTION.folder}/[^/]+)"
)

Span = tuple[int, int]  # first pair of a unit, from 0, and how many


def attempt() -> str:
    """Return a short token that no other attempt at the same work has."""
    return uuid.uuid4().hex[:12]


def spill_folder() -> str:
    """Return a new name for a folder to spill into: two processes must not share one."""
    return f"{SPILL}{attempt()}"


def marker_path(folder: str, name: str = DONE) -> str:
    """Return where the work `name` in `folder` is committed."""
    return f"{folder}/{name}.json"


def content(folder: str, name: str, suffix: str) -> str:
    """Return a new name for a file that the work `name` in `folder` writes."""
    return f"{folder}/{name}.{attempt()}{suffix}"


def beside(path: str, suffix: str) -> str:
    """Return a new name for a file that the marker at `path` is to name."""
    return f"{path.removesuffix('.json')}.{attempt()}{suffix}"


def slice_of(file: str) -> str:
    """Return the task slice to which a file belongs that its marker names."""
    return file.rpartition("/")[2].rsplit(".", 2)[0]


def result(folder: str, suffix: str = ".parquet") -> str:
    """Return a new name for the one file of the work whose marker is `done.json` in `folder`."""
    return f"{folder}/{attempt()}{suffix}"


def staged(token: str, number: int) -> str:
    """Return the name of a staged input file; `token` is that of the attempt."""
    return f"{PLAN.folder}/{token}.{number:06d}.parquet"


def retry_layer(number: int) -> str:
    """Return where it is put down what a retry layer fetches again."""
    return marker_path(RETRY_LAYERS, f"{number:04d}")


def vectors_folder(model: str) -> str:
    """Return the folder of a model's vectors, or of scores in it: `<model>/scores-<hash>`."""
    return f"{EMBED.folder}/{model}"


def embed_marker(folder: str, name: str) -> str:
    """Return where a task slice is committed in a folder of vectors or of scores."""
    return marker_path(vectors_folder(folder), name)


def model_record(model: str) -> str:
    """Return where the record of the model in the folder `model` is."""
    return marker_path(EMBED.folder, model)


def captions_folder(name: str) -> str:
    """Return the folder of what a model was asked, by the name of the questions."""
    return f"{CAPTION.folder}/{name}"


def captions_record(name: str) -> str:
    """Return where it stands what was asked of which model."""
    return marker_path(CAPTION.folder, name)


def evaluation_folder(name: str) -> str:
    """Return the folder of what was compared with evaluation sets; its marker lies beside it."""
    return f"{EVALUATION}/{name}"


def search_folder(name: str) -> str:
    """Return the folder of a distributed search."""
    return f"{SEARCHES}/{name}"


def index_path(folder: str) -> str | None:
    """Return where the markers of task slices in a folder are folded together; None of others."""
    of_slices = folder == GATHER_FOLDER or OF_MODEL.fullmatch(folder)
    return f"{folder}/{MARKER_INDEX}" if of_slices else None


def task_name(number: int) -> str:
    """Return the name under which the task `number` of a round is committed."""
    return f"{number:06d}"


def partition_name(table: int, partition: int) -> str:
    """Return the name under which the search of one partition of a table is committed."""
    return f"{table:02d}.{partition:04d}"


def round_folder(search: str, name: str) -> str:
    """Return the folder of a round of a distributed search, given the folder of that."""
    return f"{search}/{name}"


def index_folder(model: str) -> str:
    """Return the folder of the index over a model's vectors."""
    return f"{INDEXES}/{model}"


def selection_folder(name: str) -> str:
    """Return the folder of the selection `name`."""
    return f"{SELECT.folder}/{name}"


def pool_blocks(stage: Stage, fingerprint: str = "") -> str:
    """Return the folder of what a stage over the pool leaves block by block.

    It is that of one fingerprint, or the one in which all are.
    """
    return _below(stage.folder, BLOCKS, fingerprint)


def selection_blocks(name: str, fingerprint: str = "") -> str:
    """Return the folder of what is judged block by block, of one fingerprint or of all."""
    return _below(selection_folder(name), BLOCKS, fingerprint)


def selection_rounds(name: str, fingerprint: str = "", round: str = "") -> str:
    """Return the folder of a round that counts survivors, of all of one fingerprint or of all."""
    return "/".join(filter(None, (selection_folder(name), ORDER, fingerprint, round)))


def _below(*parts: str) -> str:
    """Return a path of these parts, those left out that are empty."""
    return "/".join(filter(None, parts))


def shards_folder(name: str) -> str:
    """Return the folder of the shards of the selection `name`."""
    return f"{SHARD.folder}/{name}"


def shard_parts(name: str) -> str:
    """Return the folder of what is known of single shards while they are made."""
    return f"{shards_folder(name)}/parts"


def shard_members(name: str, fingerprint: str = "") -> str:
    """Return the folder of the rows in shards, block by block, of one fingerprint or of all."""
    return _below(shards_folder(name), "members", fingerprint)


def shard_file(number: int, suffix: str = ".tar") -> str:
    """Return what a shard is called, in its folder and in the ledger."""
    return f"{number:05d}{suffix}"


def forgotten_record(number: int) -> str:
    """Return where it stands what the `forget` of this number, from 1, has taken out."""
    return marker_path(FORGOTTEN, f"{number:04d}")


def forgotten_rounds(fingerprint: str = "", round: str = "") -> str:
    """Return the folder of a round of a `forget`, of all of one fingerprint or of all."""
    return _below(FORGOTTEN, "rounds", fingerprint, round)


FORGET_BEGUN = marker_path(FORGOTTEN, "begun")  # while a `forget` is not finished
GROUP_MARKER = marker_path(GROUP.folder)
COLUMNS_MARKER = marker_path(COLUMNS.folder)
BLOCKLIST_MARKER = marker_path(BLOCKLIST.folder)


def select_marker(name: str) -> str:
    """Return where the selection `name` is committed."""
    return marker_path(selection_folder(name))


def shard_marker(name: str) -> str:
    """Return where the shards of the selection `name` are committed."""
    return marker_path(shards_folder(name))


def shard_rounds(name: str, fingerprint: str = "", round: str = "") -> str:
    """Return the folder of a round that puts samples in order, of all of one fingerprint or all."""
    return _below(shards_folder(name), ORDER, fingerprint, round)


def manifest(name: str) -> str:
    """Return where it stands which sample lies in which shard."""
    return f"{shards_folder(name)}/{MANIFEST}"


def sizes(name: str) -> str:
    """Return where the samples per shard stand, as open_clip and webdataset's readers like it."""
    return f"{shards_folder(name)}/sizes.json"


def shards_card(name: str) -> str:
    """Return where Hugging Face's `datasets` finds which files are the parts of Parquet shards."""
    return f"{shards_folder(name)}/{CARD}"


def wids_index(name: str) -> str:
    """Return where webdataset's `wids` finds the shards of a folder."""
    return f"{shards_folder(name)}/index.json"


def energon_file(name: str, file: str) -> str:
    """Return where Megatron-Energon finds what it wants to know of a selection's shards."""
    return f"{shards_folder(name)}/{ENERGON_FOLDER}/{file}"


def energon_shard(shard: str) -> str:
    """Return where Megatron-Energon finds in which place of a shard the samples are."""
    return f"{shard}.idx"


def report_folder(name: str) -> str:
    """Return the folder of what `report` makes of the selection `name`."""
    return f"{REPORT.folder}/{name}"


def report_rounds(name: str, fingerprint: str = "", round: str = "") -> str:
    """Return the folder of a round that counts in blocks, of all of one fingerprint or of all."""
    return _below(report_folder(name), BLOCKS, fingerprint, round)


def stats_file(name: str) -> str:
    """Return where the statistics of the selection `name` are."""
    return f"{report_folder(name)}/{STATS}"


def report_page(name: str) -> str:
    """Return where the page on the selection `name` is."""
    return f"{report_folder(name)}/{REPORT_PAGE}"


def card_file(name: str, file: str) -> str:
    """Return where a document that is published about the selection `name` is."""
    return f"{report_folder(name)}/card/{file}"


def label_file(session: str) -> str:
    """Return where the labels of one session of `explore` are; `session` is from `attempt`."""
    return f"{LABELS_FOLDER}/{session}.json"


def evaluated_folder(name: str) -> str:
    """Return the folder of how well models do that were trained on the selection `name`."""
    return f"{EVALUATED}/{name}"


def evaluation_results(name: str, weights: str) -> str:
    """Return where the results of a checkpoint are; `weights` begins the SHA-256 of its weights."""
    return f"{evaluated_folder(name)}/{weights}.parquet"


def lease_file(name: str) -> str:
    """Return where it stands which command works on what is called `name`."""
    return f"{LEASES}/{name}.json"


def files(markers: Iterable[Marker], suffix: str) -> list[str]:
    """Return the names of the committed files that end in `suffix`, in marker order."""
    return [name for marker in markers for name in marker.files if name.endswith(suffix)]


def parsed(name: str) -> tuple[int, int, Span | None]:
    """Return unit, retry layer and span of a committed task slice; no span for a whole unit."""
    unit, *rest = name.split(".")
    layer = int(rest.pop(0)[1:]) if rest and rest[0].startswith("r") else 0
    if not rest:
        return int(unit), layer, None
    first, rows = map(int, rest[0].split("+"))
    return int(unit), layer, (first, rows)


def layer_of(name: str) -> int:
    """Return the retry layer of a committed task slice; 0 is the first gather."""
    return parsed(name)[1]
