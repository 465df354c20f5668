import struct
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import simplejpeg
from numpy.typing import NDArray
from PIL import Image, ImageCms

from pairsieve.pipeline.image.pixels import Picture, picture
from pairsieve.schemas import recipe
from pairsieve.schemas.outcomes import Outcome

REAL = Path(__file__).parents[4] / "shared/real/www/pdq"
FILES = sorted(REAL.glob("*")) if REAL.is_dir() else []
T = Image.Transpose
# How an upright image must lie in the file so that each EXIF orientation sets it upright again.
LYING = {
    1: None,
    2: T.FLIP_LEFT_RIGHT,
    3: T.ROTATE_180,
    4: T.FLIP_TOP_BOTTOM,
    5: T.TRANSPOSE,
    6: T.ROTATE_90,
    7: T.TRANSVERSE,
    8: T.ROTATE_270,
}
RED, GREEN, BLUE, WHITE = (220, 30, 30), (30, 200, 40), (20, 40, 210), (255, 255, 255)
CORNERS = ((4, 4), (59, 4), (4, 43), (59, 43))

Saved = Callable[..., bytes]
Decoded = Callable[..., tuple[Picture, NDArray[np.uint8]]]
Refused = Callable[..., tuple[Outcome, str | None]]


def corners(pixels: NDArray[np.uint8]) -> NDArray[np.int_]:
    return np.array([pixels[y, x] for x, y in CORNERS]).astype(int)


def grey(colours: tuple[tuple[int, int, int], ...]) -> NDArray[np.int_]:
    levels = [round(0.299 * r + 0.587 * g + 0.114 * b) for r, g, b in colours]
    return np.repeat(np.array(levels)[:, None], 3, axis=1)


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("JPEG", {"quality": 95, "subsampling": 0}),
        ("JPEG", {"quality": 95, "progressive": True}),
        ("JPEG", {"quality": 95, "keep_rgb": True}),
        ("PNG", {}),
        ("WEBP", {"lossless": True}),
        ("GIF", {}),
        ("BMP", {}),
        ("TIFF", {}),
        ("TIFF", {"compression": "tiff_lzw"}),
        ("TIFF", {"compression": "jpeg", "quality": 95}),
        ("AVIF", {"quality": 95}),
    ],
)
def test_every_kind_decodes_to_its_colours(
    four_corners: Image.Image, saved: Saved, decoded: Decoded, kind: str, options: dict[str, object]
) -> None:
    body = saved(four_corners, kind, **options)
    got, pixels = decoded(body)
    assert (got.kind, got.width, got.height) == (kind.lower(), 64, 48)
    assert np.abs(corners(pixels) - np.array([RED, GREEN, BLUE, WHITE])).max() <= 6


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP", "TIFF", "AVIF"])
@pytest.mark.parametrize("orientation", LYING)
def test_every_orientation_comes_out_upright(
    four_corners: Image.Image, saved: Saved, decoded: Decoded, kind: str, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    turn = LYING[orientation]
    lying = four_corners if turn is None else four_corners.transpose(turn)
    body = saved(lying, kind, exif=exif, quality=95)
    got, pixels = decoded(body)
    assert (got.width, got.height, got.stored_width, got.stored_height) == (64, 48, 64, 48)
    assert got.luma.shape == pixels.shape[:2] == (48, 64)
    assert np.abs(corners(pixels) - np.array([RED, GREEN, BLUE, WHITE])).max() <= 12


@pytest.mark.parametrize("exif", [b"", b"II*\0\xff\xff\xff\xff", b"MM\0", b"no TIFF header"])
@pytest.mark.parametrize("kind", ["JPEG", "WEBP"])
def test_broken_exif_counts_as_upright(
    four_corners: Image.Image, saved: Saved, decoded: Decoded, kind: str, exif: bytes
) -> None:
    body = saved(four_corners, kind, exif=b"Exif\0\0" + exif, quality=95, lossless=True)
    assert np.abs(corners(decoded(body)[1]) - np.array([RED, GREEN, BLUE, WHITE])).max() <= 6


@pytest.mark.parametrize("orientation", [0, 9, 65_535])
def test_an_orientation_that_does_not_exist_counts_as_upright(
    four_corners: Image.Image, saved: Saved, decoded: Decoded, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    body = saved(four_corners, "PNG", exif=exif)
    assert corners(decoded(body)[1]).tolist() == [list(c) for c in (RED, GREEN, BLUE, WHITE)]


@pytest.mark.parametrize(
    ("kind", "mode"), [("PNG", "L"), ("JPEG", "L"), ("TIFF", "L"), ("PNG", "LA")]
)
def test_grey_becomes_three_equal_channels(
    four_corners: Image.Image, saved: Saved, decoded: Decoded, kind: str, mode: str
) -> None:
    body = saved(four_corners.convert(mode), kind, quality=95)
    assert np.abs(corners(decoded(body)[1]) - grey((RED, GREEN, BLUE, WHITE))).max() <= 3


def test_palette_keeps_its_colours(
    four_corners: Image.Image, saved: Saved, decoded: Decoded
) -> None:
    body = saved(four_corners.quantize(4), "PNG")
    assert np.abs(corners(decoded(body)[1]) - np.array([RED, GREEN, BLUE, WHITE])).max() <= 1


def test_one_bit_becomes_black_and_white(
    four_corners: Image.Image, saved: Saved, decoded: Decoded
) -> None:
    body = saved(four_corners.convert("L").point(lambda v: 255 * (v > 100), "1"), "PNG")
    assert corners(decoded(body)[1])[:, 0].tolist() == [0, 255, 0, 255]


def test_sixteen_bit_grey_is_scaled_and_not_clipped(saved: Saved, decoded: Decoded) -> None:
    levels = np.array([[0, 257, 32_896, 65_535]], np.uint16)
    _, pixels = decoded(saved(Image.fromarray(levels), "PNG"))
    assert pixels[0, :, 0].tolist() == [0, 1, 128, 255]


def test_sixteen_bit_colour_is_scaled_and_not_clipped(decoded: Decoded) -> None:
    row = struct.pack(">B6H", 0, 257, 32_896, 65_535, 0, 65_535, 257)
    _, pixels = decoded(png(2, 1, 16, 2, row))
    assert pixels.tolist() == [[[1, 128, 255], [0, 255, 1]]]


def png(width: int, height: int, bits: int, colour: int, rows: bytes) -> bytes:
    def chunk(name: bytes, data: bytes) -> bytes:
        crc = struct.pack(">I", zlib.crc32(name + data))
        return struct.pack(">I", len(data)) + name + data + crc

    header = struct.pack(">IIBBBBB", width, height, bits, colour, 0, 0, 0)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(rows)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunk(*part) for part in parts)


def test_thirty_two_bit_samples_are_refused_with_the_reason(saved: Saved, refused: Refused) -> None:
    body = saved(Image.fromarray(np.zeros((4, 4), np.float32)), "TIFF")
    assert refused(body) == (Outcome.BAD_IMAGE, "tiff: 32-bit samples have no defined range")


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "AVIF"])
def test_alpha_lies_on_white(saved: Saved, decoded: Decoded, kind: str) -> None:
    image = Image.new("RGBA", (64, 48), (0, 0, 0, 0))
    image.paste((200, 0, 0, 255), (0, 0, 32, 24))
    image.paste((0, 0, 0, 128), (32, 0, 64, 24))
    body = saved(image, kind, lossless=True, quality=100)
    expected = [[200, 0, 0], [127, 127, 127], [255, 255, 255], [255, 255, 255]]
    assert np.abs(corners(decoded(body)[1]) - expected).max() <= 3


