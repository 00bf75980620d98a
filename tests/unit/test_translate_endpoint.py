"""Translating through an OpenAI-compatible endpoint: what is asked, errors waited out, errors explained."""

from __future__ import annotations

import email.utils
import time
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from translators import Endpoint

from distill.errors import ModelError
from distill.translate import endpoint as module
from distill.translate.endpoint import endpoint_engine
from distill.translate.engine import Engine, Translation
from distill.translate.journal import translate_all


@pytest.fixture
def server() -> Iterator[Endpoint]:
    server = Endpoint()
    yield server
    server.close()


@pytest.fixture(autouse=True)
def short_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "FIRST_WAIT_SECONDS", 0.01)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)


def make(server: Endpoint, **options: Any) -> Engine:
    options = {"base_url": server.url, "concurrency": 1, **options}
    return endpoint_engine("shouter", source="en", target="nb", where="--engine", **options)


def test_a_request_says_model_prompt_and_sentence(server: Endpoint, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_KEY", "secret")
    engine = make(server, key_variable="MY_KEY")
    assert engine.translate(["A dog."]) == [Translation("A DOG.", False, "shouting-2026")]
    headers, body = server.requests[0]
    assert headers["Authorization"] == "Bearer secret"
    assert (body["model"], body["temperature"]) == ("shouter", 0.0)
    assert [message["role"] for message in body["messages"]] == ["system", "user"]
    assert "from English into Norwegian Bokmål" in body["messages"][0]["content"]
    assert body["messages"][1]["content"] == "A dog."
    assert "secret" not in str(engine.identity)


def test_local_servers_need_no_key_and_braces_in_a_prompt_are_text(server: Endpoint) -> None:
    make(server, prompt='Into {target}. Answer {"text": …} not.').translate(["A dog."])
    headers, body = server.requests[0]
    assert "Authorization" not in headers
    assert body["messages"][0]["content"] == 'Into Norwegian Bokmål. Answer {"text": …} not.'


def test_limits_server_errors_and_hangs_are_waited_out(server: Endpoint) -> None:
    server.troubles = {1: (429, {"Retry-After": "0.3"}, "slow down"), 2: (500, {}, "oops"), 3: "hang"}
    assert make(server, timeout_seconds=0.3).translate(["A dog."])[0].text == "A DOG."
    assert server.asked == ["A dog."] * 4
    assert server.times[1] - server.times[0] >= 0.3


def test_a_date_in_retry_after_is_understood(server: Endpoint) -> None:
    server.troubles = {1: (503, {"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, "back soon")}
    assert make(server).translate(["A dog."])[0].text == "A DOG."


def test_after_the_last_retry_the_error_says_what_was_wrong(server: Endpoint) -> None:
    server.troubles = {number: (500, {}, "out of order") for number in range(1, 9)}
    with pytest.raises(ModelError, match="no answer after 3 requests: 500 out of order"):
        make(server, retries=2).translate(["A dog."])
    assert len(server.asked) == 3


@pytest.mark.parametrize(
    ("status", "message", "found", "hint"),
    [
        (401, "no key", "access refused", "environment variable OPENAI_API_KEY"),
        (404, "no such model", "not found", "--base-url"),
        (400, "maximum context length is 5 tokens", "a sentence of 6 characters is too long", "longer context"),
        (429, "insufficient_quota", "insufficient_quota", ""),
        (400, "temperature must be 1", "temperature must be 1", ""),
    ],
)
def test_errors_that_stay_are_explained_at_once(
    server: Endpoint, status: int, message: str, found: str, hint: str
) -> None:
    server.troubles = {1: (status, {}, message)}
    with pytest.raises(ModelError, match=found) as caught:
        make(server).translate(["A dog."])
    assert hint in caught.value.hint
    assert len(server.asked) == 1


def test_no_server_is_an_error(server: Endpoint) -> None:
    with pytest.raises(ModelError, match="no answer after 2 requests") as caught:
        make(server, base_url="http://127.0.0.1:9/v1", retries=1).translate(["A dog."])
    assert "is the server at --base-url running?" in caught.value.hint
    server.troubles = {1: (500, {}, "oops")}
    with pytest.raises(ModelError, match="oops") as caught:
        make(server, retries=0).translate(["A dog."])
    assert "--base-url" not in caught.value.hint


@pytest.mark.parametrize(
    ("asked", "minutes"), [("301", "5"), ("7200", "120"), ("inf", "inf"), ("nan", "nan"), ("1e999", "inf")]
)
def test_a_long_wait_ends_the_work_at_once(server: Endpoint, asked: str, minutes: str) -> None:
    server.troubles = {1: (429, {"Retry-After": asked}, "limit of the day")}
    with pytest.raises(ModelError, match=f"limit of the day; it asks to wait {minutes} minutes") as caught:
        make(server).translate(["A dog."])
    assert "the same command goes on" in caught.value.hint
    assert server.asked == ["A dog."]


def test_a_date_far_away_ends_the_work_too(server: Endpoint) -> None:
    date = email.utils.format_datetime(datetime.now(timezone.utc) + timedelta(hours=2), usegmt=True)
    server.troubles = {1: (503, {"Retry-After": date}, "back soon")}
    with pytest.raises(ModelError, match=r"it asks to wait (119|120) minutes"):
        make(server).translate(["A dog."])


def test_a_page_that_is_no_completion_is_an_error(server: Endpoint) -> None:
    with pytest.raises(ModelError, match="not found"):
        make(server, base_url=server.url.removesuffix("/v1")).translate(["A dog."])


def test_requests_keep_to_the_rate_over_all_threads(server: Endpoint, tmp_path: Path) -> None:
    engine = make(server, requests_per_minute=600, concurrency=4)
    began = time.monotonic()
    translate_all(engine, [f"Dog {i}." for i in range(7)], tmp_path, "en → nb")
    assert time.monotonic() - began >= 0.6
    gaps = [two - one for one, two in zip(server.times, server.times[2:], strict=False)]
    assert min(gaps) > 0.1  # two steps of 0.1 s each, and some jitter


def test_the_first_error_of_many_threads_ends_the_work(server: Endpoint, tmp_path: Path) -> None:
    server.troubles = {5: (401, {}, "the key has ended")}
    texts = [f"Dog {i}." for i in range(60)]
    with pytest.raises(ModelError, match="the key has ended"):
        translate_all(make(server, concurrency=3), texts, tmp_path, "en → nb")
    asked = len(server.asked)
    assert asked < 60
    server.troubles = {}
    translations, _ = translate_all(make(server, concurrency=3), texts, tmp_path, "en → nb")
    assert [translations[text].text for text in texts] == [text.upper() for text in texts]
    assert len(server.asked) == 61  # only the refused one was asked for twice
