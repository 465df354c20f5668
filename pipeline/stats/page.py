"""Pages of one file each, without scripts: how text from the web and images stand in them.

Thumbnails lie inside the page as data URIs, so that it can be mailed and archived as it is.
"""

from base64 import b64encode
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pairsieve.pipeline.stats.histograms import format_figure

if TYPE_CHECKING:
    from jinja2 import Environment

TEXT_SHOWN = 220  # code points of a caption, URL or condition
# Control characters would vanish from the page or break it: they become their symbols.
CONTROL_SYMBOLS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n\r"} | {
    127: 0x2421
}
THUMBNAIL_PX = 160
THUMBNAILS = (
    (THUMBNAIL_PX, 72),
    (128, 60),
    (96, 50),
    (64, 40),
)  # px and quality, until one is small
THUMBNAIL_BYTES = 6000  # so that a page with all that it may show stays below 5 MB
BLUR_PX = 18


def render(template: str, content: dict[str, Any]) -> str:
    """Return the page that a template beside this file makes of `content`; texts are escaped."""
    return _environment().get_template(template).render(content)


@cache
def _environment() -> "Environment":
    """Return what makes pages; it compiles each template once."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "share": share,
        "shown": shown,
        "figure": format_figure,
    }
    return environment


def number(value: int) -> str:
    """Return a count with its thousands apart."""
    return f"{value:,}"


def share(part: int, whole: int) -> str:
    """Return `part` of `whole` in percent."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def shown(text: Any, max_chars: int = TEXT_SHOWN) -> str:
    """Return a text as the page shows it: cut, its control characters as symbols."""
    whole = "" if text is None else str(text)
    return (whole[:max_chars] + "…" if len(whole) > max_chars else whole).translate(CONTROL_SYMBOLS)


def thumbnail(data: bytes, blurred: bool = False, most_px: int = THUMBNAIL_PX) -> str:
    """Return a stored image, at most so many px wide and high, as the URI of a JPEG.

    At most 160 px it has a few kB, whatever it shows: else it is made smaller.
    """
    from PIL import Image, ImageFilter

    with Image.open(BytesIO(data)) as image:
        whole = image.convert("RGB")
    sizes = THUMBNAILS if most_px <= THUMBNAIL_PX else ((most_px, THUMBNAILS[0][1]),)
    jpeg = b""
    for side, quality in sizes:
        small = whole.copy()
        small.thumbnail((min(side, most_px), min(side, most_px)))
        if blurred:
            small = small.filter(ImageFilter.GaussianBlur(BLUR_PX))
        sink = BytesIO()
        small.save(sink, "JPEG", quality=quality)
        jpeg = sink.getvalue()
        if len(jpeg) <= THUMBNAIL_BYTES:
            break
    return f"data:image/jpeg;base64,{b64encode(jpeg).decode()}"
