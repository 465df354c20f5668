"""What `pairsieve-tiny` is trained and evaluated on: drawn scenes as 64 px pictures, with captions.

Scenes come in pairs that differ in one attribute, and every picture has captions that are wrong in
one attribute: with these in its batches the model cannot get by on colours alone. Pictures are made
as the demo's are stored (shorter side 256 px, JPEG), then squashed as the model does it.
"""

from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from itertools import permutations
from multiprocessing import get_context
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pairsieve.jobs.demo_web.captions import CAPTIONS
from pairsieve.jobs.demo_web.drawing import draw
from pairsieve.jobs.demo_web.hard_negatives import (
    ATTRIBUTES,
    LOCATION_WORDS,
    MAX_GROUP,
    RELATION_WORDS,
    caption_pair,
    hard_negative,
)
from pairsieve.jobs.demo_web.scenes import COLOURS, KINDS, TEXTURES, Scene, random_scene

SIDE = 64  # px, both sides: what the model sees
STORED = 256  # px, shorter side: what the demo stores
WRONG = 4  # captions of each picture that are wrong in one attribute
CHUNK = 100  # pairs of scenes drawn by one call of a worker
# Facts that every caption mentions.
ALWAYS_MENTIONED = len(KINDS) * (len(COLOURS) + MAX_GROUP) + len(COLOURS) + len(TEXTURES)
FACTS = ALWAYS_MENTIONED + len(KINDS) * 6 + len(KINDS) ** 2 * 2
RARE = ("relation", "location")  # attributes that few captions speak of
EMPTY = ("phrase", "shared", "boilerplate")  # captions that say nothing of any picture

Random = np.random.Generator
_COLOURS = tuple(COLOURS)
Tokens = NDArray[np.uint16]  # (..., context length)


@dataclass(frozen=True, slots=True)
class Pool:
    """Pairs of pictures with their captions, as arrays; axis 1 is which picture of the pair.

    Attributes:
        pictures: (n, 2, 64, 64, 3), RGB.
        right: True captions, tokens, (n, 2, context length).
        wrong: Captions wrong in one attribute, tokens, (n, 2, WRONG, context length).
        facts: What is true of the scene, (n, 2, FACTS), 0 or 1; see `facts`.
        mentioned: Which of these the true caption speaks of, (n, 2, FACTS), 0 or 1.
    """

    pictures: NDArray[np.uint8]
    right: Tokens
    wrong: Tokens
    facts: NDArray[np.uint8]
    mentioned: NDArray[np.uint8]


def pool(seed: int, pairs: int, tokenize: Callable[[list[str]], Any], workers: int) -> Pool:
    """Return a pool of `pairs` pairs, drawn by so many processes; the same whatever their number.

    Captions are tokenized here while the others draw: a tokenizer's import takes each 5 s.
    """
    starts = range(0, pairs, CHUNK)
    with ProcessPoolExecutor(workers, get_context("spawn")) as processes:
        drawn = processes.map(partial(_chunk, seed, pairs), starts)
        chunks = [_tokenized(tokenize, *chunk) for chunk in drawn]
    return Pool(*(np.concatenate(parts) for parts in zip(*chunks, strict=True)))


def _chunk(seed: int, pairs: int, start: int) -> tuple[list[Any], ...]:
    """Return the fields of a Pool of CHUNK pairs from `start` on, as lists; captions as text."""
    columns: tuple[list[Any], ...] = ([], [], [], [], [])
    pictures, right, wrong, true, mentioned = columns
    for number in range(start, min(start + CHUNK, pairs)):
        rng = np.random.default_rng((seed, number))
        for scene, caption in _pair(rng):
            pictures.append(model_input(picture(scene, rng)))
            right.append(caption)
            wrong.extend(_wrong_captions(scene, rng))
            true.append(facts(scene))
            mentioned.append(mentioned_facts(caption))
    return columns


def _tokenized(
    tokenize: Callable[[list[str]], Any],
    pictures: list[Any],
    right: list[str],
    wrong: list[str],
    true: list[Any],
    mentioned: list[Any],
) -> tuple[NDArray[Any], ...]:
    """Return the fields of a Pool of a chunk's pairs."""
    tokens = np.asarray(tokenize(right + wrong)).astype(np.uint16)
    count, context = len(right) // 2, tokens.shape[1]
    return (
        np.stack(pictures).reshape(count, 2, SIDE, SIDE, 3),
        tokens[: len(right)].reshape(count, 2, context),
        tokens[len(right) :].reshape(count, 2, WRONG, context),
        np.stack(true).reshape(count, 2, FACTS),
        np.stack(mentioned).reshape(count, 2, FACTS),
    )


