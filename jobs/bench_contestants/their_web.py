"""img2dataset's whole command, as a contestant of `bench web` and `bench pipeline`.

A script of its own: it runs in img2dataset's environment, where there is no pairsieve.
"""

import json
import resource
import sys
from typing import Any


def main() -> None:
    """Do the job that the argument, JSON, describes, and print what this process has used."""
    from img2dataset import download

    job: dict[str, Any] = json.loads(sys.argv[1])
    download(
        url_list=job["urls"],
        input_format="parquet",
        url_col="url",
        caption_col="text",
        output_folder=job["out"],
        output_format="webdataset",
        processes_count=job["workers"],
        thread_count=job["threads"],
        number_sample_per_shard=job["unit_pairs"],
        image_size=job["side"],
        resize_mode="keep_ratio",
        resize_only_if_bigger=True,
        timeout=job["timeout_s"],
        retries=0,
    )
    used = resource.getrusage(resource.RUSAGE_SELF)
    peak_mb = used.ru_maxrss * 1024 / 1e6
    print(json.dumps({"cpu_s": used.ru_utime + used.ru_stime, "peak_mb": peak_mb}))


if __name__ == "__main__":
    main()
