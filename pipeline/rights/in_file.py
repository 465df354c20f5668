"""What the bytes of an image say of its rights, read before they are encoded anew without it."""

from dataclasses import dataclass
from typing import Any

from pairsieve.pipeline.rights import c2pa_manifest
from pairsieve.pipeline.rights.exif import ExifRights, read_exif
from pairsieve.pipeline.rights.file_metadata import (
    FileMetadata,
    c2pa_store,
    file_metadata,
    xmp_packets,
)
from pairsieve.pipeline.rights.iim import IimRights, read_iim
from pairsieve.pipeline.rights.opt_out import OptOut
from pairsieve.pipeline.rights.xmp import XmpRights, read_xmp
from pairsieve.schemas.columns import Column
from pairsieve.schemas.recipe_opt_outs import Form
from pairsieve.schemas.rights_columns import (
    C2PA_SIGNER,
    C2PA_STATE,
    DIGITAL_SOURCE_TYPE,
    FILE_CREATOR,
    FILE_CREDIT,
    FILE_NOTICE,
    XMP_LICENCE,
)

NO_EXIF, NO_IIM = ExifRights(), IimRights()


@dataclass(frozen=True, slots=True)
class FileRights:
    """The values of columns, those that there are, and the opt-outs."""

    values: dict[Column, Any]
    opt_outs: tuple[OptOut, ...]


def read_rights(body: bytes, kind: str | None = None) -> FileRights:
    """Return what an image says; who signed it only where its `kind` is given."""
    metadata = file_metadata(body)
    xmp = read_xmp(xmp_packets(body, metadata.end))
    store = c2pa_store(body, metadata.end)
    signer = c2pa_manifest.signer(body, kind) if store and kind else None
    values = {
        **_named(xmp, metadata),
        DIGITAL_SOURCE_TYPE: xmp.source_type or c2pa_manifest.source_type(store),
        C2PA_SIGNER: signer.name if signer else None,
        C2PA_STATE: signer.state if signer else None,
    }
    found = (
        (Form.XMP, xmp.opt_out),
        (Form.C2PA, c2pa_manifest.training_opt_out(store) if store else None),
    )
    return FileRights(
        {column: value for column, value in values.items() if value},
        tuple(OptOut(form, words) for form, words in found if words),
    )


def _named(xmp: XmpRights, metadata: FileMetadata) -> dict[Column, str | None]:
    """Return who made it and on what terms: of each the XMP, else the IIM, else the EXIF."""
    exif = read_exif(metadata.exif) if metadata.exif else NO_EXIF
    datasets = metadata.iim or exif.iim
    iim = read_iim(datasets) if datasets else NO_IIM
    return {
        XMP_LICENCE: xmp.licence,
        FILE_CREATOR: xmp.creator or iim.creator or exif.creator,
        FILE_CREDIT: xmp.credit or iim.credit,
        FILE_NOTICE: xmp.notice or iim.notice or exif.notice,
    }
