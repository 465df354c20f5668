"""open_clip as a contestant of `bench embed`, used as its README shows, in batches of a DataLoader.

The loader works in the process itself: workers would hand every picture over, which costs more.
"""

import io
from pathlib import Path
from typing import Any

from pairsieve.jobs.bench.alternate import Result, cpu_s, serve_job

BATCH = 32
WARM = 8  # pictures before it counts


def work(job: Result) -> Result:
    """Do the job; some of it before it counts, to have everything imported and warm."""
    import open_clip
    import torch
    from PIL import Image
    from torch.utils.data import DataLoader, Dataset

    torch.set_num_threads(1)
    if job["model"].endswith(".json"):
        open_clip.add_model_config(job["model"])
    name = Path(job["model"]).stem
    model, _, transform = open_clip.create_model_and_transforms(name, job["pretrained"])
    model.eval()

    class Stored(Dataset[Any]):
        def __init__(self, byte_ranges: list[Any]) -> None:
            self.byte_ranges = byte_ranges

        def __len__(self) -> int:
            return len(self.byte_ranges)

        def __getitem__(self, number: int) -> Any:
            file, start, length, _ = self.byte_ranges[number]
            with Path(job["folder"], file).open("rb") as tar:
                tar.seek(start)
                return transform(Image.open(io.BytesIO(tar.read(length))))

    def embedded(byte_ranges: list[Any]) -> int:
        done = 0
        with torch.no_grad():
            for batch in DataLoader(Stored(byte_ranges), batch_size=BATCH):
                features = model.encode_image(batch)
                features /= features.norm(dim=-1, keepdim=True)
                done += len(features)
        return done

    embedded(job["byte_ranges"][:WARM])
    began = cpu_s()
    done = embedded(job["byte_ranges"])
    return {"cpu_s": cpu_s() - began, "done": done}


if __name__ == "__main__":
    serve_job(work)
