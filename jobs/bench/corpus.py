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

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFilter

MIN_MP, MAX_MP = 0.1, 4.0  # megapixels, spread evenly over the logarithm
ASPECTS = (4 / 3, 3 / 2, 16 / 9, 1.0, 3 / 4, 2 / 3)  # width / height
QUALITIES = (75, 85, 92)
LEAVES = 800
MIN_RADIUS, MAX_RADIUS = 0.004, 0.35  # of the shorter side
TEXTURE = 8.0  # standard deviation of the texture, grey levels
NOISE = 0.8  # of the noise, grey levels
# Photographs among scikit-image's samples that are installed with it and need no download.
SAMPLES = ("astronaut.png", "chelsea.png", "coffee.png", "rocket.jpg", "retina.jpg")


@dataclass(frozen=True, slots=True)
class Sample:
    """A JPEG: `plain` is baseline and 4:2:0, the most common kind."""

    name: str
    body: bytes
    pixels: int
    plain: bool


def corpus(seed: int, count: int) -> list[Sample]:
    """Return `count` drawn JPEGs and those of the installed photographs.

    Of the drawn, every third is progressive and every sixth 4:4:4.
    """
    rng = np.random.default_rng(seed)
    samples = []
    for number in range(count):
        megapixels = MIN_MP * (MAX_MP / MIN_MP) ** ((number + 0.5) / count)
        aspect = ASPECTS[number % len(ASPECTS)]
        width = round((megapixels * 1e6 * aspect) ** 0.5)
        image = Image.fromarray(photograph(rng, width, round(width / aspect)))
        quality = QUALITIES[number % len(QUALITIES)]
        samples.append(_sample(f"drawn-{number}", image, quality, number % 3 == 2, number % 6 == 4))
    return samples + installed_photographs()


def installed_photographs() -> list[Sample]:
    """Return the photographs that come with scikit-image; none where it is not installed."""
    found = find_spec("skimage")
    folder = Path(found.origin).parent / "data" if found and found.origin else None
    samples = []
    for name in SAMPLES:
        if folder and (folder / name).is_file():
            with Image.open(folder / name) as image:
                samples.append(_sample(name, image.convert("RGB"), 85, False, False))
    return samples


def own_photographs(folder: Path) -> list[Sample]:
    """Return the JPEGs in `folder`, also further down, as they are."""
    samples = []
    for path in sorted(folder.rglob("*.jp*g")):
        with Image.open(path) as image:
            if image.format == "JPEG":
                pixels = image.width * image.height
                progressive = bool(image.info.get("progressive"))
                samples.append(Sample(path.name, path.read_bytes(), pixels, not progressive))
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
        at = x * width, y * height
        draw.ellipse((at[0] - side, at[1] - side, at[0] + side, at[1] + side), colour)
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


def _sample(name: str, image: Image.Image, quality: int, progressive: bool, full: bool) -> Sample:
    """Return the image as a JPEG: `full` colour (4:4:4) or 4:2:0."""
    file = io.BytesIO()
    image.save(file, "JPEG", quality=quality, progressive=progressive, subsampling=0 if full else 2)
    plain = not progressive and not full
    return Sample(name, file.getvalue(), image.width * image.height, plain)
