"""How an address answers: well, late, wrongly, endlessly or not at all.

A route is plain data, so the whole web is two files: the routes and the bodies.
"""

import zlib
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

How = Literal["whole", "cut", "endless", "trickle", "silent"]

SHORT_HOPS = 3  # redirects that any client follows
LONG_HOPS = 12  # redirects that no client should follow
_MOVED = (301, 302, 303, 307, 308)


@dataclass(frozen=True, slots=True)
class Route:
    """What one path answers.

    Attributes:
        status: HTTP status.
        headers: Besides Content-Length and Connection.
        offset: Where the body begins in the file of bodies.
        length: Bytes of the body.
        how: `whole`; `cut`: the connection closes half way; `endless`: the body is repeated for
            ever; `trickle`: a byte per second; `silent`: nothing, not even a header.
        first: Status and headers of the first answer, sent once before this one; or None.
    """

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    offset: int = 0
    length: int = 0
    how: How = "whole"
    first: tuple[int, dict[str, str]] | None = None


@dataclass(frozen=True, slots=True)
class Site:
    """Where the demo web is: what a URL of it begins with.

    Attributes:
        base_url: The server, without a slash at the end.
        refused_url: An address where nobody listens.
    """

    base_url: str
    refused_url: str


@dataclass(frozen=True, slots=True)
class PictureRoute:
    """The path of a picture and the answer of a server without faults."""

    path: str
    fine: Route


UrlAndRoutes = tuple[str | None, dict[str, Route]]  # the URL in the pair, the routes by path
Serving = Callable[[Site, PictureRoute], UrlAndRoutes]


def _plain(site: Site, picture: PictureRoute) -> UrlAndRoutes:
    return site.base_url + picture.path, {picture.path: picture.fine}


def _changed(
    headers: dict[str, str] | None = None,
    how: How = "whole",
    first: tuple[int, dict[str, str]] | None = None,
) -> Serving:
    """Return a serving that differs from the fine one in these points."""

    def serve(site: Site, picture: PictureRoute) -> UrlAndRoutes:
        fine = picture.fine
        changed = Route(200, fine.headers | (headers or {}), fine.offset, fine.length, how, first)
        return site.base_url + picture.path, {picture.path: changed}

    return serve


def _wrong_type(site: Site, picture: PictureRoute) -> UrlAndRoutes:
    """Serve the picture as something else: text or bytes without a type."""
    kind = ("text/plain", "application/octet-stream")[zlib.crc32(picture.path.encode()) % 2]
    return _changed({"Content-Type": kind})(site, picture)


def _status(status: int) -> Serving:
    """Return a serving that always answers `status`, without a body."""

    def serve(site: Site, picture: PictureRoute) -> UrlAndRoutes:
        return site.base_url + picture.path, {picture.path: Route(status)}

    return serve


def _to(location: str) -> Serving:
    """Return a serving that redirects to `location`."""

    def serve(site: Site, picture: PictureRoute) -> UrlAndRoutes:
        return site.base_url + picture.path, {picture.path: Route(302, {"Location": location})}

    return serve


def _hops(count: int) -> Serving:
    """Return a serving that leads to the picture over `count` redirects, every other relative."""

    def serve(site: Site, picture: PictureRoute) -> UrlAndRoutes:
        paths = [f"/moved{picture.path}/{hop}" for hop in range(count)] + [picture.path]
        routes = {picture.path: picture.fine}
        for hop, (here, there) in enumerate(zip(paths, paths[1:], strict=False)):
            location = there if hop % 2 else site.base_url + there
            routes[here] = Route(_MOVED[hop % len(_MOVED)], {"Location": location})
        return site.base_url + paths[0], routes

    return serve


def _loop(site: Site, picture: PictureRoute) -> UrlAndRoutes:
    """Serve two paths that redirect to each other."""
    here, there = picture.path, f"{picture.path}/again"
    routes = {here: Route(302, {"Location": there}), there: Route(301, {"Location": here})}
    return site.base_url + here, routes


def _below(folder: str) -> Serving:
    """Return a serving in a folder of which a file of the site says something."""

    def serve(site: Site, picture: PictureRoute) -> UrlAndRoutes:
        path = f"{folder}{picture.path}"
        return site.base_url + path, {path: picture.fine}

    return serve


def _refused(site: Site, picture: PictureRoute) -> UrlAndRoutes:
    return site.refused_url + picture.path, {}


def _ftp(site: Site, picture: PictureRoute) -> UrlAndRoutes:
    return f"ftp://127.0.0.1{picture.path}", {}


def _no_url(site: Site, picture: PictureRoute) -> UrlAndRoutes:
    return None, {}


ROBOTS = b"User-agent: *\nDisallow: /private/\nContent-Usage: /untrained/ train-ai=n\n"
TDMREP = b'[{"location": "/reserved/", "tdm-reservation": 1}]\n'
SERVINGS: dict[str, Serving] = {
    "plain": _plain,
    "no_url": _no_url,
    "ftp": _ftp,
    "refused": _refused,
    "status_403": _status(403),
    "status_404": _status(404),
    "status_410": _status(410),
    "status_503": _status(503),
    "first_429": _changed(first=(429, {"Retry-After": "1"})),
    "first_500": _changed(first=(500, {})),
    "endless": _changed(how="endless"),
    "trickle": _changed(how="trickle"),
    "silent": _changed(how="silent"),
    "cut": _changed(how="cut"),
    "redirect_short": _hops(SHORT_HOPS),
    "redirect_long": _hops(LONG_HOPS),
    "redirect_loop": _loop,
    "redirect_link_local": _to("http://169.254.169.254/latest/meta-data/"),
    "redirect_file": _to("file:///etc/passwd"),
    "noai": _changed({"X-Robots-Tag": "noai, noimageai"}),
    "noml": _changed({"X-Robots-Tag": "noml"}),
    "usage_header": _changed({"Content-Usage": "search=y, train-ai=n"}),
    "signal_header": _changed({"Content-Signal": "search=yes, ai-train=no"}),
    "usage_robots": _below("/untrained"),
    "tdm_file": _below("/reserved"),
    "tdm_reserved": _changed({"tdm-reservation": "1"}),
    "robots": _below("/private"),
    "wrong_type": _wrong_type,
}
