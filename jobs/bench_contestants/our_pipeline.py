"""All stages in one process, as a contestant of `bench pipeline` that says where its time goes."""

import time
from pathlib import Path

from pairsieve.jobs.bench.alternate import Result, serve_job
from pairsieve.jobs.bench_contestants.our_pixels import steps
from pairsieve.jobs.job import EngineChoice, Job


def work(job: Result) -> Result:
    """Run the job's recipe on its dataset.

    Return functions of pairsieve and their shares of the CPU time of the main thread, and the share
    of that in the time of all threads.
    """
    pipeline = Job(Path(job["recipe"]), job["dataset"], EngineChoice("serial"))
    began, of_all = time.thread_time(), time.process_time()
    shares = steps(lambda: pipeline.run("default"))
    main_thread = (time.thread_time() - began) / (time.process_time() - of_all)
    return {"steps": shares, "main_thread": main_thread}


if __name__ == "__main__":
    serve_job(work)
