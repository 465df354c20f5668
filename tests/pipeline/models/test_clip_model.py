import threading
import time
from concurrent.futures import ThreadPoolExecutor

from pairsieve.pipeline.models.clip_model import Meter


def test_a_meter_adds_up_what_all_threads_spend() -> None:
    meter, both = Meter(), threading.Barrier(2)

    def work() -> None:
        with meter:
            both.wait(timeout=10)
            time.sleep(0.02)

    with ThreadPoolExecutor(2) as pool:
        for future in [pool.submit(work) for _ in range(2)]:
            future.result()
    assert meter.spent_s >= 0.04
