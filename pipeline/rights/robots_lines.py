"""The lines of a robots.txt that say what may be done with what is fetched.

Source: Content-Usage: draft-ietf-aipref-attach-05, section 3: a path and a preference; the longest
path that matches counts, of lines with the same path the most restrictive, and a line without a
path holds where no other does. What says nothing of training is passed over, so a longer path that
does not takes nothing back. Content-Signal: contentsignals.org: for a whole group.
Of groups, those that name the robot count, else those of `*` (RFC 9309, 2.2.1).
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass

from pairsieve.pipeline.rights.opt_out import MAX_CHARS, OptOut
from pairsieve.pipeline.rights.path_pattern import matches, normal
from pairsieve.pipeline.rights.preferences import signal, usage
from pairsieve.schemas.recipe_opt_outs import Form

ANYONE = "*"
_LINE = re.compile(r"([A-Za-z-]+)\s*:\s*([^#]*)")
_FORMS = {"content-usage": Form.CONTENT_USAGE, "content-signal": Form.CONTENT_SIGNAL}


@dataclass(frozen=True, slots=True)
class UsageRule:
    """One line that allows or disallows training on what `pattern` matches."""

    form: Form
    pattern: str
    allowed: bool
    line: str


def usage_rules(lines: Iterable[str], robot: str) -> tuple[UsageRule, ...]:
    """Return what the lines of a robots.txt say to `robot`, in order; empty ones are left out."""
    groups: dict[str, list[UsageRule]] = {}
    names: set[str] = set()
    in_names = False
    for line in lines:
        parsed = _LINE.match(line)
        if not parsed:
            continue
        key, value = parsed[1].lower(), parsed[2].strip()
        if key == "user-agent":
            names = names | {value.lower()} if in_names else {value.lower()}
            groups |= {name: groups.get(name, []) for name in names}
            in_names = True
        elif key != "sitemap":
            in_names = False
            rule = _rule(_FORMS[key], value, line) if key in _FORMS else None
            for name in names:
                groups[name] += [rule] if rule else []
    return tuple(groups.get(robot, groups.get(ANYONE, ())))


def _rule(form: Form, value: str, line: str) -> UsageRule | None:
    """Return the rule of a line, None where it says nothing of training."""
    path, preference = "", value
    if value.startswith("/"):
        path, _, preference = value.replace("\t", " ").partition(" ")
    allowed, _ = (usage if form is Form.CONTENT_USAGE else signal)(preference)
    return None if allowed is None else UsageRule(form, normal(path), allowed, line[:MAX_CHARS])


def disallowing(rules: Iterable[UsageRule], path: str) -> list[UsageRule]:
    """Return the rules that disallow training on `path`, one of a form at most."""
    path = normal(path)
    found = []
    for form in _FORMS.values():
        there = [r for r in rules if r.form is form and matches(r.pattern, path)]
        longest = max((len(rule.pattern) for rule in there), default=0)
        against = (r for r in there if len(r.pattern) == longest and not r.allowed)
        found += list(against)[:1]
    return found


def as_opt_out(rule: UsageRule, origin: str, read_at: int) -> OptOut:
    """Return what to keep of a rule in the robots.txt of `origin` that was read at that time."""
    return OptOut(rule.form, f"{rule.line} ({origin}/robots.txt)", read_at)
