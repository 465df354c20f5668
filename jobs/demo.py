"""The demo: the whole pipeline offline, over a small web in which every defect is planted.

Ends with two tables, the funnel and the planted defects with how many were detected, and the paths
of the results. The folder can be looked at, and its recipe changed and run again, as with any
dataset.
"""

import json
import time
from pathlib import Path

import typer

from pairsieve.jobs import console
from pairsieve.jobs.demo_web.build import BLOCKLIST, PAIRS, ROUTES, TRUTH, build
from pairsieve.jobs.demo_web.responses import Site
from pairsieve.jobs.demo_web.score import CaptionScore, DefectScore, score_captions, score_defects
from pairsieve.jobs.demo_web.server import ReservedPorts, reserve_ports, serving
from pairsieve.jobs.job import Choice, EngineChoice, Job
from pairsieve.pipeline.dataset.paths import stats_file
from pairsieve.pipeline.dataset.store import Store
from pairsieve.schemas.errors import BadOption

RECIPE = """\
# The demo's recipe: pairsieve run {here}/recipe.yaml --dataset {here}/dataset
# (the demo web must be served: python -m pairsieve.jobs.demo_web.server {here}/web)

input: {{path: web/{pairs}, url: url, text: caption, sha256: sha256, unit_pairs: 500}}

fetch:
  user_agent: "pairsieve-demo (+http://127.0.0.1/)"
  allow_networks: [127.0.0.0/8]   # the demo web is on this machine; the public web never needs it
  ports: [{served}, {refused}]
  per_host_per_s: 10_000          # one host serves it all, and is ours
  per_host_connections: 32
  host_failures: 1000
  first_byte_timeout_s: 2
  timeout_s: 4
  max_bytes: 5_000_000
  retries: 1

blocklist: {{files: [web/{blocklist}]}}

image: {{min_side: 256}}

# Knows drawn scenes like those of the demo web and nothing else; for real pictures name another.
embed: {{model: pairsieve-tiny, pretrained: demo}}

keep:
  - caption_words: {{min_words: 3}}
    gate: true
  - language: {{languages: [en], min_confidence: 0.5}}
    gate: true
  - size: {{min_side_px: 1, min_pixels: 65536}}
  - aspect_ratio: {{max_ratio: 3}}
  - low_information: {{max_flat: 0.75}}
  - exposure: {{}}
  - sharpness: {{min_sharpness: 0.55}}   # drawn scenes are softer than photographs
  - upscaled: {{}}
  - caption_frequency: {{max_pairs: 3}}   # of so small a web; the web's own bound is 10
  - duplicate: {{max_distance: 4}}
  - clip_similarity: {{min_similarity: -0.05}}   # of this model; another needs another

shard: {{samples: 500}}
"""
PORTS = (8123, 8124)  # served, and refusing


def demo(folder: Path, pairs: int, seed: int, engine: tuple[Choice, int | None]) -> None:
    """Build the web and the recipe in `folder` if they are not there; run; compare.

    Raises:
        BadOption: `folder` holds something else, or a demo of another size or seed.
    """
    start = time.monotonic()
    _claim(folder, pairs, seed)
    web = folder / "web"
    if not (web / ROUTES).exists():
        _say(start, f"drawing the demo web of {pairs:,} pairs in {web}")
        reserved = _reserve()
        build(web, seed, reserved.site, pairs)
        reserved.close()
    with serving(web) as site:
        _say(start, f"serving it at {site.base_url}")
        (folder / "recipe.yaml").write_text(recipe_text(folder, site))
        _say(start, f"running {folder / 'recipe.yaml'}")
        Job(folder / "recipe.yaml", str(folder / "dataset"), EngineChoice(*engine)).run("default")
    _say(start, "done; the planted defects, and how many were detected:")
    stats = folder / "dataset" / stats_file("default")
    _print_scores(score_defects(stats, web / TRUTH))
    _print_captions(score_captions(stats, web / TRUTH))
    console.print_paths(Store.at(folder / "dataset"), "default")


def _say(start: float, text: str) -> None:
    typer.echo(f"[{time.monotonic() - start:5.1f} s] {text}")


def _claim(folder: Path, pairs: int, seed: int) -> None:
    """Take `folder` for a demo of this size and seed, or refuse what else is in it."""
    sign = folder / "demo.json"
    claim = {"pairs": pairs, "seed": seed}
    if not sign.exists():
        if folder.exists() and any(folder.iterdir()):
            raise BadOption(f"{folder}: is not empty and not a demo; name another folder")
        folder.mkdir(parents=True, exist_ok=True)
        sign.write_text(json.dumps(claim))
    elif (other := json.loads(sign.read_text())) != claim:
        raise BadOption(
            f"{folder}: holds a demo of {other['pairs']} pairs with seed {other['seed']}, not "
            f"{pairs} with {seed}; name another folder or delete it"
        )


def _reserve() -> ReservedPorts:
    """Return the usual ports, so that every run makes the same bytes, or free ones if taken."""
    try:
        return reserve_ports(*PORTS)
    except BadOption:
        return reserve_ports()


def recipe_text(folder: Path, site: Site) -> str:
    """Return the demo's recipe, YAML, for a web in `folder` that is served at `site`."""
    served, refused = (int(url.rpartition(":")[2]) for url in (site.base_url, site.refused_url))
    return RECIPE.format(
        here=folder, pairs=PAIRS, blocklist=BLOCKLIST, served=served, refused=refused
    )


def _print_scores(scores: list[DefectScore]) -> None:
    """Print what was planted and what was detected, kind by kind."""
    console.print_table(
        "Planted and detected",
        ("planted", "pairs", "detected", "kept", "expected"),
        [(s.defect, s.planted, s.detected, s.kept, s.expected) for s in scores],
    )


def _print_captions(captions: CaptionScore) -> None:
    """Print how well clip_similarity separates wrong captions from true ones."""
    typer.echo(
        f"wrong captions: recall {captions.recall:.2f} ({captions.wrong_refused:,} of "
        f"{captions.wrong:,} refused by clip_similarity), precision {captions.precision:.2f} "
        f"({captions.true_refused:,} true ones refused)"
    )
