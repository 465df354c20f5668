"""The demo web: what is planted, how it is served, and what is detected of it."""

import http.client
import io
import socket
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any
from urllib.parse import urljoin, urlsplit

import imagehash
import pyarrow.parquet as pq
import pytest
from PIL import Image, ImageOps, UnidentifiedImageError

from pairsieve.jobs.demo_web import captions, image_files
from pairsieve.jobs.demo_web.build import BLOCKLIST, BODIES, PAIRS, ROUTES, TRUTH, build
from pairsieve.jobs.demo_web.defects import COPIES, DEFECTS, counts
from pairsieve.jobs.demo_web.responses import SERVINGS, Site
from pairsieve.jobs.demo_web.server import (
    ReservedPorts,
    request_counts,
    reserve_ports,
    serve_demo_web,
    serving,
)
from pairsieve.pipeline.rights.in_file import read_rights
from pairsieve.schemas.errors import BadOption

SEED = 7
SMALL = 250  # pairs
SITE = Site("http://127.0.0.1:8123", "http://127.0.0.1:8124")
BY_NAME = {defect.name: defect for defect in DEFECTS}


@dataclass(frozen=True)
class Web:
    folder: Path
    reserved: ReservedPorts
    truth: list[dict[str, Any]]
    pairs: list[dict[str, Any]]

    def of(self, defect: str) -> list[dict[str, Any]]:
        return [row for row in self.truth if row["defect"] == defect]

    def first(self, defect: str) -> str:
        url: str = self.of(defect)[0]["url"]
        return url


@pytest.fixture(scope="module")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Web]:
    folder = tmp_path_factory.mktemp("web")
    with serve_demo_web(folder, SEED, SMALL) as reserved:
        truth = pq.read_table(folder / TRUTH).to_pylist()
        yield Web(folder, reserved, truth, pq.read_table(folder / PAIRS).to_pylist())


def get(url: str) -> tuple[int, http.client.HTTPMessage, bytes]:
    connection = http.client.HTTPConnection(urlsplit(url).netloc, timeout=20)
    connection.request("GET", urlsplit(url).path)
    answer = connection.getresponse()
    result = answer.status, answer.headers, answer.read()
    connection.close()
    return result


def follow(url: str) -> tuple[int, int, bytes]:
    """Return how many redirects were followed, 40 at most, the last status and the body."""
    for hops in range(40):
        status, headers, body = get(url)
        if "Location" not in headers:
            return hops, status, body
        url = urljoin(url, headers["Location"])
    return 40, status, body


def phash(body: bytes) -> imagehash.ImageHash:
    return imagehash.phash(Image.open(io.BytesIO(body)).convert("L"))


def test_every_defect_can_be_made() -> None:
    keys = image_files.PICTURES.keys() | image_files.COPIES.keys()
    assert {defect.picture for defect in DEFECTS} == keys
    assert {defect.serving for defect in DEFECTS} == SERVINGS.keys()
    assert {defect.caption for defect in DEFECTS} == captions.CAPTIONS.keys()


def test_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path) -> None:
    for name, seed in (("one", 1), ("again", 1), ("other", 2)):
        build(tmp_path / name, seed, SITE, 200)
    for file in (PAIRS, TRUTH, BLOCKLIST, ROUTES, BODIES):
        one, again, other = ((tmp_path / n / file).read_bytes() for n in ("one", "again", "other"))
        assert one == again
        assert one != other


def test_counts_add_up_and_hold_every_defect() -> None:
    for pairs in (SMALL, 1000, 3000):
        assert sum(counts(pairs).values()) == pairs
        assert min(counts(pairs).values()) >= 2
        assert set(counts(pairs)) == set(BY_NAME)
    assert counts(3000)["blurred"] == BY_NAME["blurred"].count == 90


def test_a_web_too_small_for_every_defect_is_refused() -> None:
    with pytest.raises(BadOption, match="got 50"):
        counts(50)


def test_every_defect_is_planted_in_its_number(web: Web) -> None:
    assert Counter(row["defect"] for row in web.truth) == Counter(counts(SMALL))


def test_truth_has_the_rows_and_urls_of_the_pairs(web: Web) -> None:
    assert [row["row"] for row in web.truth] == list(range(SMALL))
    assert [row["url"] for row in web.truth] == [pair["url"] for pair in web.pairs]


def test_every_defect_expects_an_outcome_or_a_rule() -> None:
    assert not [d.name for d in DEFECTS if d.outcome is None and not d.rule]


def test_a_repeated_pair_stands_after_the_pair_it_repeats(web: Web) -> None:
    for row in web.of("same_pair"):
        assert web.pairs[row["row"]] == web.pairs[row["original"]]
        assert row["original"] < row["row"]


def test_all_other_urls_are_distinct(web: Web) -> None:
    repeated = len(web.of("same_pair")) + len(web.of("no_url")) - 1
    assert len({row["url"] for row in web.truth}) == SMALL - repeated


