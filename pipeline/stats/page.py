"""Pages of one file each, without scripts: how text from the web and images stand in them.

Thumbnails lie inside the page as data URIs, so that it can be mailed and archived as it is.
"""

from base64 import b64encode
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from jinja2 import Environment

TEXT_SHOWN = 220  # code points of a caption, URL or condition
# Control characters would vanish from the page or break it: they become their symbols.
CONTROL_SYMBOLS = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n\r"} | {
    127: 0x2421
}
THUMBNAIL_PX = 160
THUMBNAIL_QUALITY = 72


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
    environment.filters |= {"number": number, "share": share, "shown": shown}
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


def thumbnail(data: bytes, most_px: int = THUMBNAIL_PX) -> str:
    """Return a stored image, at most so many px wide and high, as the URI of a JPEG."""
    from PIL import Image

    with Image.open(BytesIO(data)) as image:
        small = image.convert("RGB")
        small.thumbnail((most_px, most_px))
    sink = BytesIO()
    small.save(sink, "JPEG", quality=THUMBNAIL_QUALITY)
    return f"data:image/jpeg;base64,{b64encode(sink.getvalue()).decode()}"
