import json
from typing import Any

import pytest

from pairsieve.pipeline.captions.answers import CaptionOutcome, Reply, judged, shown, storable
from pairsieve.schemas.recipe_captions import Captions

TWO = ("recaption", "short_recaption")


def options(**changes: Any) -> Captions:
    given = {"url": "http://127.0.0.1/v1", "model": "m", "prompt": "Describe."}
    return Captions.model_validate(given | changes)


def body(content: Any, finish_reason: str = "stop", **message: Any) -> bytes:
    choice = {"message": {"content": content, **message}, "finish_reason": finish_reason}
    return json.dumps({"choices": [choice]}).encode()


def test_an_answer_is_its_text_without_the_space_around() -> None:
    answer = judged(Reply(200, body("  a dog\n")), options())
    assert (answer.outcome, answer.texts) == (CaptionOutcome.OK, ("a dog",))


@pytest.mark.parametrize(
    ("reply", "outcome"),
    [
        (body("a do", "length"), "cut"),
        (body("", "content_filter"), "declined"),
        (body("no", refusal="I cannot"), "declined"),
        (body(" \n"), "empty"),
        (body(None), "empty"),
    ],
)
def test_what_is_no_caption_is_an_outcome(reply: bytes, outcome: str) -> None:
    answer = judged(Reply(200, reply), options())
    assert (answer.outcome, answer.texts, answer.final) == (outcome, (), True)


@pytest.mark.parametrize(
    "reply",
    [
        b"<html>busy</html>",
        b"\xff",
        b"[]",
        b"{}",
        b'{"choices": []}',
        b'{"choices": [null]}',
        b'{"choices": [{"message": "x"}]}',
        body(["a"]),
        b'{"choices": [{"message": {"content": "x"}}], "usage": {"prompt_tokens": "many"}}',
        b"[" * 100_000,
    ],
)
def test_another_form_may_have_another_attempt(reply: bytes) -> None:
    answer = judged(Reply(200, reply), options())
    assert (answer.outcome, answer.final) == (CaptionOutcome.MALFORMED, False)


def test_for_several_columns_the_answer_is_json() -> None:
    text = '```json\n{"short_recaption": "dog", "recaption": "a brown dog"}\n```'
    assert judged(Reply(200, body(text)), options(columns=TWO)).texts == ("a brown dog", "dog")


@pytest.mark.parametrize("text", ["a dog", '{"recaption": "x"}', '{"recaption": 1}', "[]"])
def test_json_without_a_column_is_malformed(text: str) -> None:
    answer = judged(Reply(200, body(text)), options(columns=TWO))
    assert answer.outcome is CaptionOutcome.MALFORMED


def test_tokens_cost_what_the_recipe_says_also_of_an_answer_that_is_no_use() -> None:
    content = {"choices": [], "usage": {"prompt_tokens": 1000, "completion_tokens": 200}}
    reply = Reply(200, json.dumps(content).encode())
    usage = judged(reply, options(price_in=2, price_out=10)).usage
    assert (usage.tokens_in, usage.tokens_out, usage.cost) == (1000, 200, 0.004)


def test_a_service_that_counts_no_tokens_fits_no_budget() -> None:
    answer = judged(Reply(200, body("a dog")), options(price_in=1, max_cost=1))
    assert answer.outcome is CaptionOutcome.MALFORMED


@pytest.mark.parametrize("status", [0, 408, 429, 500, 503, 529])
def test_what_may_pass_is_tried_again(status: int) -> None:
    answer = judged(Reply(status, error="" if status else "reset"), options())
    assert (answer.outcome, answer.final) == (CaptionOutcome.NO_ANSWER, False)


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_request_may_be_declined(status: int) -> None:
    answer = judged(Reply(status, b"too long"), options())
    assert (answer.outcome, answer.final) == (CaptionOutcome.DECLINED, True)


@pytest.mark.parametrize("status", [301, 401, 402, 403, 404, 405])
def test_what_every_request_would_get_ends_all(status: int) -> None:
    answer = judged(Reply(status, b"no"), options())
    assert answer.outcome is None
    assert answer.detail.startswith(f"status {status}: no; ")


def test_what_a_service_says_is_shown_as_one_short_line() -> None:
    assert shown(b"a\x1b[31m\n\tb \xe2\x80\xae") == "a[31m b"
    assert len(shown(b"x" * 10_000)) == 200


@pytest.mark.parametrize(
    ("text", "stored"),
    [("\ud83d\ude00", "\U0001f600"), ("a\ud800b", "a\ufffdb"), ("a\0b", "a\ufffdb"), ("犬", "犬")],
)
def test_a_text_can_be_stored_whatever_it_holds(text: str, stored: str) -> None:
    assert storable(text) == stored
    assert stored.encode()
