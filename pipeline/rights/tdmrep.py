"""The file `/.well-known/tdmrep.json`, by which a site reserves the rights of text and data mining.

Source: W3C TDM Reservation Protocol, final report of 10 May 2024, sections 4.1 and 5.1: a list of
rules, of which the first whose `location` matches counts; a file that cannot be had or read
declares nothing; a reservation other than 0 and 1 is unset.
"""

import json
from dataclasses import dataclass
from typing import Any, Final

from pairsieve.pipeline.rights.opt_out import MAX_CHARS, OptOut
from pairsieve.pipeline.rights.path_pattern import matches, normal
from pairsieve.schemas.recipe_opt_outs import Form

PATH: Final = "/.well-known/tdmrep.json"
MAX_RULES = 10_000  # of a file; each URL is compared with every one
MAX_WILDCARDS = 2_000  # among them. With more of either, all is reserved


@dataclass(frozen=True, slots=True)
class Location:
    """One rule of a file."""

    pattern: str
    reserved: bool
    policy: str = ""


@dataclass(frozen=True, slots=True)
class TdmFile:
    """What the file of one origin declares; `read_at` is in ms since 1970 UTC."""

    locations: tuple[Location, ...] = ()
    read_at: int = 0

    def opt_out(self, origin: str, path: str) -> OptOut | None:
        """Return the reservation of the rights to `path`, if there is one."""
        path = normal(path)
        rule = next((one for one in self.locations if matches(one.pattern, path)), None)
        if rule is None or not rule.reserved:
            return None
        policy = f", tdm-policy {rule.policy}" if rule.policy else ""
        words = f"location {rule.pattern}{policy}"[:MAX_CHARS]
        return OptOut(Form.TDMREP, f"{words} ({origin}{PATH})", self.read_at)


def parse_tdm_file(body: bytes, read_at: int) -> TdmFile:
    """Return what the file `body`, of any content, declares."""
    try:
        content = json.loads(body.decode("utf-8-sig", "replace"))
    except (ValueError, RecursionError):
        return TdmFile((), read_at)
    found = [_location(rule) for rule in content] if isinstance(content, list) else []
    locations = tuple(rule for rule in found if rule)
    wildcards = sum(rule.pattern.count("*") for rule in locations)
    if len(locations) > MAX_RULES or wildcards > MAX_WILDCARDS:
        locations = (Location("/", True),)
    return TdmFile(locations, read_at)


def _location(rule: Any) -> Location | None:
    """Return one rule; None where it is none. 0 and 1 may be numbers or texts."""
    if not isinstance(rule, dict) or not isinstance(rule.get("location"), str):
        return None
    reservation = rule.get("tdm-reservation")
    if isinstance(reservation, bool) or str(reservation) not in ("0", "1"):
        return None
    begins = "" if rule["location"].startswith(("/", "*")) else "/"
    policy = rule.get("tdm-policy")
    policy = policy if isinstance(policy, str) else ""
    return Location(normal(begins + rule["location"]), str(reservation) == "1", policy)
