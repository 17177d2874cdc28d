"""The index folder: catalog (SQLite), immutable segment files, checksums, the writer lock."""

from sparsearch.storage.catalog import CATALOG_NAME, FORMAT_VERSION, Catalog
from sparsearch.storage.faults import storage_faults
from sparsearch.storage.lock import HeldLock, cleaner_lock, take_lock, writer_lock
from sparsearch.storage.segments import (
    Blob,
    SegmentFiles,
    StoredSegment,
    release_pages,
    sync_folder,
)
from sparsearch.storage.tables import CatalogState, Changes, SegmentRecord, SourceProgress

__all__ = [
    "CATALOG_NAME",
    "FORMAT_VERSION",
    "Blob",
    "Catalog",
    "CatalogState",
    "Changes",
    "HeldLock",
    "SegmentFiles",
    "SegmentRecord",
    "SourceProgress",
    "StoredSegment",
    "cleaner_lock",
    "release_pages",
    "storage_faults",
    "sync_folder",
    "take_lock",
    "writer_lock",
]
