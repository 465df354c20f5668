"""What the values of Content-Usage, Content-Signal and X-Robots-Tag say of training on an image.

Source: Content-Usage: draft-ietf-aipref-vocab-07, sections 4 and 6, a dictionary of RFC 9651, of
which `train-ai` is what concerns us. Files written by earlier drafts say `train-genai` and
`bots`, the wider category of which training was a part. Content-Signal: draft-romm-aipref-
contentsignals-00 and contentsignals.org; its key `use`: Cloudflare's changelog, 31 August 2026.
X-Robots-Tag: https://developers.google.com/search/docs/crawling-indexing/robots-meta-tag; noai and
noimageai: DeviantArt, November 2022; noml: noml.info, an open letter of October 2023.
"""

import re
from collections.abc import Collection
from typing import Any, cast

TRAINING = ("train-ai", "train-genai")
WIDER = "bots"  # counts where neither of these is said
DIRECTIVES = frozenset(("noai", "noimageai", "noml", "noindex", "noimageindex", "none"))
# Directives that have a value after a colon, which a name of a robot has, too.
_VALUED = ("unavailable_after", "max-snippet", "max-image-preview", "max-video-preview")
_SIGNAL = re.compile(r"([a-z-]+)\s*=\s*([a-z]+)")
_NOT_FOR_TRAINING = ("immediate", "reference")  # values of `use`, of which `full` is the widest
MAX_VALUE = 4096  # characters of a value that are parsed


def usage(value: str) -> tuple[bool | None, str]:
    """Return whether a Content-Usage allows training, None if it does not say, and what says so.

    A value that is no dictionary says nothing, as section 6.5 of the vocabulary has it.
    """
    from http_sf import StructuredFieldError, Token, parse  # not in img2dataset's environment

    try:
        content = value[:MAX_VALUE].strip().encode("utf-8", "replace")
        said = cast("dict[str, Any]", parse(content, tltype="dictionary"))
    except StructuredFieldError:
        return None, ""
    answers = {}
    for label in (*TRAINING, WIDER):
        token = said.get(label, (None,))[0]
        if isinstance(token, Token) and str(token) in ("y", "n"):
            answers[label] = str(token) == "y"
    for label in TRAINING:
        if answers.get(label) is False:
            return False, f"{label}=n"
    label = next(iter(answers), "")
    return answers.get(label), f"{label}={'y' if answers.get(label) else 'n'}" if label else ""


def signal(value: str) -> tuple[bool | None, str]:
    """Return whether a Content-Signal allows training, None if it does not say; what says so."""
    said = dict(_SIGNAL.findall(value[:MAX_VALUE].lower()))
    train, use = said.get("ai-train"), said.get("use")
    if train in ("yes", "no"):
        return train == "yes", f"ai-train={train}"
    return (False, f"use={use}") if use in _NOT_FOR_TRAINING else (None, "")


def directive(value: str, robot: str, directives: Collection[str] = DIRECTIVES) -> str | None:
    """Return which of `directives` one X-Robots-Tag has for `robot`, if it has one.

    A name before a colon addresses what follows it.
    """
    addressed = True
    for part in value.lower().split(","):
        name, colon, rest = part.partition(":")
        if colon and name.strip() not in _VALUED:
            addressed = name.strip() in (robot, "*")
            part = rest
        if addressed and part.strip() in directives:
            return part.strip()
    return None