def test_a_transparent_palette_entry_lies_on_white(saved: Saved, decoded: Decoded) -> None:
    image = Image.new("P", (64, 48), 1)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.paste(0, (0, 0, 32, 24))
    body = saved(image, "PNG", transparency=1)
    assert corners(decoded(body)[1])[:2].tolist() == [[10, 20, 30], [255, 255, 255]]


INKS = {(0, 0, 0, 0): WHITE, (255, 0, 0, 0): (0, 255, 255), (0, 255, 255, 0): (255, 0, 0)}


@pytest.mark.parametrize("ink", INKS)
def test_cmyk_jpeg_has_the_colours_of_its_inks(
    saved: Saved, decoded: Decoded, ink: tuple[int, int, int, int]
) -> None:
    _, pixels = decoded(saved(Image.new("CMYK", (16, 16), ink), "JPEG", quality=95))
    assert np.abs(pixels[8, 8].astype(int) - INKS[ink]).max() <= 3


@pytest.mark.parametrize("ink", INKS)
def test_ycck_jpeg_is_read_as_inverted(decoded: Decoded, ink: tuple[int, int, int, int]) -> None:
    samples = np.full((16, 16, 4), 255 - np.array(ink), np.uint8)
    body = simplejpeg.encode_jpeg(samples, 95, "CMYK", "444")
    assert simplejpeg.decode_jpeg_header(body)[2] == "YCCK"
    _, pixels = decoded(body)
    assert np.abs(pixels[8, 8].astype(int) - INKS[ink]).max() <= 6


