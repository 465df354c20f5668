"""Keep images whose licence is on a list.

The licence is what the file says of itself in XMP, or a column of the input, such as the licence of
its page. It is a claim of whoever wrote it, and nobody checks it. A pair whose licence is unknown
is dropped unless `unknown` says otherwise.

Source: Creative Commons, https://creativecommons.org/licenses/list.en: every version and port of a
licence has a URL below that of its kind; SPDX names as `CC-BY-4.0`.
"""

import re
from dataclasses import dataclass

from pairsieve.schemas.errors import nearest
from pairsieve.schemas.rights_columns import XMP_LICENCE

CC0, PDM = "cc0", "pdm"
PATHS = {
    CC0: "publicdomain/zero",
    PDM: "publicdomain/mark",
    **{
        f"cc-{kind}": f"licenses/{kind}"
        for kind in ("by", "by-sa", "by-nd", "by-nc", "by-nc-sa", "by-nc-nd")
    },
}
_URL = re.compile(r"https?://[^\s']+")


@dataclass(frozen=True, slots=True)
class Licence:
    """Keep images under one of the licences in `allow`."""

    allow: tuple[str, ...] = (CC0, PDM, "cc-by", "cc-by-sa")  # kinds, or beginnings of URLs
    column: str = XMP_LICENCE.name  # where the licence is: a URL, or a name as SPDX has it
    unknown: str = "drop"  # what becomes of pairs without one, `drop` or `keep`

    def __post_init__(self) -> None:
        if isinstance(self.allow, str) or not self.allow:
            raise ValueError(f"allow must be a list such as [cc0, cc-by], got {self.allow!r}")
        object.__setattr__(self, "allow", tuple(self.allow))
        for entry in self.allow:
            if entry not in PATHS and not (isinstance(entry, str) and _URL.fullmatch(entry)):
                raise ValueError(
                    f"allow: `{entry}` is no licence and no beginning of a URL; "
                    f"{nearest(str(entry), list(PATHS))}"
                )
        if not (
            isinstance(self.column, str) and re.fullmatch("[A-Za-z_][A-Za-z0-9_]*", self.column)
        ):
            raise ValueError(f"column must be the name of a column, got {self.column!r}")
        if self.unknown not in ("drop", "keep"):
            raise ValueError(f"unknown must be `drop` or `keep`, got {self.unknown!r}")

    def rule(self) -> str:
        """Return the SQL condition of a pair to keep."""
        kinds = [entry for entry in self.allow if entry in PATHS]
        paths = "|".join(PATHS[kind] for kind in kinds)
        names = "|".join(kind.replace("-", "[ -]") for kind in kinds)
        patterns = [
            *[f"https?://([a-z]+[.])?creativecommons[.]org/({paths})(/|$)"] * bool(kinds),
            *[f"({names})([ -][0-9.]+)?$"] * bool(kinds),
            *("https?://" + _escaped(u.split("://", 1)[1]) for u in self.allow if u not in PATHS),
        ]
        pattern = f"(?i)^({'|'.join(patterns)})"
        value = f"nullif(trim(\"{self.column}\"), '')"
        known = f"regexp_matches({value}, '{pattern}')"
        return f"coalesce({known}, {'true' if self.unknown == 'keep' else 'false'})"


def _escaped(text: str) -> str:
    """Return a pattern of RE2 that matches just `text`."""
    return re.sub(r"([^A-Za-z0-9/_-])", r"[\1]", text).replace("[^]", r"\^").replace("[\\]", r"\\")
