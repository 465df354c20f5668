"""Lists of an object store as they were a while ago: what is new is missing, what is gone stays."""

import re
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import escape

_CONTENTS = re.compile(rb"<Contents>.*?</Contents>", re.DOTALL)
_KEY = re.compile(rb"<Key>(.*?)</Key>")
_GHOST = (
    "<Contents><Key>{}</Key><LastModified>2020-01-01T00:00:00.000Z</LastModified>"
    "<ETag>&quot;0&quot;</ETag><Size>1</Size><StorageClass>STANDARD</StorageClass></Contents>"
)


class Changes:
    """What was put and deleted in a bucket, in order."""

    def __init__(self) -> None:
        self.log: list[tuple[str, bool]] = []  # key, and whether it was there afterwards

    def note(self, method: str, path: str) -> None:
        """Take note of a request that was done."""
        url = urlsplit(path)
        begun = "uploads" in parse_qs(url.query, keep_blank_values=True)
        part = "partNumber" in parse_qs(url.query)
        if method in ("PUT", "POST", "DELETE") and not begun and not part:
            self.log.append((_key(url.path), method != "DELETE"))

    def aged(self, path: str, answer: bytes, behind: int) -> bytes:
        """Return the answer to a list as it was so many changes ago."""
        (prefix,) = parse_qs(urlsplit(path).query).get("prefix", [""])
        before, since = self.log[:-behind], self.log[-behind:]
        then = dict(before)
        new = {key for key, _ in since if not then.get(key)}
        gone = {key for key, there in dict(since).items() if then.get(key) and not there}

        def kept(found: re.Match[bytes]) -> bytes:
            key = _KEY.search(found[0])
            return b"" if key and unquote(key[1].decode()) in new else found[0]

        listed = _CONTENTS.sub(kept, answer)
        ghosts = "".join(
            _GHOST.format(escape(key)) for key in sorted(gone) if key.startswith(prefix)
        )
        return listed.replace(b"</ListBucketResult>", ghosts.encode() + b"</ListBucketResult>")


def is_list(method: str, path: str) -> bool:
    """Return whether a request asks for a list of objects."""
    return method == "GET" and "list-type" in parse_qs(urlsplit(path).query)


def _key(path: str) -> str:
    return unquote(path).lstrip("/").partition("/")[2]
