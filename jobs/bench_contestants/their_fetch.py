"""img2dataset's download function, and urllib alone, as contestants of `bench fetch`.

A script of its own: it runs in img2dataset's environment, where there is no pairsieve.
"""

import json
import resource
import sys
import urllib.request
from collections.abc import Callable, Iterator
from multiprocessing.pool import ThreadPool
from threading import Semaphore
from typing import Any

TIMEOUT_S = 10  # as img2dataset's default


def img2dataset() -> Callable[[tuple[int, str]], int]:
    """Return a function that gives the bytes of the image at a URL, fetched as img2dataset does."""
    from img2dataset.downloader import download_image_with_retry

    def load(row: tuple[int, str]) -> int:
        _, stream, error = download_image_with_retry(
            row,
            timeout=TIMEOUT_S,
            retries=0,
            user_agent_token=None,
            disallowed_header_directives=None,
        )
        if stream is None:
            raise SystemExit(f"{row[1]}: {error}")
        return len(stream.getvalue())

    return load


def urllib_alone() -> Callable[[tuple[int, str]], int]:
    """Return a function that gives the bytes of the image at a URL, by urllib."""

    def load(row: tuple[int, str]) -> int:
        with urllib.request.urlopen(row[1], timeout=TIMEOUT_S) as answer:
            return len(answer.read())

    return load


CLIENTS = {"img2dataset": img2dataset, "urllib": urllib_alone}


def fetch_all(load: Callable[[tuple[int, str]], int], urls: list[str], threads: int) -> int:
    """Return the bytes of all images, by a pool of threads and a semaphore, as img2dataset has."""
    free_threads = Semaphore(threads)

    def rows() -> Iterator[tuple[int, str]]:
        for row in enumerate(urls):
            free_threads.acquire()
            yield row

    total = 0
    with ThreadPool(threads) as pool:
        for size in pool.imap_unordered(load, rows()):
            total += size
            free_threads.release()
    return total


def cpu_s() -> float:
    """Return the CPU-seconds this process has used so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Do the job on standard input; one image first, to have everything imported."""
    job: dict[str, Any] = json.load(sys.stdin)
    load = CLIENTS[sys.argv[1]]()
    load((0, job["urls"][0]))
    began = cpu_s()
    size = fetch_all(load, job["urls"], job["concurrency"])
    print(json.dumps({"cpu_s": cpu_s() - began, "bytes": size}))


if __name__ == "__main__":
    main()