def test_copies_are_within_four_bits_of_their_original(web: Web) -> None:
    for defect in COPIES:
        for row in web.of(defect.name):
            assert web.truth[row["original"]]["defect"] == "original"
            urls = (row["url"], web.truth[row["original"]]["url"])
            bodies = [get(url)[2] for url in urls]
            assert (bodies[0] == bodies[1]) == (defect.name == "exact_copy")
            hashes = [phash(body) for body in bodies]
            assert hashes[0] - hashes[1] <= 4


def test_the_blocklist_names_what_is_planted_for_it(web: Web) -> None:
    lines = (web.folder / BLOCKLIST).read_text().splitlines()
    bodies = [get(row["url"])[2] for row in web.of("blocked_bytes")]
    assert {f"url {row['url']}" for row in web.of("blocked_url")} <= set(lines)
    assert {f"sha256 {sha256(body).hexdigest()}" for body in bodies} <= set(lines)
    assert sum(line.startswith("phash ") for line in lines) == len(web.of("blocked_picture"))


def test_hashes_in_the_pairs_are_right_or_wrong_as_planted(web: Web) -> None:
    for defect, right in (("verified", True), ("changed_image", False)):
        for row in web.of(defect):
            digest = sha256(get(row["url"])[2]).hexdigest()
            assert (web.pairs[row["row"]]["sha256"] == digest) == right
    assert not any(web.pairs[row["row"]]["sha256"] for row in web.of("fine"))


def test_one_caption_is_shared(web: Web) -> None:
    texts = {web.pairs[row["row"]]["caption"] for row in web.of("shared_caption")}
    assert texts == {captions.SHARED}


def test_rows_without_caption_have_nothing_to_read(web: Web) -> None:
    texts = [web.pairs[row["row"]]["caption"] for row in web.of("no_caption")]
    assert all(not (caption or "").strip() for caption in texts)


@pytest.mark.parametrize(
    ("defect", "kind", "mode"),
    [
        ("fine", "JPEG", "RGB"),
        ("webp", "WEBP", "RGB"),
        ("gif", "GIF", "P"),
        ("avif", "AVIF", "RGB"),
        ("cmyk", "JPEG", "CMYK"),
        ("wrong_type", "JPEG", "RGB"),
        ("blurred", "JPEG", "RGB"),
        ("redirect_short", "JPEG", "RGB"),
    ],
)
def test_pictures_are_what_the_truth_says(web: Web, defect: str, kind: str, mode: str) -> None:
    for row in web.of(defect):
        picture = Image.open(io.BytesIO(follow(row["url"])[2]))
        picture.load()
        assert (picture.format, picture.mode) == (kind, mode)
        assert picture.size == (row["width"], row["height"])


def test_rotated_pictures_are_upright_as_the_truth_says(web: Web) -> None:
    for row in web.of("exif_rotated"):
        lying = Image.open(io.BytesIO(get(row["url"])[2]))
        assert lying.getexif()[0x0112] in (3, 6, 8)
        upright = ImageOps.exif_transpose(lying)
        assert upright.size == (row["width"], row["height"])


def test_16_bit_pictures_have_two_bytes_per_sample(web: Web) -> None:
    body = get(web.first("png_16_bit"))[2]
    assert body[:8] == b"\x89PNG\r\n\x1a\n"
    assert body[24] == 16  # bit depth in IHDR


def test_the_huge_picture_declares_its_size_in_few_bytes(web: Web) -> None:
    body = get(web.first("huge"))[2]
    assert [int.from_bytes(body[start : start + 4], "big") for start in (16, 20)] == [30_000] * 2
    assert len(body) < 1000


def test_tiny_and_banner_pictures_break_the_usual_limits(web: Web) -> None:
    for row in web.of("tiny"):
        assert row["width"] * row["height"] < 65_536
        assert max(row["width"], row["height"]) <= 3 * min(row["width"], row["height"])
    for row in web.of("banner"):
        assert max(row["width"], row["height"]) > 3 * min(row["width"], row["height"])
        assert row["width"] * row["height"] >= 65_536


def test_damaged_files_are_no_pictures(web: Web) -> None:
    status, headers, body = get(web.first("html"))
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    with pytest.raises(UnidentifiedImageError):
        Image.open(io.BytesIO(body))
    with pytest.raises(OSError, match="truncated"):
        Image.open(io.BytesIO(get(web.first("truncated"))[2])).load()
    assert get(web.first("empty"))[2] == b""


@pytest.mark.parametrize(
    ("defect", "status"),
    [("not_found", 404), ("gone", 410), ("forbidden", 403), ("unavailable", 503)],
)
def test_error_statuses_stay(web: Web, defect: str, status: int) -> None:
    assert [get(web.first(defect))[0] for _ in range(2)] == [status, status]


@pytest.mark.parametrize(("defect", "status"), [("busy_then_fine", 429), ("error_then_fine", 500)])
def test_servers_that_recover_fail_once(web: Web, defect: str, status: int) -> None:
    answers = [get(web.first(defect)) for _ in range(3)]
    assert [answer[0] for answer in answers] == [status, 200, 200]
    assert answers[0][1]["Retry-After"] == ("1" if status == 429 else None)
    assert answers[1][2][:3] == b"\xff\xd8\xff"


