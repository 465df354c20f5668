"""Real pictures all the way to shards, read by the programs that will use them."""

import io
from argparse import Namespace
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image

from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.engine.engine import Serial
from pairsieve.pipeline.run import run
from pairsieve.schemas.recipe import Recipe

BRIDGE = "pdq/bridge-mods-aaa-orig.jpg"
TURNS = {  # EXIF orientation -> how the stored pixels must be turned so that it looks upright
    1: None,
    3: Image.Transpose.ROTATE_180,
    6: Image.Transpose.ROTATE_90,
    8: Image.Transpose.ROTATE_270,
}


@dataclass
class Curated:
    """A dataset made of real pairs, and how it is asked."""

    folder: Path

    def ask(self, query: str) -> list[tuple[Any, ...]]:
        """The rows of a query on the statistics."""
        with duckdb.connect(
            str(self.folder / "report/default/stats.duckdb"), read_only=True
        ) as statistics:
            return statistics.execute(query).fetchall()

    def image(self, path: str) -> Image.Image:
        """The stored image of the first pair whose URL ends in `path`."""
        ((file, offset, size),) = self.ask(
            "SELECT image_file, image_offset, image_bytes FROM ledger "
            f"WHERE url LIKE '%/{path}' ORDER BY row LIMIT 1"
        )
        (body,) = Store.at(self.folder).read_ranges(file, [offset], [size])
        return Image.open(io.BytesIO(body))


def turned(original: Image.Image, folder: Path) -> list[str]:
    """Write the picture as cameras do that were held in four ways; return the names."""
    names = []
    for orientation, turn in TURNS.items():
        exif = Image.Exif()
        exif[0x0112] = orientation
        names.append(f"turned-{orientation}.jpg")
        pixels = original.transpose(turn) if turn is not None else original
        pixels.save(folder / names[-1], quality=95, exif=exif)
    return names


@pytest.fixture(scope="module")
def curated(
    real: Path, serve: Callable[[Path], str], tmp_path_factory: pytest.TempPathFactory
) -> Curated:
    """The real pairs, then the four turned pictures and one with alpha, through the pipeline."""
    folder = tmp_path_factory.mktemp("real")
    extra = folder / "extra"
    extra.mkdir()
    with Image.open(real / "www" / BRIDGE) as original:
        names = turned(original.convert("RGB"), extra)
        original.convert("RGBA").save(extra / "modes-RGBA.png")
    base, more = serve(real / "www"), serve(extra)
    pairs = pq.read_table(real / "pairs.parquet")
    urls = [f"{base}/{path}" for path in pairs["path"].to_pylist()]
    urls += [f"{more}/{name}" for name in [*names, "modes-RGBA.png"]]
    texts = pairs["text"].to_pylist() + ["a bridge"] * 5
    sets = pairs["set"].to_pylist() + ["made"] * 5
    pq.write_table(pa.table({"url": urls, "text": texts, "set": sets}), folder / "pairs.parquet")
    recipe = Recipe.model_validate(
        {
            "input": {"path": str(folder / "pairs.parquet"), "unit_pairs": 200},
            "fetch": {
                "user_agent": "test (a@b.example)",
                "per_host_per_s": 100_000,
                "allow_networks": ["127.0.0.0/8"],
                "ports": [int(url.rpartition(":")[2]) for url in (base, more)],
            },
            "image": {"min_side": 256},
            "embed": {"model": "pairsieve-tiny", "pretrained": "demo"},
            "keep": [{"aspect_ratio": {"max_ratio": 3}}, {"where": "width >= 64"}],
            "shard": {"samples": 200},
        }
    )
    run(
        recipe,
        Store.at(folder / "dataset"),
        Serial(),
        "default",
        lambda verb, marker, new=True: None,
    )
    return Curated(folder / "dataset")


def test_each_of_the_588_real_pairs_has_one_row_and_a_decoded_image(curated: Curated) -> None:
    query = "SELECT outcome, count(*), count(DISTINCT row) FROM ledger GROUP BY ALL ORDER BY ALL"
    assert curated.ask(query.replace("GROUP", "WHERE set <> 'made' GROUP")) == [("ok", 588, 588)]
    assert curated.ask("SELECT count(clip_similarity) FROM ledger") == [(593,)]


def test_the_four_exif_rotations_are_upright_and_in_one_cluster(curated: Curated) -> None:
    upright = curated.image("turned-1.jpg")
    for orientation in TURNS:
        image = curated.image(f"turned-{orientation}.jpg")
        assert image.size == upright.size
        apart = np.abs(np.asarray(image, float) - np.asarray(upright, float)).mean()
        assert apart < 4  # grey levels: nothing but JPEG's loss
    query = "SELECT count(DISTINCT cluster) FROM ledger WHERE url LIKE '%/turned-%'"
    assert curated.ask(query) == [(1,)]


def test_every_colour_mode_is_decoded_to_the_same_picture(curated: Curated, real: Path) -> None:
    modes = [f"pdq/{path.name}" for path in sorted((real / "www/pdq").glob("modes-*"))]
    assert len(modes) == 8
    with Image.open(real / "www/pdq/modes-original.jpg") as original:
        wanted = np.asarray(original.convert("L").resize((32, 32)), float)
    for mode in [*modes, "modes-RGBA.png"]:
        image = curated.image(mode)
        assert image.mode == "RGB"
        if mode not in ("pdq/modes-1.png", "modes-RGBA.png"):  # dithered; another picture
            grey = np.asarray(image.convert("L").resize((32, 32)), float)
            assert np.corrcoef(grey.ravel(), wanted.ravel())[0, 1] > 0.95


def test_five_captions_of_one_photograph_share_its_cluster(curated: Curated) -> None:
    query = """
        SELECT count(*) FROM (
            SELECT url FROM ledger WHERE set = 'flickr8k'
            GROUP BY url HAVING count(DISTINCT cluster) = 1 AND count(*) = 5
        )
    """
    assert curated.ask(query) == [(100,)]


def test_webdataset_reads_every_kept_pair(curated: Curated) -> None:
    import webdataset

    tars = sorted(str(path) for path in (curated.folder / "shards/default").glob("*.tar"))
    samples = list(webdataset.WebDataset(tars, shardshuffle=False).decode("pil"))
    kept = curated.ask("SELECT uid, text FROM ledger WHERE keep")
    assert {(sample["__key__"], sample["txt"]) for sample in samples} == set(kept)
    assert all(sample["jpg"].mode == "RGB" for sample in samples)


def test_open_clips_trainer_reads_the_shards(curated: Curated) -> None:
    from open_clip import get_tokenizer
    from open_clip.transform import image_transform
    from open_clip_train.data import get_wds_dataset

    tars = sorted((curated.folder / "shards/default").glob("*.tar"))
    ((kept,),) = curated.ask("SELECT count(*) FROM ledger WHERE keep")
    options = Namespace(
        train_data=str(tars[0].parent / f"{{00000..{len(tars) - 1:05d}}}.tar"),
        val_data=None,
        train_num_samples=None,
        val_num_samples=None,
        dataset_resampled=False,
        train_data_upsampling_factors=None,
        seed=0,
        batch_size=16,
        workers=1,
        world_size=1,
        distributed=False,
    )
    size = 64
    info = get_wds_dataset(
        options, image_transform(size, is_train=True), True, tokenizer=get_tokenizer("ViT-B-32")
    )
    assert info.dataloader.num_samples >= kept - kept % 16
    images, texts = next(iter(info.dataloader))
    assert (tuple(images.shape), texts.shape[0]) == ((16, 3, size, size), 16)
