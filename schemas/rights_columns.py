"""Columns on what may be done with an image: opt-outs, and what its file says of its rights."""

import pyarrow as pa

from pairsieve.schemas.column import Column, InSample

OPT_OUTS = InSample(
    "opt_outs",
    pa.list_(pa.string()),
    "",
    "Forms in which the use is opted out of, obeyed or not; null where none is known.",
)
OPT_OUT_EVIDENCE = Column(
    "opt_out_evidence", pa.list_(pa.string()), "", "What was read of each of `opt_outs`, and where."
)
OPT_OUT_AT = Column(
    "opt_out_at", pa.timestamp("ms", "UTC"), "", "When the last of `opt_outs` was read."
)

DECLARED = (OPT_OUTS, OPT_OUT_EVIDENCE, OPT_OUT_AT)
RIGHTS = DECLARED
