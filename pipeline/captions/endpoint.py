"""One request to the service, by libcurl.

The address is the recipe's own, so the guard that keeps input from reaching private addresses has
no part in it. Nothing else is trusted: no redirect is followed, so the key reaches no other host;
no proxy and no .netrc of the machine are used; an answer has a limit in time and bytes.
"""

import os
import re
import threading
from typing import Any

import pycurl

from pairsieve.pipeline.captions.answers import Reply
from pairsieve.pipeline.fetch.curl_options import certificates
from pairsieve.schemas.errors import Stopped
from pairsieve.schemas.recipe_captions import Captions

MAX_BYTES = 4 << 20  # of an answer
CONNECT_S = 10
RETRY_AFTER = re.compile(rb"^retry-after[ \t]*:[ \t]*(\d{1,6})[ \t]*\r?$", re.I | re.M)


def api_key(options: Captions) -> str | None:
    """Return the key from the environment of this machine, if the recipe names a variable.

    Raises:
        Stopped: the variable is not set, or holds what no header can.
    """
    if options.api_key_env is None:
        return None
    key = os.environ.get(options.api_key_env, "").strip()
    if not key or not key.isascii() or not key.isprintable():
        wrong = "holds no printable ASCII" if key else "is not set"
        raise Stopped(
            f"captions.api_key_env: the variable {options.api_key_env} {wrong} on this machine"
        )
    return key


class Endpoint:
    """Sends requests, each thread over a connection of its own."""

    def __init__(self, options: Captions, stopping: threading.Event) -> None:
        """Take the recipe's section; once `stopping` is set, requests under way are given up."""
        self._options = options
        self._stopping = stopping
        self._key = api_key(options)
        self._of_thread = threading.local()

    def post(self, body: bytes) -> Reply:
        """Send a request, JSON; return what came back, the key left out of it."""
        answer, header = bytearray(), bytearray()
        curl = self._curl()
        curl.setopt(pycurl.POSTFIELDS, body)
        curl.setopt(pycurl.WRITEFUNCTION, lambda data: _append(answer, data))
        curl.setopt(pycurl.HEADERFUNCTION, header.extend)
        try:
            curl.perform()
        except pycurl.error as error:
            _, said = error.args
            reason = f"more than {MAX_BYTES:,} bytes" if len(answer) > MAX_BYTES else said
            return Reply(0, error=self._without_key(str(reason)))
        asked = RETRY_AFTER.findall(header)
        wait = float(asked[-1]) if asked else None
        status = curl.getinfo(pycurl.RESPONSE_CODE)
        return Reply(status, self._without_key_in(bytes(answer)), wait)

    def _curl(self) -> Any:
        if not hasattr(self._of_thread, "curl"):
            self._of_thread.curl = self._new()
        return self._of_thread.curl

    def _new(self) -> Any:
        curl = pycurl.Curl()
        headers = ["Content-Type: application/json", "Accept: application/json", "Expect:"]
        if self._key:
            headers.append(f"Authorization: Bearer {self._key}")
        web = pycurl.PROTO_HTTP | pycurl.PROTO_HTTPS
        for option, value in {
            pycurl.URL: f"{self._options.url}/chat/completions",
            pycurl.POST: 1,
            pycurl.HTTPHEADER: headers,
            pycurl.USERAGENT: "pairsieve",
            pycurl.TIMEOUT_MS: max(1, round(self._options.timeout_s * 1000)),
            pycurl.CONNECTTIMEOUT_MS: round(min(CONNECT_S, self._options.timeout_s) * 1000),
            pycurl.PROTOCOLS: web,
            pycurl.FOLLOWLOCATION: 0,
            pycurl.HTTP09_ALLOWED: 0,
            pycurl.PROXY: "",
            pycurl.NOPROXY: "*",
            pycurl.NETRC: pycurl.NETRC_IGNORED,
            pycurl.NOSIGNAL: 1,
            pycurl.NOPROGRESS: 0,
            pycurl.XFERINFOFUNCTION: lambda *_: int(self._stopping.is_set()),
            **certificates(),
        }.items():
            curl.setopt(option, value)
        return curl

    def _without_key(self, text: str) -> str:
        return text.replace(self._key, "***") if self._key else text

    def _without_key_in(self, body: bytes) -> bytes:
        return body.replace(self._key.encode(), b"***") if self._key else body


def _append(answer: bytearray, data: bytes) -> int | None:
    """Take some bytes; 0, by which libcurl gives up, beyond the limit."""
    answer += data
    return 0 if len(answer) > MAX_BYTES else None
