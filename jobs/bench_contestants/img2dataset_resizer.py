"""img2dataset's Resizer as a contestant of `bench pixels`.

A script of its own: it runs in img2dataset's environment, where there is no pairsieve. The Resizer
itself keeps OpenCV to one thread.
"""

import io
import json
import resource
import sys
from pathlib import Path
from typing import Any


def cpu_s() -> float:
    """Return the CPU-seconds this process has used so far."""
    used = resource.getrusage(resource.RUSAGE_SELF)
    return used.ru_utime + used.ru_stime


def main() -> None:
    """Decode, resize and encode what the job on standard input lists."""
    from img2dataset.resizer import Resizer

    job: dict[str, Any] = json.load(sys.stdin)
    resizer = Resizer(
        job["side"], "keep_ratio", resize_only_if_bigger=True, encode_quality=job["quality"]
    )
    bodies = [Path(path).read_bytes() for path in job["files"]]

    def resized() -> int:
        """Return how many came out at the side of the job."""
        sides = [resizer(io.BytesIO(body))[1:3] for body in bodies]
        return sum(None not in each and min(each) == job["side"] for each in sides)

    resized()
    began = cpu_s()
    done = sum(resized() for _ in range(job["passes"]))
    print(json.dumps({"cpu_s": cpu_s() - began, "done": done}))


if __name__ == "__main__":
    main()
