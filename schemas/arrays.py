"""Short names for the arrays that filters take and return; n is the number of rows."""

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int32]  # (n,)
Floats = NDArray[np.float32]  # (n,)
Flags = NDArray[np.bool_]  # (n,)
Hashes = NDArray[np.uint64]  # (n,)
Texts = NDArray[np.object_]  # (n,) of str
Planes = NDArray[np.object_]  # (n,) of uint8 arrays (h, w)
Vectors = NDArray[np.float32]  # (n, d), each row of length 1
