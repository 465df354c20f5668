"""Photograph-like JPEGs for `bench pixels`, the same for a seed.

What matters to the cost of a decoder is how much there is to decode: size, sampling, mode and bits
per pixel. A picture is a pile of leaves (discs whose number falls with the cube of their radius
occlude each other, as things in photographs do), each with a texture whose amplitude falls as one
over frequency, seen through a lens and a little noise.

Source: Lee, Mumford, Huang, "Occlusion models for natural images" (2001), for the leaves; Field,
"Relations between the statistics of natural images and the response properties of cortical cells"
(1987), for the texture.
Measured: 1.3 to 1.9 bits per pixel at quality 85 and 4:2:0, the fewer the larger the picture.
"""

import io
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

MIN_MP, MAX_MP = 0.1, 4.0  # megapixels, spread evenly over the logarithm
ASPECTS = (4 / 3, 3 / 2, 16 / 9, 1.0, 3 / 4, 2 / 3)  # width / height
QUALITIES = (75, 85, 92)
KINDS = BASELINE, PROGRESSIVE, FULL_COLOUR = "baseline 4:2:0", "progressive 4:2:0", "baseline 4:4:4"
LEAVES = 800
MIN_RADIUS, MAX_RADIUS = 0.004, 0.35  # of the shorter side
TEXTURE = 8.0  # standard deviation of the texture, grey levels
KIND_OF = {2: PROGRESSIVE, 4: FULL_COLOUR}  # by number modulo six
NOISE = 0.8  # of the noise, grey levels
# Photographs among scikit-image's samples that are installed with it and need no download.
SAMPLES = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "retina.jpg")


@dataclass(frozen=True, slots=True)
class Sample:
    """A JPEG of `pixels` px, and of which of the KINDS."""

    name: str
    body: bytes
    pixels: int
    kind: str


def corpus(seed: int, count: int) -> list[Sample]:
    """Return `count` drawn JPEGs and those of the installed photographs.

    Of the drawn, one in six is progressive and one in six 4:4:4. Progressive ones cost any decoder
    about three times as much, so their share matters: it was 7 % of seven million on the web in
    2013, and is 16 % of 141 photographs fetched from two sites.

    Source: Meenan, "Progressive JPEGs FTW!" (2013), a crawl of the HTTP Archive.
    """
    rng = np.random.default_rng(seed)
    samples = []
    for number in range(count):
        megapixels = MIN_MP * (MAX_MP / MIN_MP) ** ((number + 0.5) / count)
        aspect = ASPECTS[number % len(ASPECTS)]
        width = round((megapixels * 1e6 * aspect) ** 0.5)
        image = Image.fromarray(photograph(rng, width, round(width / aspect)))
        quality = QUALITIES[(number + number // 6) % len(QUALITIES)]  # every quality of every kind
        samples.append(
            _sample(f"drawn-{number}", image, quality, KIND_OF.get(number % 6, BASELINE))
        )
    return samples + installed_photographs()


def installed_photographs() -> list[Sample]:
    """Return the photographs that come with scikit-image; none where it is not installed."""
    spec = find_spec("skimage")
    folder = Path(spec.origin).parent / "data" if spec and spec.origin else None
    samples = []
    for name in SAMPLES:
        if folder and (folder / name).is_file():
            with Image.open(folder / name) as image:
                samples.append(_sample(name, image.convert("RGB"), 85, BASELINE))
    return samples


def own_photographs(folder: Path) -> list[Sample]:
    """Return the JPEGs in `folder`, also further down, as they are."""
    samples = []
    for path in sorted(folder.rglob("*.jp*g")):
        with Image.open(path) as image:
            if image.format == "JPEG":
                kind = PROGRESSIVE if image.info.get("progressive") else BASELINE
                if kind == BASELINE and _sampling(image) == (1, 1):
                    kind = FULL_COLOUR
                size = image.width * image.height
                samples.append(Sample(path.name, path.read_bytes(), size, kind))
    return samples


def photograph(rng: np.random.Generator, width: int, height: int) -> NDArray[np.uint8]:
    """Return a drawn picture, (height, width, 3)."""
    leaves = np.asarray(_leaves(rng, width, height), np.float32)
    texture = _texture(rng, width, height)[..., None]
    grain = rng.normal(0, NOISE, (height, width, 1)).astype(np.float32)
    pixels: NDArray[np.uint8] = np.clip(leaves + texture + grain, 0, 255).astype(np.uint8)
    return pixels


def _leaves(rng: np.random.Generator, width: int, height: int) -> Image.Image:
    """Return discs that occlude each other, slightly out of focus."""
    image = Image.new("RGB", (width, height), (110, 115, 120))
    draw = ImageDraw.Draw(image)
    # Radii of density r**-3 between the bounds, by inversion; the first lie undermost.
    shares = rng.random(LEAVES)
    radii = (MIN_RADIUS**-2 + shares * (MAX_RADIUS**-2 - MIN_RADIUS**-2)) ** -0.5
    sides = radii * min(width, height)
    for side, x, y in zip(sides, rng.random(LEAVES), rng.random(LEAVES), strict=True):
        grey = rng.normal(118, 50)
        colour = tuple(int(np.clip(grey + rng.normal(0, 18), 0, 255)) for _ in range(3))
        centre = x * width, y * height
        draw.ellipse(
            (centre[0] - side, centre[1] - side, centre[0] + side, centre[1] + side), colour
        )
    return image.filter(ImageFilter.GaussianBlur(0.7))


def _texture(rng: np.random.Generator, width: int, height: int) -> NDArray[np.float32]:
    """Return noise whose amplitude falls as one over frequency, (height, width)."""
    down = np.fft.fftfreq(height)[:, None] * height
    across = np.fft.rfftfreq(width)[None, :] * width
    frequency = np.hypot(down, across)
    frequency[0, 0] = np.inf
    phases = rng.random(frequency.shape) * 2 * np.pi
    plane = np.fft.irfft2(np.exp(1j * phases) / frequency, (height, width))
    return np.asarray(plane * (TEXTURE / plane.std()), np.float32)


def _sampling(image: Any) -> tuple[int, int]:
    """Return the sampling factors, across and down, of the first component of a JPEG."""
    return int(image.layer[0][1]), int(image.layer[0][2])


def _sample(name: str, image: Image.Image, quality: int, kind: str) -> Sample:
    """Return the image as a JPEG of that kind."""
    file = io.BytesIO()
    image.save(
        file,
        "JPEG",
        quality=quality,
        progressive=kind == PROGRESSIVE,
        subsampling=0 if kind == FULL_COLOUR else 2,
    )
    return Sample(name, file.getvalue(), image.width * image.height, kind)