def test_redirects_lead_there_late_or_never(web: Web) -> None:
    assert follow(web.first("redirect_short"))[:2] == (3, 200)
    assert follow(web.first("redirect_long"))[:2] == (12, 200)
    assert follow(web.first("redirect_loop"))[0] == 40


def test_hostile_redirects_leave_the_web(web: Web) -> None:
    assert get(web.first("redirect_link_local"))[1]["Location"].startswith("http://169.254.169.254")
    assert get(web.first("redirect_file"))[1]["Location"] == "file:///etc/passwd"


def test_refused_addresses_refuse(web: Web) -> None:
    address = urlsplit(web.first("refused"))
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((address.hostname, address.port or 0))


def test_the_endless_body_goes_on_after_ten_megabytes(web: Web) -> None:
    url = urlsplit(web.first("endless"))
    connection = http.client.HTTPConnection(url.netloc, timeout=20)
    connection.request("GET", url.path)
    answer = connection.getresponse()
    assert answer.length is None
    assert len(answer.read(10_000_000)) == 10_000_000
    connection.close()


def test_a_silent_server_takes_the_request_and_says_nothing(web: Web) -> None:
    url = urlsplit(web.first("silent"))
    with socket.create_connection((url.hostname, url.port or 0), timeout=0.3) as connection:
        connection.sendall(f"GET {url.path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        with pytest.raises(TimeoutError):
            connection.recv(1)


def test_the_trickle_has_said_only_its_first_byte_when_another_request_is_done(web: Web) -> None:
    url = urlsplit(web.first("trickle"))
    with socket.create_connection((url.hostname, url.port or 0), timeout=20) as connection:
        connection.sendall(f"GET {url.path} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        head, _, body = received_until_body(connection).partition(b"\r\n\r\n")
        assert get(web.first("fine"))[0] == 200
        assert b"Content-Length: " in head
        assert len(body) == 1


def received_until_body(connection: socket.socket) -> bytes:
    data = b""
    while b"\r\n\r\n" not in data or data.endswith(b"\r\n\r\n"):
        data += connection.recv(65_536)
    return data


def test_the_cut_off_body_is_shorter_than_declared(web: Web) -> None:
    with pytest.raises(http.client.IncompleteRead):
        get(web.first("cut_off"))


def test_opt_outs_are_told(web: Web) -> None:
    assert get(web.first("noai"))[1]["X-Robots-Tag"] == "noai, noimageai"
    assert get(web.first("tdm_reserved"))[1]["tdm-reservation"] == "1"
    assert urlsplit(web.first("robots")).path.startswith("/private/")
    robots = get(web.reserved.site.base_url + "/robots.txt")[2]
    assert robots.startswith(b"User-agent: *\nDisallow: /private/\n")
    forms = {
        defect: [found.form for found in read_rights(get(web.first(defect))[2]).opt_outs]
        for defect in ("xmp_no_mining", "c2pa_no_training", "fine")
    }
    assert forms == {"xmp_no_mining": ["xmp"], "c2pa_no_training": ["c2pa"], "fine": []}


def test_a_connection_serves_several_requests_and_counts_them(web: Web) -> None:
    paths = [urlsplit(row["url"]).path for row in web.of("fine")[:3]]
    before = request_counts(web.reserved.site)
    connection = http.client.HTTPConnection("127.0.0.1", web.reserved.ports[0], timeout=20)
    used = set()
    for path in paths:
        connection.request("GET", path)
        connection.getresponse().read()
        used.add(connection.sock.getsockname())
    connection.close()
    assert len(used) == 1
    assert request_counts(web.reserved.site) - before == Counter(paths)


def test_an_unknown_path_is_not_found(web: Web) -> None:
    assert get(web.reserved.site.base_url + "/nothing/here")[0] == 404


def test_a_built_web_is_served_again_on_its_ports(tmp_path: Path) -> None:
    reserved = reserve_ports()
    built_for = reserved.site
    build(tmp_path, SEED, built_for, 200)
    reserved.close()
    with serving(tmp_path) as site:
        assert site == built_for
        assert get(site.base_url + "/robots.txt")[0] == 200
    with pytest.raises(ConnectionRefusedError):
        get(site.base_url + "/robots.txt")


def test_a_taken_port_is_refused_by_name() -> None:
    reserved = reserve_ports()
    reserved.listener.listen()
    with pytest.raises(BadOption, match=f"port {reserved.ports[0]} of 127.0.0.1 is taken"):
        reserve_ports(reserved.ports[0])
    reserved.close()


def test_a_folder_without_a_web_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BadOption, match="no demo web here"), serving(tmp_path):
        pass


def test_the_server_runs_from_the_command_line(tmp_path: Path) -> None:
    build(tmp_path, SEED, SITE, 200)
    command = [sys.executable, "-m", "pairsieve.jobs.demo_web.server", str(tmp_path), "--port=0"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as server:
        assert server.stdout is not None
        url = server.stdout.readline().split()[-1]
        assert get(f"{url}/robots.txt")[0] == 200
        server.terminate()
