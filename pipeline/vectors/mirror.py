"""`mirror_similarity`: the CLIP score of the mirrored image, which knows less of a printed text.

What an image shows is about the same in a mirror; a text printed in it is no longer read. So a pair
whose caption is printed in its image loses score, and one whose image shows what the caption says
does not. The images are embedded a second time, which costs as much as the first.

Source: Yu et al., "The Devil is in the Details: A Deep Dive into the Rabbit Hole of Data Filtering"
(arXiv:2309.15954), which ranks pairs by the CLIP score of horizontally flipped images.
"""

import numpy as np

from pairsieve.filters.clip_similarity import ClipSimilarity
from pairsieve.pipeline.models.clip_model import ClipModel
from pairsieve.pipeline.vectors.scorers import StoredImages
from pairsieve.schemas.arrays import Floats, Vectors


def similarity(model: ClipModel, texts: Vectors, stored: StoredImages) -> Floats:
    """Return the cosine of each pair's mirrored image and its text, (n,).

    Vectors are rounded to half precision, as those of the images are where they are stored.
    """
    mirrored = (np.ascontiguousarray(pixels[:, ::-1]) for pixels in stored.read())
    vectors = model.images(mirrored).astype(np.float16).astype(np.float32)
    return ClipSimilarity().measure(vectors[stored.index_of], texts)