def facts(scene: Scene) -> NDArray[np.uint8]:
    """Return what is true of `scene`, (FACTS,), 0 or 1: first what every caption says.

    Which colours the shapes of each kind have, how many of a kind there are, the ground; then in
    which third of the picture across and down there are shapes of a kind, and which kind stands to
    the left of or above which, where there is one of each.
    """
    colours = np.zeros((len(KINDS), len(COLOURS)), np.uint8)
    many = np.zeros((len(KINDS), MAX_GROUP), np.uint8)
    thirds = np.zeros((len(KINDS), 2, 3), np.uint8)
    for count, colour, kind in scene.groups:
        colours[KINDS.index(kind), _COLOURS.index(colour)] = 1
        many[KINDS.index(kind), :count] = 1
    for shape in scene.shapes:
        for side, along in enumerate((shape.x, shape.y)):
            thirds[KINDS.index(shape.kind), side, (along > 0.38) + (along > 0.62)] = 1
    stands = np.zeros((len(KINDS), len(KINDS), 2), np.uint8)
    single = [shape for shape in scene.shapes if many[KINDS.index(shape.kind)].sum() == 1]
    for one, other in permutations(single, 2):
        across, down = other.x - one.x, other.y - one.y
        beside = abs(across) > abs(down)
        if (across if beside else down) > 0:
            stands[KINDS.index(one.kind), KINDS.index(other.kind), 0 if beside else 1] = 1
    ground = np.zeros(len(_COLOURS) + len(TEXTURES), np.uint8)
    ground[_COLOURS.index(scene.ground.colour)] = 1
    ground[len(_COLOURS) + TEXTURES.index(scene.ground.texture)] = 1
    return np.concatenate([part.ravel() for part in (colours, many, ground, thirds, stands)])


def mentioned_facts(caption: str) -> NDArray[np.uint8]:
    """Return which facts a true caption speaks of, (FACTS,), 0 or 1."""
    placed, related = bool(LOCATION_WORDS.search(caption)), bool(RELATION_WORDS.search(caption))
    counts = ALWAYS_MENTIONED, len(KINDS) * 6, FACTS - ALWAYS_MENTIONED - len(KINDS) * 6
    return np.repeat(np.array([1, placed and not related, related], np.uint8), counts)


def _pair(rng: Random) -> list[tuple[Scene, str]]:
    """Return two scenes that differ in one attribute, with captions that tell them apart."""
    attribute = list(ATTRIBUTES)[rng.integers(len(ATTRIBUTES))]
    while True:
        scene = random_scene(rng)
        for other, *texts in one_wrong(scene, attribute, rng):
            return list(zip((scene, other), texts, strict=True))


def one_wrong(scene: Scene, attribute: str, rng: Random) -> Iterator[tuple[Scene, str, str]]:
    """Yield at most once a scene that differs in `attribute`, a true caption and a wrong one.

    A caption names locations only now and then, so a few are tried.
    """
    for _ in range(6):
        other = hard_negative(scene, attribute, rng)
        texts = other and caption_pair(scene, other, attribute, int(rng.integers(2**62)))
        if other and texts:
            yield other, *texts
            return


def _wrong_captions(scene: Scene, rng: Random) -> list[str]:
    """Return WRONG captions of `scene`, each wrong in another attribute, the rare ones first."""
    common = [attribute for attribute in ATTRIBUTES if attribute not in RARE]
    texts: list[str] = []
    for attribute in (*RARE, *rng.permutation(common), *common):
        texts += [wrong for _, _, wrong in one_wrong(scene, str(attribute), rng)]
    order = rng.permutation(min(WRONG, len(texts)))
    return [texts[index] for index in order]


def empty_captions(rng: Random, count: int) -> list[str]:
    """Return captions that say nothing of any picture."""
    scene = random_scene(rng)
    texts = (CAPTIONS[EMPTY[n % len(EMPTY)]](scene, n, rng) for n in range(count))
    return [text for text in texts if text]


def picture(scene: Scene, rng: Random, degraded: bool = True) -> NDArray[np.uint8]:
    """Return `scene` about as the demo stores it, (h, w, 3); one in five `degraded`."""
    import cv2
    import simplejpeg

    kind = rng.random() if degraded else 0.5
    ratio = rng.uniform(1, 1.5) if kind < 0.97 else rng.uniform(3, 6)  # the last: banners
    short = STORED if kind < 0.9 else int(rng.integers(40, 100))  # of these: tiny or enlarged
    size = int(short * ratio), short
    pixels = draw(scene, *(size if rng.random() < 0.65 else size[::-1]))
    if kind < 0.05:
        pixels = np.asarray(cv2.GaussianBlur(pixels, (0, 0), float(rng.uniform(2, 6))), np.uint8)
    elif kind < 0.08:
        pixels = (pixels * rng.uniform(0.1, 0.3)).astype(np.uint8)
    elif kind < 0.11:
        pixels = (pixels * rng.uniform(0.08, 0.2) + 170).astype(np.uint8)
    body = simplejpeg.encode_jpeg(np.ascontiguousarray(pixels), int(rng.integers(35, 95)), "RGB")
    return np.asarray(simplejpeg.decode_jpeg(body), np.uint8)


def model_input(stored: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Return a stored picture as the model's preprocessing squashes it, (64, 64, 3)."""
    from PIL import Image

    small = Image.fromarray(stored).resize((SIDE, SIDE), Image.Resampling.BICUBIC)
    return np.asarray(small)
