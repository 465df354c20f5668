import threading
from collections.abc import Callable
from typing import Any

import pytest

from pairsieve.pipeline.captions import endpoint
from pairsieve.pipeline.captions.answers import Answer
from pairsieve.pipeline.captions.asking import Asker, Pace, Share, ask_all
from pairsieve.pipeline.captions.questions import question
from pairsieve.schemas.errors import Stopped
from pairsieve.schemas.recipe_captions import Captions

MakeOptions = Callable[..., Captions]
KEY = "sk-very-secret"


def ask(
    options: Captions, *texts: str, share: Share | None = None
) -> tuple[dict[str, Answer], Asker]:
    """Return the answer to each text, and who asked."""
    asker = Asker(options, share or Share(options.concurrency))
    questions = (question(options, {"text": t, "url": "", "language": ""}, None) for t in texts)
    answers = {texts[n]: answer for n, answer in ask_all(asker, questions, options.concurrency)}
    return answers, asker


def outcomes(answers: dict[str, Answer]) -> dict[str, str | None]:
    return {text: answer.outcome and str(answer.outcome) for text, answer in answers.items()}


def test_each_question_gets_its_own_answer(service: Any, options: MakeOptions) -> None:
    texts = [f"text {number}" for number in range(30)]
    answers, _ = ask(options(concurrency=4), *texts)
    assert {text: answers[text].texts for text in texts} == {t: (f"seen: {t}",) for t in texts}
    assert sorted(service.asked()) == sorted(texts)
    assert set(service.paths) == {"/v1/chat/completions"}


def test_a_passing_failure_is_tried_again(service: Any, options: MakeOptions) -> None:
    said = iter([(500, b"oh", {}), (429, b"slow down", {"Retry-After": "0"}), "a dog"])
    service.behave = lambda _: next(said)
    answers, _ = ask(options(retries=2, concurrency=1), "x")
    assert answers["x"].texts == ("a dog",)
    usage = answers["x"].usage
    assert (usage.requests, usage.retries, usage.tokens_in) == (3, 2, 100)


def test_after_the_last_attempt_there_is_no_answer(service: Any, options: MakeOptions) -> None:
    service.behave = lambda _: (503, b"busy", {})
    answers, asker = ask(options(retries=1), "x")
    assert outcomes(answers) == {"x": "no_answer"}
    assert answers["x"].detail == "status 503: busy"
    assert (len(service.requests), asker.reason) == (2, "")


def hang_up(handler: Any) -> None:
    handler.close_connection = True


def silent(handler: Any) -> None:
    handler.close_connection = True
    handler.service.closing.wait(20)


def test_an_endless_answer_is_given_up(
    service: Any, options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(endpoint, "MAX_BYTES", 200_000)

    def endless(handler: Any) -> None:
        handler.send_response(200)
        handler.end_headers()
        handler.close_connection = True
        while not service.closing.is_set():
            handler.wfile.write(b" " * 60_000)

    service.behave = lambda _: endless
    answers, _ = ask(options(retries=0), "x")
    assert (outcomes(answers), answers["x"].detail) == (
        {"x": "no_answer"},
        "more than 200,000 bytes",
    )


def test_a_slow_answer_is_given_up(service: Any, options: MakeOptions) -> None:
    service.behave = lambda _: silent
    answers, _ = ask(options(retries=0, timeout_s=0.2), "x")
    assert outcomes(answers) == {"x": "no_answer"}
    assert "timed out" in answers["x"].detail


def test_a_connection_that_breaks_is_no_answer(service: Any, options: MakeOptions) -> None:
    service.behave = lambda _: hang_up
    assert outcomes(ask(options(retries=0), "x")[0]) == {"x": "no_answer"}


def test_malformed_answers_are_tried_again_and_then_an_outcome(
    service: Any, options: MakeOptions
) -> None:
    service.behave = lambda _: (200, b"<html>", {})
    assert outcomes(ask(options(retries=1), "x")[0]) == {"x": "malformed"}
    assert len(service.requests) == 2


def test_a_refused_key_ends_all_without_being_told(
    service: Any, options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_KEY", KEY)
    service.behave = lambda _: (401, f"wrong key {KEY}".encode(), {})
    answers, asker = ask(options(api_key_env="MODEL_KEY", concurrency=1), *map(str, range(20)))
    assert service.keys[0] == f"Bearer {KEY}"
    assert len(service.requests) == 1
    assert set(outcomes(answers).values()) == {None}
    assert asker.reason.startswith(f"{service.url}: status 401: wrong key ***; is the key")


def test_the_key_is_nowhere_in_an_answer(
    service: Any, options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_KEY", KEY)
    service.behave = lambda _: f"your key is {KEY}"
    answers, _ = ask(options(api_key_env="MODEL_KEY"), "x")
    assert answers["x"].texts == ("your key is ***",)


def test_no_key_is_sent_that_the_recipe_does_not_name(
    service: Any, options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    ask(options(), "x")
    assert service.keys == [None]


def test_a_key_that_is_not_there_ends_all(options: MakeOptions) -> None:
    with pytest.raises(Stopped, match="the variable NO_SUCH_KEY is not set on this machine"):
        ask(options(api_key_env="NO_SUCH_KEY"), "x")


def test_a_redirect_is_not_followed(
    service: Any, options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("MODEL_KEY", KEY)
    service.behave = lambda _: (302, b"", {"Location": f"{service.url}/elsewhere"})
    _, asker = ask(options(api_key_env="MODEL_KEY"), "x")
    assert len(service.requests) == 1
    assert asker.reason.endswith("redirects are not followed")


def test_proxies_of_the_environment_are_not_used(
    service: Any, options: MakeOptions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    assert outcomes(ask(options(retries=0), "x")[0]) == {"x": "ok"}


def test_when_the_money_is_spent_nothing_more_is_asked(service: Any, options: MakeOptions) -> None:
    paid = options(price_in=10_000, price_out=0, max_cost=5, concurrency=1)  # an answer costs 1
    answers, asker = ask(paid, *map(str, range(20)), share=Share(1, cost=3))
    assert len(service.requests) == 3
    assert list(outcomes(answers).values()).count("ok") == 3
    assert asker.reason == "captions.max_cost: 5 are spent; raise it to go on"


def test_requests_under_way_are_given_up_when_all_ends(service: Any, options: MakeOptions) -> None:
    begun = threading.Event()

    def behave(asked: str) -> Any:
        if asked == "slow":
            begun.set()
            return silent
        begun.wait(10)
        return (401, b"", {})

    service.behave = behave
    answers, _ = ask(options(timeout_s=600), "slow", "bad key")
    assert outcomes(answers) == {"slow": None, "bad key": None}


def test_requests_begin_at_the_rate() -> None:
    pace = Pace(4, clock=lambda: 100.0)
    assert [pace.turn() for _ in range(4)] == [0, 0.25, 0.5, 0.75]


def test_after_a_pause_none_begins_before_its_end() -> None:
    pace = Pace(None, clock=lambda: 100.0)
    pace.pause(30)
    assert pace.turn() == 30