def test_only_the_first_frame_counts(saved: Saved, decoded: Decoded) -> None:
    frames = [Image.new("RGB", (20, 10), colour) for colour in (RED, GREEN, BLUE)]
    for kind in ("GIF", "PNG", "WEBP"):
        body = saved(frames[0], kind, save_all=True, append_images=frames[1:], lossless=True)
        _, pixels = decoded(body)
        assert np.abs(pixels[5, 5].astype(int) - RED).max() <= 2


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_a_profile_that_is_not_srgb_is_converted(
    saved: Saved, decoded: Decoded, linear_profile: bytes, kind: str
) -> None:
    # IEC 61966-2-1: linear 128/255 is encoded as 1.055 * 0.502 ** (1 / 2.4) - 0.055 = 0.736.
    body = saved(Image.new("RGB", (16, 16), (128, 128, 128)), kind, icc_profile=linear_profile)
    _, pixels = decoded(body)
    assert np.abs(pixels[8, 8].astype(int) - 188).max() <= 1


def test_a_profile_of_grey_is_converted(saved: Saved, decoded: Decoded) -> None:
    curve = b"curv" + bytes(4) + struct.pack(">IH", 1, 256) + bytes(2)  # gamma 1
    white = b"XYZ " + bytes(4) + struct.pack(">iii", 63_190, 65_536, 54_061)  # D50
    table = struct.pack(">I4sII4sII", 2, b"kTRC", 156, 14, b"wtpt", 172, 20)
    head = struct.pack(
        ">I4sI4s4s4s12x4s", 192, b"none", 0x02400000, b"mntr", b"GRAY", b"XYZ ", b"acsp"
    )
    head += bytes(28) + struct.pack(">iii", 63_190, 65_536, 54_061)
    profile = head.ljust(128, b"\0") + table + curve + white
    for kind, mode in (("JPEG", "L"), ("PNG", "L"), ("PNG", "LA")):
        body = saved(Image.new("L", (16, 16), 128).convert(mode), kind, icc_profile=profile)
        _, pixels = decoded(body)
        assert np.abs(pixels[8, 8].astype(int) - 188).max() <= 1


def test_srgb_and_broken_profiles_change_nothing(
    four_corners: Image.Image, saved: Saved, decoded: Decoded
) -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    for profile in (srgb, b"no profile", srgb[:200], bytes(500)):
        body = saved(four_corners, "PNG", icc_profile=profile)
        assert corners(decoded(body)[1]).tolist() == [list(c) for c in (RED, GREEN, BLUE, WHITE)]


@pytest.mark.parametrize("form", ["jpg", "png", "webp"])
def test_stored_image_has_the_colours_of_the_published_one(
    four_corners: Image.Image, saved: Saved, decoded: Decoded, form: str
) -> None:
    options = recipe.Image.model_validate({"format": form, "quality": 95})
    _, pixels = decoded(saved(four_corners, "PNG"), options)
    assert np.abs(corners(pixels) - np.array([RED, GREEN, BLUE, WHITE])).max() <= 12


def test_no_bytes_are_empty(refused: Refused) -> None:
    assert refused(b"") == (Outcome.EMPTY, None)


@pytest.mark.skipif(not FILES, reason="the real images are not here")
@pytest.mark.parametrize("file", [file for file in FILES if file.name.startswith("modes-")])
def test_real_colour_modes_show_the_same_scene(file: Path) -> None:
    got = picture(file.read_bytes(), recipe.Image(min_side=64))
    original = picture((REAL / "modes-original.jpg").read_bytes(), recipe.Image(min_side=64))
    assert isinstance(got, Picture)
    assert isinstance(original, Picture)
    assert (got.width, got.height) == (1600, 1004)
    assert np.corrcoef(got.luma.ravel(), original.luma.ravel())[0, 1] > 0.95


@pytest.mark.skipif(not FILES, reason="the real images are not here")
@pytest.mark.parametrize("orientation", LYING)
def test_a_real_photograph_in_every_orientation_comes_out_the_same(
    saved: Saved, decoded: Decoded, orientation: int
) -> None:
    exif = Image.Exif()
    exif[0x0112] = orientation
    with Image.open(REAL / "modes-original.jpg") as image:
        scene = image.convert("RGB").resize((320, 200))
    turn = LYING[orientation]
    body = saved(scene if turn is None else scene.transpose(turn), "JPEG", exif=exif, quality=95)
    _, pixels = decoded(body)
    assert np.abs(pixels.astype(int) - np.asarray(scene)).mean() < 4
