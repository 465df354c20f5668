"""What stands before the first separator of a caption and after its last: a site's name, often.

`Red dress size 36 | The Shop` ends in ` | The Shop`. Whether that is boiler-plate of its host is
counted over the pool (`pipeline/counts/boilerplate.py`). Separators are `|`, dashes, dots and
arrows between spaces, and a colon before one; of all captions, cleaned.
"""

import re

from pairsieve.filters.cleaning import cleaned

_SEPARATOR = re.compile(r" ?[|\uff5c] ?| [-\u2013\u2014\u00b7\u2022\u00bb\u203a~] |: ")


def affixes(text: str) -> tuple[str, str]:
    """Return prefix and suffix of a cleaned caption, with their separators; "" where it has none.

    A caption that begins or ends with a separator has none there.
    """
    found = list(_SEPARATOR.finditer(text))
    if not found:
        return "", ""
    prefix = text[: found[0].end()] if found[0].start() else ""
    suffix = text[found[-1].start() :] if found[-1].end() < len(text) else ""
    return prefix, suffix


def without(text: str, prefix: str, suffix: str) -> str:
    """Return a caption cleaned and without its boiler-plate; "" where cleaning leaves nothing.

    Where boiler-plate is all there is it stays.
    """
    text = cleaned(text)
    return text.removesuffix(suffix).removeprefix(prefix).strip() or text
