"""Fixtures shared by all tests: real servers on loopback, started here."""

import gc
import json
import os
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, suppress
from functools import partial
from http.server import BaseHTTPRequestHandler, SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import settings
from numpy.typing import NDArray
from tests.repetition import repeated

from pairsieve.jobs import log
from pairsieve.pipeline.dataset.checksums import of_image
from pairsieve.pipeline.dataset.commit import commit
from pairsieve.pipeline.dataset.marker import Marker
from pairsieve.pipeline.dataset.store import Store
from pairsieve.pipeline.fetch.canonical_url import canonical
from pairsieve.pipeline.unit.plan_file import Plan
from pairsieve.pipeline.vectors.model_record import ModelRecord
from pairsieve.schemas.columns import EMBEDDED, GATHERED, ROW, arrow_schema

REAL = Path(__file__).resolve().parent.parent.parent / "shared" / "real"

gc.disable()  # until all is imported
settings.register_profile("pairsieve", max_examples=repeated(40, 100))
settings.load_profile("pairsieve")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with what takes long and stands last: one worker would be at it alone in the end."""
    items.sort(key=lambda item: item.path.name != "test_extend.py")


def pytest_collection_finish() -> None:
    """Let the garbage collector pass over what is imported and collected: it stays to the end."""
    gc.enable()
    gc.freeze()


def pytest_unconfigure() -> None:
    """Let it see them again: DuckDB complains of what is left at the end of the process."""
    gc.unfreeze()


@pytest.fixture(scope="session")
def real() -> Path:
    """Return the folder of real test material; skip where it is absent."""
    if not REAL.is_dir():
        pytest.skip("no real test material beside the checkout (../shared/real)")
    return REAL


@pytest.fixture(autouse=True)
def heard() -> None:
    """Let every test hear all: a command that ran in this process may have been a quiet one."""
    log.configure(quiet=False, as_json=False)


class HTTPServer(ThreadingHTTPServer):
    """One that takes as many connections at once as a fetch makes; with 5, the rest wait 1 s."""

    request_queue_size = 1000


class _Quiet(SimpleHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture(scope="session")
def serve() -> Iterator[Callable[[Path], str]]:
    """Return a function that serves a folder over HTTP on loopback and gives its base URL."""
    servers = []

    def start(folder: Path) -> str:
        handler = partial(_Quiet, directory=str(folder))
        server = HTTPServer(("127.0.0.1", 0), handler)
        servers.append(server)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}"

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


class Service:
    """An OpenAI-compatible service on loopback; `behave` says what becomes of a request.

    It returns the text of an answer, or status, body and headers, or sends something itself.
    """

    def __init__(self) -> None:
        self.behave: Callable[[str], Any] = lambda asked: f"seen: {asked}"
        self.requests: list[dict[str, Any]] = []
        self.paths: list[str] = []
        self.keys: list[str | None] = []
        self.closing = threading.Event()
        self._server = HTTPServer(("127.0.0.1", 0), partial(_Answering, self))
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        self.url = f"http://127.0.0.1:{self._server.server_port}/v1"

    def asked(self) -> list[str]:
        """Return the prompts as they came."""
        return [asked(request) for request in self.requests]

    def close(self) -> None:
        self.closing.set()
        self._server.shutdown()
        self._server.server_close()


def asked(request: dict[str, Any]) -> str:
    """Return the prompt of a request."""
    content = request["messages"][-1]["content"]
    return str(content if isinstance(content, str) else content[-1]["text"])


def completion(text: object, finish_reason: str = "stop") -> bytes:
    """Return the body of an answer: 100 tokens in, 10 out."""
    choice = {"message": {"role": "assistant", "content": text}, "finish_reason": finish_reason}
    usage = {"prompt_tokens": 100, "completion_tokens": 10}
    return json.dumps({"choices": [choice], "usage": usage}).encode()


class _Answering(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def __init__(self, service: Service, *args: Any) -> None:
        self.service = service
        super().__init__(*args)

    def do_POST(self) -> None:
        request = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.service.requests.append(request)
        self.service.paths.append(self.path)
        self.service.keys.append(self.headers["Authorization"])
        said = self.service.behave(asked(request))
        if callable(said):
            said(self)
            return
        status, body, headers = (200, completion(said), {}) if isinstance(said, str) else said
        self.send_response(status)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def service() -> Iterator[Service]:
    """Start a service that answers what models are asked."""
    with closing(Service()) as service:
        yield service


@pytest.fixture(scope="session")
def s3() -> Iterator[str]:
    """Start an S3 protocol server on loopback; return the URL of an empty bucket."""
    import boto3
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    endpoint = f"http://{host}:{port}"
    settings = {
        "AWS_ENDPOINT_URL": endpoint,
        "AWS_ALLOW_HTTP": "true",
        "AWS_ACCESS_KEY_ID": "testing",
        "AWS_SECRET_ACCESS_KEY": "testing",
        "AWS_REGION": "us-east-1",
    }
    before = {name: os.environ.get(name) for name in settings}
    os.environ.update(settings)
    boto3.client("s3", endpoint_url=endpoint).create_bucket(Bucket="pairs")
    yield "s3://pairs"
    for name, value in before.items():
        if value is None:
            del os.environ[name]
        else:
            os.environ[name] = value
    server.stop()


PutPlan = Callable[[Store], None]


@pytest.fixture(scope="session")
def put_plan() -> PutPlan:
    """Return a function that puts a plan of one pair where nothing was planned."""

    def put(store: Store) -> None:
        plan = Plan(
            dataset=store.url,
            pairs=1,
            fetch=True,
            images=False,
            format="parquet",
            measuring={"input": {"unit_pairs": 1}},
            files=[],
            staged=[],
            units=[],
            schema=pa.schema([]),
            fingerprints={},
        )
        store.create("plan.json", plan.dumps())

    return put


PutGathered = Callable[[Store, list[dict[str, Any]]], None]


@pytest.fixture(scope="session")
def put_gathered() -> PutGathered:
    """Return a function that commits one gathered unit with the given ledger rows.

    What a row leaves out gets a default: outcome ok, 640 x 480, and a uid of its row number.
    """

    def put(store: Store, rows: list[dict[str, Any]]) -> None:
        filled = [
            {
                "row": number,
                "uid": f"{number:032x}",
                "url": f"http://127.0.0.1/{number}",
                "text": f"pair {number}",
                "retry_layer": 0,
                "outcome": "ok",
                "width": 640,
                "height": 480,
            }
            | row
            for number, row in enumerate(rows)
        ]
        for row in filled:
            url = canonical(str(row["url"] or ""))
            if row.get("image_file") and "image_checksum" not in row:
                at: Any = row["image_file"], row.get("image_offset", 0), row["image_bytes"]
                row["image_checksum"] = of_image(b"".join(store.read_byte_ranges([at])))
            if url:
                row |= {"host": url.host or None, "url_hash": url.hash}
        table = pa.Table.from_pylist(filled, arrow_schema(GATHERED))
        with store.writer("gather/00000000.test.parquet") as sink:
            pq.write_table(table, sink)
        outcomes = table["outcome"].to_pylist()
        counts = {outcome: outcomes.count(outcome) for outcome in sorted(set(outcomes))}
        marker = Marker(len(rows), {"gather/00000000.test.parquet": sink.entry()}, counts)
        commit(store, "gather/00000000.json", marker)

    return put


PutVectors = Callable[..., None]


@pytest.fixture(scope="session")
def put_vectors() -> PutVectors:
    """Return a function that commits vectors, and scores on them, for some rows of a slice."""

    def put(
        store: Store,
        model: str,
        rows: Sequence[int],
        images: NDArray[np.float16],
        texts: NDArray[np.float16],
        slice_name: str = "00000000",
    ) -> None:
        measured = {c.name: 0.0 for c in EMBEDDED if pa.types.is_float32(c.type)}
        scores = [{**measured, "row": row, "clip_similarity": row / 100} for row in rows]
        kind = pa.list_(pa.float16(), images.shape[1])
        flat = [pa.array(matrix.astype(np.float16).reshape(-1)) for matrix in (images, texts)]
        lists = [pa.FixedSizeListArray.from_arrays(values, type=kind) for values in flat]
        names = ["row", "image_embedding", "text_embedding"]
        tables = {
            "vectors": pa.Table.from_arrays([pa.array(rows, pa.int64()), *lists], names=names),
            "scores": pa.Table.from_pylist(scores, schema=arrow_schema((ROW, *EMBEDDED))),
        }
        files = {}
        for part, table in tables.items():
            name = f"embed/{model}/{slice_name}.{part}.parquet"
            with store.writer(name) as sink:
                pq.write_table(table, sink, row_group_size=100, write_page_checksum=True)
            files[name] = sink.entry()
        record = ModelRecord(model, "none", images.shape[1], 100.0, 0.0, "0" * 64, "0" * 64)
        store.create(f"embed/{model}.json", json.dumps(record.to_json()).encode())
        marker = Marker(len(rows), files, {"embedded": len(rows)})
        commit(store, f"embed/{model}/{slice_name}.json", marker)

    return put


@pytest.fixture(scope="session")
def found_in() -> Callable[[Store, dict[str, bytes]], list[tuple[str, str]]]:
    """Return a function that finds bytes, by name, in all files of a dataset, unpacked or not."""

    def find(store: Store, sought: dict[str, bytes]) -> list[tuple[str, str]]:
        return [
            (name, path)
            for path in store.paths()
            for body in unpacked(store.read(path))
            for name, value in sought.items()
            if value in body
        ]

    return find


def unpacked(body: bytes) -> Iterator[bytes]:
    """Yield bytes as they are and, of Parquet, its values."""
    yield body
    if body[:4] == b"PAR1":
        for column in pq.read_table(pa.BufferReader(body)).columns:
            for chunk in column.chunks:
                yield b"\0".join(bytes(buffer) for buffer in chunk.buffers() if buffer)
