"""pairsieve's fetch as a contestant of `bench fetch`."""

from typing import Any

from pairsieve.jobs.bench.alternate import Result, cpu_s, serve_job
from pairsieve.pipeline.fetch.client import fetch
from pairsieve.schemas.errors import Stopped
from pairsieve.schemas.outcomes import Outcome
from pairsieve.schemas.recipe import Fetch

# No limit that makes a host wait: all images come from one, and waiting costs no CPU anyway.
UNHURRIED = {"per_host_per_s": 100_000, "robots": "ignore"}


def options(port: int, concurrency: int, **changes: Any) -> Fetch:
    """Return the options of the recipe: this port of loopback, and that many transfers at once."""
    defaults: dict[str, Any] = {
        "user_agent": "pairsieve-bench (+https://example.org/bench)",
        "allow_networks": ["127.0.0.0/8"],
        "ports": [port],
        "concurrency": concurrency,
        "per_host_connections": min(concurrency, 100),
        "retries": 0,
        **UNHURRIED,
    }
    return Fetch(**(defaults | changes))


def total(urls: list[str], fetch_options: Fetch) -> int:
    """Return the bytes of all images."""
    size = 0
    for fetched in fetch(urls, fetch_options):
        if fetched.outcome is not Outcome.OK:
            raise Stopped(f"bench: {fetched.url}: {fetched.outcome}: {fetched.detail}")
        size += len(fetched.body)
    return size


def work(job: Result) -> Result:
    """Fetch the job's images; one first, to have everything imported."""
    fetch_options = options(job["port"], job["concurrency"])
    total(job["urls"][:1], fetch_options)
    began = cpu_s()
    size = total(job["urls"], fetch_options)
    return {"cpu_s": cpu_s() - began, "bytes": size}


if __name__ == "__main__":
    serve_job(work)
