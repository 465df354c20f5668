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
XMP_LICENCE = InSample(
    "xmp_licence",
    pa.string(),
    "",
    "Licence or rights statement in the file's XMP, a URL as a rule.",
)
FILE_CREATOR = InSample(
    "file_creator", pa.string(), "", "Creators named in the file: XMP, else IPTC-IIM, else EXIF."
)
FILE_CREDIT = InSample(
    "file_credit", pa.string(), "", "Credit line in the file: XMP, else IPTC-IIM."
)
FILE_NOTICE = InSample(
    "file_notice", pa.string(), "", "Copyright notice in the file: XMP, else IPTC-IIM, else EXIF."
)
DIGITAL_SOURCE_TYPE = InSample(
    "digital_source_type",
    pa.string(),
    "",
    "How it was made, an IPTC code in XMP or C2PA: `trainedAlgorithmicMedia` is AI-generated.",
)
C2PA_SIGNER = InSample(
    "c2pa_signer", pa.string(), "", "Who signed its C2PA manifest, with `opt_outs.signers`."
)
C2PA_STATE = InSample(
    "c2pa_state", pa.string(), "", "Whether that signature holds: `trusted`, `valid`, `invalid`."
)

IN_FILE = (
    XMP_LICENCE, FILE_CREATOR, FILE_CREDIT, FILE_NOTICE, DIGITAL_SOURCE_TYPE,
    C2PA_SIGNER, C2PA_STATE,
)  # fmt: skip
RIGHTS = (OPT_OUTS, OPT_OUT_EVIDENCE, OPT_OUT_AT, *IN_FILE)
