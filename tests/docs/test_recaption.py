"""The recipe of the page on captions by a model, run with a service on loopback."""

import json
import re
import tarfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from PIL import Image
from typer.testing import CliRunner

from pairsieve.jobs.cli import app
from pairsieve.pipeline.captions.answers import CaptionOutcome
from pairsieve.pipeline.shards.captions import drawn

PAGE = (Path(__file__).parents[2] / "docs/recaption.md").read_text(encoding="utf-8")
CAPTIONS = [f"a photograph with the number {number}" for number in range(6)]


def run(folder: Path, verb: str, recipe: dict[str, Any]) -> str:
    (folder / "recipe.yaml").write_text(yaml.safe_dump(recipe))
    words = [verb, str(folder / "recipe.yaml"), "--dataset", str(folder / "out")]
    done = CliRunner().invoke(app, [*words, "--engine", "serial"])
    assert done.exit_code == 0, done.output
    return done.output


def test_the_recipe_mixes_captions_as_the_page_says(
    tmp_path: Path, serve: Callable[[Path], str], service: Any
) -> None:
    (block,) = re.findall(r"^```yaml\n(.*?)^```", PAGE, re.M | re.S)
    recipe = yaml.safe_load(block)
    for number in range(len(CAPTIONS)):
        pixels = np.random.default_rng(number).integers(0, 256, (8, 8, 3), np.uint8)
        Image.fromarray(pixels).resize((240, 320)).save(tmp_path / f"{number}.png")
    base = serve(tmp_path)
    urls = [f"{base}/{number}.png" for number in range(len(CAPTIONS))]
    pq.write_table(pa.table({"url": urls, "caption": CAPTIONS}), tmp_path / "pairs.parquet")
    port = int(base.rpartition(":")[2])
    recipe["fetch"] |= {"allow_networks": ["127.0.0.0/8"], "ports": [port], "per_host_per_s": 1000}
    recipe["captions"] |= {"url": service.url}
    service.behave = lambda asked: "I cannot" if asked.endswith("0") else f"new: {asked[-1]}"
    run(tmp_path, "run", recipe)
    assert len(service.requests) == len(CAPTIONS)
    assert "ok; 6 requests (0 repeated), 600 tokens in, 60 out." in run(tmp_path, "caption", recipe)
    assert len(service.requests) == len(CAPTIONS)
    with tarfile.open(tmp_path / "out/shards/default/00000.tar") as tar:
        files = {one.name: tar.extractfile(one).read() for one in tar}  # type: ignore[union-attr]
    samples = {name[:-4]: body.decode() for name, body in files.items() if name.endswith(".txt")}
    assert len(samples) == len(CAPTIONS) - 1
    for uid, text in samples.items():
        content = json.loads(files[f"{uid}.json"])
        kind = drawn(uid, 0, (("original", 0.5), ("recaption", 0.5)))
        assert content["recaption"] == f"new: {content['text'][-1]}"
        assert text == content["text" if kind == "original" else "recaption"]
    verified = CliRunner().invoke(app, ["verify", str(tmp_path / "out"), "--engine", "serial"])
    assert verified.exit_code == 0, verified.output


def test_outcomes_are_told_on_the_page() -> None:
    assert [one for one in CaptionOutcome if f"| `{one}` |" not in PAGE] == []
