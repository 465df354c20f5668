"""Pages of one file each, without scripts or links, and how text from the web stands in them."""

from pathlib import Path
from typing import Any

TEXT_SHOWN = 220  # code points of a caption, URL or condition
# Control characters would vanish from the page or spoil it: they become their pictures.
PICTURES = {code: 0x2400 + code for code in range(32) if chr(code) not in "\t\n\r"} | {127: 0x2421}


def render(template: str, content: dict[str, Any]) -> str:
    """Return the page that a template beside this file makes of `content`; texts are escaped."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {"number": number, "share": share, "shown": shown}
    return environment.get_template(template).render(content)


def number(value: int) -> str:
    """Return a count with its thousands apart."""
    return f"{value:,}"


def share(part: int, whole: int) -> str:
    """Return `part` of `whole` in percent."""
    return f"{100 * part / whole:.1f} %" if whole else "-"


def shown(text: Any, most: int = TEXT_SHOWN) -> str:
    """Return a text as the page shows it: cut, its control characters as pictures."""
    whole = "" if text is None else str(text)
    return (whole[:most] + "…" if len(whole) > most else whole).translate(PICTURES)
