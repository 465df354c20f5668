"""Damaged files of every kind: 500 in the normal tests, 20,000 with `make fuzz`."""

import io
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

CASES = int(os.environ.get("PAIRSIEVE_FUZZ_CASES", "500"))
FUZZ = Path(__file__).parent / "fuzz_pixels.py"
REAL = Path(__file__).parents[4] / "shared/real/www/pdq"
SMALL = 60_000  # bytes of a real file that is damaged too

Saved = Callable[..., bytes]


@pytest.fixture(scope="module")
def seeds(
    tmp_path_factory: pytest.TempPathFactory,
    four_corners: Image.Image,
    saved: Saved,
    linear_profile: bytes,
) -> Path:
    """Return a folder of small files of every kind to damage, drawn and real ones."""
    image = four_corners.resize((40, 30))
    noise = Image.effect_noise((90, 70), 60).convert("RGB")
    exif = Image.Exif()
    exif[0x0112] = 6
    frames = {"save_all": True, "append_images": [image.rotate(90)]}
    files = [
        saved(image, "JPEG", exif=exif, icc_profile=linear_profile),
        saved(image, "JPEG", progressive=True),
        saved(noise, "JPEG", progressive=True, subsampling=1),
        saved(noise, "JPEG", subsampling=0, restart_marker_blocks=3),
        saved(image.convert("CMYK"), "JPEG"),
        saved(noise.convert("L"), "JPEG"),
        saved(image, "MPO", **frames),
        saved(image, "PNG", exif=exif),
        saved(noise, "PNG", icc_profile=linear_profile),
        saved(image.quantize(8), "PNG", transparency=2),
        saved(image.convert("LA"), "PNG"),
        saved(image, "PNG", **frames),
        saved(image, "WEBP", exif=exif),
        saved(image.convert("RGBA"), "WEBP", lossless=True),
        saved(image, "WEBP", **frames),
        saved(image, "GIF", **frames),
        saved(image, "BMP"),
        saved(image, "TIFF", exif=exif),
        saved(image, "TIFF", compression="tiff_lzw"),
        saved(image, "TIFF", compression="jpeg"),
        saved(image.convert("1"), "TIFF", compression="group4"),
        saved(image, "AVIF"),
        saved(image, "AVIF", exif=exif),
        heif(image),
    ]
    if REAL.is_dir():
        real = (path.read_bytes() for path in sorted(REAL.iterdir()))
        files += [body for body in real if len(body) < SMALL]
    folder = tmp_path_factory.mktemp("seeds")
    for index, body in enumerate(files):
        (folder / f"{index:03d}").write_bytes(body)
    return folder


def heif(image: Image.Image) -> bytes:
    import pillow_heif

    file = io.BytesIO()
    pillow_heif.from_pillow(image).save(file)
    return file.getvalue()


def test_damaged_files_give_a_picture_or_an_outcome(seeds: Path) -> None:
    command = [sys.executable, str(FUZZ), str(seeds), "0", str(CASES)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-2000:]
    counts = {name: int(count) for name, count in map(str.split, done.stdout.splitlines())}
    assert sum(counts.values()) == CASES
    assert set(counts) >= {"ok", "bad_image"}
    print(counts)
