"""Card: write what is published about a selection, all of it from the ledger.

A dataset card for the Hugging Face Hub, Croissant 1.1, a summary in the form of the European
Commission's template for training content, a report on quality, the hosts with the most content,
and the register of takedowns. The ledger does not hold who publishes the dataset, nor the
crawler's name: `About` and the recipe say these, else the documents say that they are unknown.
"""

from collections.abc import Iterator
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

import yaml

from pairsieve.pipeline.captions.sentences import caption_sentences
from pairsieve.pipeline.cards import counts, croissant, dataset_card, merkle, quality, takedowns
from pairsieve.pipeline.cards import training_content as content
from pairsieve.pipeline.cards.facts import Facts
from pairsieve.pipeline.cards.signature import Signer
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.paths import (
    BLOCKLIST_MARKER,
    CARD,
    CARD_CROISSANT,
    CARD_DOMAINS,
    CARD_QUALITY,
    CARD_ROOT,
    CARD_SIGNATURE,
    CARD_TAKEDOWNS,
    CARD_TRAINING,
    card_file,
    shards_card,
    shards_folder,
)
from pairsieve.pipeline.dataset.shard_names import is_card, is_shard
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Engine
from pairsieve.pipeline.ledger.files import BLOCK_UNITS
from pairsieve.pipeline.ledger.ledger import current_shards
from pairsieve.pipeline.selections.record import selected
from pairsieve.pipeline.unit import plan_file
from pairsieve.pipeline.vectors.model_record import model_sentences
from pairsieve.schemas.about import About
from pairsieve.schemas.errors import BadOption
from pairsieve.schemas.recipe import Recipe

TARS = "*.tar"

if TYPE_CHECKING:
    import pyarrow as pa


def check(store: Store, name: str) -> None:
    """Refuse to begin without a dataset or without a selection of that name.

    Raises:
        BadOption: saying which.
    """
    plan_file.read(store)
    selected(store, name)


def run(
    store: Store,
    engine: Engine,
    name: str,
    about: About | None = None,
    recipe: Recipe | None = None,
    signer: Signer | None = None,
    units: int = BLOCK_UNITS,
) -> list[str]:
    """Write the documents on the selection `name`; return where they are.

    Croissant needs shards: without any of the latest run it is left out, and one that was there
    is deleted. The pool is counted in blocks of so many units.

    Raises:
        BadOption: there is no dataset, no such selection, or it is outdated.
        Stopped: a task's process kept dying, or a file is not what was committed.
    """
    plan = plan_file.read(store)
    marker = selected(store, name)
    with counts.counted(store, engine, name, marker, units) as connection:
        counted = counts.summary(connection, content.SHOWN)
        _check_current(name, marker, counted)
        with store.writer(card_file(name, CARD_DOMAINS)) as sink:
            content.write_hosts(connection, counted.hosts, sink)
    shards = current_shards(store, name)
    facts = Facts(
        name,
        about or About(),
        recipe,
        plan,
        marker,
        shards,
        counted,
        takedowns.read(store),
        [*model_sentences(store), *caption_sentences(store)],
        store.exists(BLOCKLIST_MARKER),
        version("pairsieve"),
        merkle.root(merkle.entries(name, shards)) if shards else None,
    )
    written = []
    for file, text in _documents(store, facts):
        store.write(card_file(name, file), text.encode())
        written.append(file)
    written += _signed(store, facts, signer)
    if facts.shards is None:
        store.delete([card_file(name, CARD_CROISSANT)])
    return [store.location(card_file(name, file)) for file in (*written, CARD_DOMAINS)]


def _check_current(name: str, marker: Marker, counted: counts.Counts) -> None:
    """Refuse a selection that has not judged all pairs that are gathered by now.

    Raises:
        BadOption: saying how many.
    """
    judged, gathered = marker.counts["pairs"], counted.totals["pairs"]
    if judged != gathered:
        raise BadOption(
            f"the selection `{name}` judged {judged:,} pairs, and {gathered:,} are gathered by "
            "now; run `pairsieve select` again"
        )


def prove(store: Store, name: str, shard: str) -> merkle.Proof:
    """Return the proof that a shard belongs to the shards of the selection `name`.

    Raises:
        BadOption: there are no shards of its latest run, or not this one.
    """
    check(store, name)
    shards = current_shards(store, name)
    if shards is None:
        raise BadOption(f"--prove: `{name}` has no shards of its latest run; `pairsieve shard`")
    return merkle.prove(merkle.entries(name, shards), shard)


def _signed(store: Store, facts: Facts, signer: Signer | None) -> list[str]:
    """Write the root over the shards and its signature; return the files.

    What is there is deleted where it is of other shards.
    """
    root, signature = (card_file(facts.name, file) for file in (CARD_ROOT, CARD_SIGNATURE))
    text = b""
    if facts.shards:
        samples = facts.shards.rows
        text = f"{facts.name}\n{samples} samples\n{facts.root}\n".encode()
    if store.exists(root) and store.read(root) != text:
        store.delete([root, signature])
    if not text:
        return []
    store.write(root, text)
    if signer is None:
        return [CARD_ROOT]
    store.write(signature, signer.sign(text).encode())
    return [CARD_ROOT, CARD_SIGNATURE]


def _documents(store: Store, facts: Facts) -> Iterator[tuple[str, str]]:
    """Yield name and text of each document."""
    columns = _columns(store, facts.shards)
    yield CARD, dataset_card.card(facts, _front(store, facts))
    if facts.shards:
        suffix = facts.plan.measuring["image"]["format"]
        yield CARD_CROISSANT, croissant.croissant(facts, suffix, columns)
    yield CARD_TRAINING, content.summary(facts)
    yield CARD_QUALITY, quality.report(facts)
    yield CARD_TAKEDOWNS, takedowns.register(facts.takedowns)


def _columns(store: Store, shards: Marker | None) -> "pa.Schema | None":
    """Return the columns of Parquet shards; None of tars, or without shards."""
    import pyarrow.parquet as pq

    files = (file for file in (shards.files if shards else ()) if is_shard(file))
    first = next(files, "")
    if not first.endswith(".parquet"):
        return None
    with store.reader(first) as source:
        return pq.read_schema(source)


def _front(store: Store, facts: Facts) -> dict[str, Any]:
    """Return what the card's metadata says of the files: as the card beside Parquet shards does."""
    files = facts.shards.files if facts.shards else {}
    if any(map(is_card, files)):
        _, front, _ = store.read(shards_card(facts.name)).decode().split("---\n", 2)
        beside: dict[str, Any] = yaml.safe_load(front)
        return beside
    head = f"{shards_folder(facts.name)}/"
    folders = {file.removeprefix(head).rpartition("/")[0] for file in files if is_shard(file)}
    data_files = [
        {"split": folder or "train", "path": f"{folder}/{TARS}".lstrip("/")}
        for folder in sorted(folders)
    ]
    return {"configs": [{"config_name": "default", "data_files": data_files}]} if files else {}
