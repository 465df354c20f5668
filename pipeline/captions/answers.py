"""What came back from the service, and what becomes of it: an answer, another attempt, or the end.

Form: OpenAI's chat completions, as vLLM, SGLang, llama.cpp and others serve them. What the service
sends is not trusted: it is read up to a limit, has to be JSON of the expected form, and becomes
text that can be stored.
"""

import json
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from pairsieve.pipeline.captions.usage import Usage
from pairsieve.schemas.recipe_captions import Captions

SHOWN = 200  # characters of what a service says that are shown
PASSING = frozenset((408, 409, 425, 429, 500, 502, 503, 504, 529))  # statuses that may pass
DECLINING = frozenset((400, 413, 415, 422))  # about this request alone
REMEDIES = {
    401: "is the key in the variable named by `captions.api_key_env` right?",
    403: "the key may not use this model",
    404: "there is no such model or path; `captions.url` often ends in /v1",
}


class CaptionOutcome(StrEnum):
    """What became of a question."""

    OK = "ok"
    CUT = "cut"  # the answer reached `max_tokens`; a part of it is not kept
    EMPTY = "empty"  # it is white space
    DECLINED = "declined"  # the service or its filter refused this pair
    MALFORMED = "malformed"  # no attempt gave an answer of the expected form
    NO_ANSWER = "no_answer"  # no attempt gave an answer; `caption --retry` asks again


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back.

    Attributes:
        status: Of HTTP; 0 where no whole answer came.
        body: Its bytes.
        retry_after_s: How long the service asks to wait, s; None where it does not.
        error: What went wrong on the way.
    """

    status: int
    body: bytes = b""
    retry_after_s: float | None = None
    error: str = ""


@dataclass(frozen=True, slots=True)
class Answer:
    """An answer.

    Attributes:
        outcome: What became of the question; None where nothing did, because all is to end.
        texts: One per column of the recipe; none unless the outcome is `ok`.
        usage: What it cost.
        detail: What the service or the network said.
        final: Whether another attempt is of no use.
    """

    outcome: CaptionOutcome | None
    texts: tuple[str, ...] = ()
    usage: Usage = Usage()
    detail: str = ""
    final: bool = True


def judged(reply: Reply, options: Captions) -> Answer:
    """Return what a reply comes to; one without outcome where no pair would get any other."""
    if reply.status == 200:
        return _read(reply.body, options)
    said = reply.error or f"status {reply.status}: {shown(reply.body)}"
    if reply.status == 0 or reply.status in PASSING:
        return Answer(CaptionOutcome.NO_ANSWER, detail=said, final=False)
    if reply.status in DECLINING:
        return Answer(CaptionOutcome.DECLINED, detail=said)
    remedy = "redirects are not followed" if reply.status < 400 else "nothing more is asked"
    return Answer(None, detail=f"{said}; {REMEDIES.get(reply.status, remedy)}")


def shown(body: bytes) -> str:
    """Return the beginning of what a service said, in one line of printable characters."""
    text = " ".join(body[: 4 * SHOWN].decode("utf-8", "replace").split())
    return "".join(char for char in text if char.isprintable()).strip()[:SHOWN]


def _read(body: bytes, options: Captions) -> Answer:
    """Return the answer in the body of a chat completion."""
    usage = Usage()  # is paid for, whatever else is wrong
    try:
        content = json.loads(body)
        usage = _usage(content, options)
        (choice,) = content["choices"]
        message, finished = choice["message"], choice.get("finish_reason")
        text = message.get("content")
        if finished == "content_filter" or message.get("refusal"):
            return Answer(CaptionOutcome.DECLINED, (), usage, "the service's filter")
        if finished == "length":
            return Answer(CaptionOutcome.CUT, (), usage)
        if text is not None and not isinstance(text, str):
            raise TypeError(f"content is {type(text).__name__}")
        texts = _texts(text or "", options.columns)
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        detail = f"not of the expected form: {type(error).__name__}: {shown(body)}"
        return Answer(CaptionOutcome.MALFORMED, (), usage, detail, final=False)
    if not all(texts):
        return Answer(CaptionOutcome.EMPTY, (), usage)
    return Answer(CaptionOutcome.OK, texts, usage)


def _usage(content: Any, options: Captions) -> Usage:
    """Return what a service says of tokens; nothing where it says none."""
    said = content.get("usage") or {}
    counts = [said.get(key) or 0 for key in ("prompt_tokens", "completion_tokens")]
    if not all(isinstance(count, int) and 0 <= count < 1 << 40 for count in counts):
        raise ValueError("tokens that are no numbers")
    if options.max_cost is not None and not any(counts):
        raise ValueError("no tokens are counted, and `max_cost` needs them")
    return Usage.of_tokens(options, *counts)


def _texts(text: str, columns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the text for each column: all of an answer for one, the values of JSON for several."""
    if len(columns) == 1:
        return (storable(text),)
    inside = text.strip().removeprefix("```json").removeprefix("```").removesuffix("```")
    values = json.loads(inside)
    texts = [values[name] for name in columns]
    if not all(isinstance(one, str) for one in texts):
        raise TypeError("a value is no text")
    return tuple(storable(one) for one in texts)


def storable(text: str) -> str:
    """Return a text as it is stored: without white space around it, what is no character replaced.

    JSON can say half of a surrogate pair, which no encoding has.
    """
    whole = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return whole.replace("\0", "\ufffd").strip()
