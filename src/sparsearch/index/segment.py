"""One immutable segment: its arrays, and what can be asked of them."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from sparsearch.errors import IndexCorruptError, IndexVersionError
from sparsearch.index.columns import Column, unpack_columns
from sparsearch.kernels.layering import LIST_WINDOW, upper_shift
from sparsearch.kernels.lookup import postings_of
from sparsearch.kernels.places import WINDOW, find_posting
from sparsearch.kernels.rows import copy_entries, count_entries
from sparsearch.storage import SegmentFiles, StoredSegment
from sparsearch.vectors import SparseVectors, Vocabulary

__all__ = ["FORWARD", "LENGTHS", "LISTS", "Segment", "hash_ids", "list_dtype", "row_form"]

Array = npt.NDArray[Any]

_PLACES = ("offsets", "places", "long_lists", "window_starts", "long_before", "windows")
_COUNT_LISTS = ("codes", "max_codes", "dense_lists", "planes", "maxima")

FORWARD = ("forward_offsets", "forward_rows", "forward_ranks")
"""Names of the forward index's arrays, in the order in which the kernels take them."""
LISTS = (
    "list_offsets", "strong_places", "strong_codes", "list_starts", "list_tops", "weak_bytes",
    "weak_counts",
)  # fmt: skip
"""Names of the layered lists' arrays, in the order in which the kernels take them."""

LENGTHS = "lengths"
"""Array of document lengths; only segments of a saturating encoder (BM25) have it, and `counts`."""


def list_dtype(n_lists: int) -> type[np.unsignedinteger[Any]]:
    """Return the narrowest type that numbers so many lists."""
    return np.uint16 if n_lists <= 2**16 else np.uint32


def row_form(n_lists: int, shift: int) -> tuple[int, int]:
    """Return the form of a forward index's rows (see `kernels.rows`)."""
    return np.dtype(list_dtype(n_lists)).itemsize, shift


def hash_ids(ids: Iterable[str]) -> npt.NDArray[np.uint64]:
    """Return a 64-bit hash per id. Equal hashes are always checked against the ids themselves."""
    # A lone surrogate, which no stored id has, may still be asked for.
    encoded = (i.encode("utf-8", "surrogatepass") for i in ids)
    digests = [hashlib.blake2b(i, digest_size=8).digest() for i in encoded]
    return np.frombuffer(b"".join(digests), dtype=np.uint64)


@dataclass(frozen=True)
class Segment:
    """An open segment.

    Parameters
    ----------
    stored : StoredSegment
        Its name on disk.
    arrays : mapping of str to ndarray
        Memory-mapped: ``terms``, ``scales`` and ``max_codes`` of the posting lists; these
        themselves, for a saturating encoder as in `kernels.lists`, with ``counts`` and ``lengths``,
        for others the forward index of `kernels.rows` and the layered lists of `kernels.layering`;
        ids (``id_bytes``, ``id_offsets``, ``id_hashes``, ``id_rows``), documents (``payload``,
        ``payload_offsets``) and metadata columns. docs/file-format.md describes each.
    attributes : mapping
        ``documents``, ``columns`` and, for a saturating encoder, ``average_length``: the one its
        codes were computed with.
    """

    stored: StoredSegment
    arrays: Mapping[str, Array]
    attributes: Mapping[str, Any]

    @classmethod
    def open(cls, files: SegmentFiles, stored: StoredSegment) -> Segment:
        """Memory-map a segment; raises as `SegmentFiles.open` does."""
        arrays, attributes = files.open(stored)
        segment = cls(stored, arrays, attributes)
        if not segment._has_known_form():
            folder = files.folder / stored.uid
            raise IndexVersionError(
                f"{folder} was written by an unreleased sparsearch, with posting lists of another "
                "form: index the documents again"
            )
        return segment

    def _has_known_form(self) -> bool:
        """Whether posting lists are as kernels take them: some of unreleased versions were not."""
        if self.has_forward_index:
            starts, window, lately = "list_starts", LIST_WINDOW, "weak_bytes"
        else:
            starts, window, lately = "window_starts", WINDOW, "places"
        n_windows = -(-self.n_documents // window)
        return lately in self.arrays and self.arrays[starts].shape[1] == n_windows + 1

    @cached_property
    def n_documents(self) -> int:
        """Documents held, deleted ones included."""
        return int(self.attributes["documents"])

    @cached_property
    def n_postings(self) -> int:
        """Postings held, those of deleted documents included."""
        if not self.has_forward_index:
            return len(self.arrays["codes"])
        return len(self.arrays["strong_codes"]) + int(self.arrays["weak_counts"].sum())

    @property
    def average_length(self) -> float | None:
        """Average document length its codes were computed with; None where length plays no part."""
        value = self.attributes.get("average_length")
        return None if value is None else float(value)

    def live_length(self, deleted: npt.NDArray[np.bool_] | None) -> int:
        """Return the sum of its live documents' lengths, 0 where length plays no part."""
        lengths = self.arrays.get(LENGTHS)
        if lengths is None:
            return 0
        return int(lengths.sum() if deleted is None else lengths[~deleted].sum())

    @cached_property
    def terms_and_scales(self) -> tuple[Array, Array]:
        """The term of each posting list, and what one step of its codes is worth."""
        return self.arrays["terms"], self.arrays["scales"]

    @cached_property
    def count_lists(self) -> tuple[Any, ...]:
        """The posting lists of a saturating encoder as the kernels take them."""
        return self.places, *(self.arrays[name] for name in _COUNT_LISTS)

    @cached_property
    def places(self) -> tuple[Array, ...]:
        """The documents of the posting lists of a saturating encoder as the kernels take them."""
        return tuple(self.arrays[name] for name in _PLACES)

    @cached_property
    def searched_counts(self) -> tuple[Any, ...]:
        """All that `kernels.one_segment` searches of a saturating encoder."""
        return *self.terms_and_scales, self.count_lists

    @cached_property
    def has_forward_index(self) -> bool:
        """Whether its weights are final: those of a saturating encoder (BM25) are not."""
        return FORWARD[0] in self.arrays

    @cached_property
    def forward(self) -> tuple[Any, ...]:
        """The forward index as the kernels take it."""
        form = row_form(self.n_lists, upper_shift(self.arrays["max_codes"]))
        return *(self.arrays[name] for name in FORWARD), form

    @cached_property
    def lists_by_rank(self) -> Array:
        """The list of each rank in the forward index."""
        return np.argsort(self.arrays["forward_ranks"]).astype(list_dtype(self.n_lists))

    @cached_property
    def lists(self) -> tuple[Array, ...]:
        """The layered lists as the kernels take them."""
        return tuple(self.arrays[name] for name in LISTS)

    @cached_property
    def n_lists(self) -> int:
        """Posting lists: terms that stand in a document, deleted ones included."""
        return len(self.arrays["terms"])

    @cached_property
    def searched(self) -> tuple[Any, ...]:
        """All that `kernels.one_segment` searches."""
        max_codes = self.arrays["max_codes"]
        return *self.terms_and_scales, self.lists, max_codes, self.forward

    @cached_property
    def columns(self) -> dict[str, Column]:
        """Metadata columns by field."""
        try:
            return unpack_columns(self.arrays, self.attributes["columns"])
        except (IndexError, ValueError) as error:
            raise self.damage("metadata") from error

    def key_of_row(self, field: str) -> npt.NDArray[np.int32]:
        """Return which key of a column each document has; see `Column.key_of_row`."""
        if field not in self._key_of_row:
            try:
                self._key_of_row[field] = self.columns[field].key_of_row(self.n_documents)
            except IndexError as error:
                raise self.damage("metadata") from error
        return self._key_of_row[field]

    @cached_property
    def _key_of_row(self) -> dict[str, npt.NDArray[np.int32]]:
        """What was asked for before: it takes longer than a search."""
        return {}

    def damage(self, what: str) -> IndexCorruptError:
        """Return the error that says that something here cannot be read."""
        return IndexCorruptError(
            f"segment {self.stored.uid}: its {what} cannot be read; `sparsearch verify` says what "
            "is damaged; restore it from a backup"
        )

    def id(self, row: int) -> str:
        """Return the id of the document in a row."""
        offsets = self.arrays["id_offsets"]
        try:
            return bytes(self.arrays["id_bytes"][offsets[row] : offsets[row + 1]]).decode()
        except (IndexError, ValueError) as error:
            raise self.damage("ids") from error

    def payload(self, row: int) -> bytes:
        """Return the stored fields of the document in a row, as JSON."""
        offsets = self.arrays["payload_offsets"]
        return bytes(self.arrays["payload"][offsets[row] : offsets[row + 1]])

    def rows_of(self, ids: Sequence[str], hashes: npt.NDArray[np.uint64]) -> npt.NDArray[np.int64]:
        """Return the last row with each id, deleted or not; -1 where there is none."""
        known = self.arrays["id_hashes"]
        last = np.searchsorted(known, hashes, side="right") - 1
        found = np.full(len(ids), -1, dtype=np.int64)
        if len(known) == 0:
            return found
        for i in np.flatnonzero((last >= 0) & (known[last] == hashes)).tolist():
            found[i] = self._row_of(ids[i], hashes[i], int(last[i]))
        return found

    def document_frequencies(self, term_ids: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
        """Return in how many documents each term stands, deleted ones included."""
        terms = self.arrays["terms"]
        if len(terms) == 0:
            return np.zeros(len(term_ids), dtype=np.int64)
        at = np.minimum(np.searchsorted(terms, term_ids), len(terms) - 1)
        if self.has_forward_index:
            offsets = self.arrays["list_offsets"]
            sizes = offsets[at + 1] - offsets[at] + self.arrays["weak_counts"][at]
        else:
            offsets = self.arrays["offsets"]
            sizes = offsets[at + 1] - offsets[at]
        counts: npt.NDArray[np.int64] = np.where(terms[at] == term_ids, sizes, 0)
        return counts

    def codes(self, row: int, lists: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
        """Return a document's code in each of some posting lists, 0 where it is not in one."""
        try:
            if self.has_forward_index:
                own, codes, _ = self.entries(np.array([row]))
            else:
                found = [int(find_posting(self.places, number, row)) for number in lists.tolist()]
                at = np.array(found, np.int64)
                own, codes = lists[at >= 0], self.arrays["codes"][at[at >= 0]]
        except (IndexError, ValueError, MemoryError) as error:
            raise self.damage("postings") from error
        code_of = dict(zip(own.tolist(), codes.tolist(), strict=True))
        return np.array([code_of.get(number, 0) for number in lists.tolist()], np.int64)

    def entries(self, rows: npt.NDArray[np.int64]) -> tuple[Array, Array, Array]:
        """Return the lists and codes of the postings of documents, and how many each has.

        From the forward index; within a document they are in order of lists.
        """
        counts = count_entries(self.forward, rows)
        lists = np.empty(int(counts.sum()), self.lists_by_rank.dtype)
        codes = np.empty(len(lists), self.arrays["max_codes"].dtype)
        as_they_are = np.zeros(self.n_lists, np.int64)
        copy_entries(self.forward, rows, self.lists_by_rank, as_they_are, lists, codes)
        owners = np.repeat(np.arange(len(rows), dtype=np.uint64), counts)
        order = np.argsort(owners << np.uint64(32) | lists)
        return lists[order], codes[order], counts

    def vectors(self, rows: npt.NDArray[np.int64], vocabulary: Vocabulary | None) -> SparseVectors:
        """Return the stored vectors of documents given by ascending rows.

        Without a forward index, they are looked for in all posting lists.
        """
        terms, scales = self.terms_and_scales
        try:
            if self.has_forward_index:
                lists, codes, counts = self.entries(rows)
            else:
                lists, codes, counts = self._inverted(rows)
            offsets = np.concatenate([[0], np.cumsum(counts)])
            weights = codes.astype(np.float32) * scales[lists]
            return SparseVectors(offsets, terms[lists], weights, vocabulary)
        except (IndexError, ValueError, MemoryError) as error:
            raise self.damage("postings") from error

    def _inverted(self, rows: npt.NDArray[np.int64]) -> tuple[Array, Array, Array]:
        """Return the lists and codes of the postings of documents, and how many each has."""
        places, lists, at = postings_of(self.places, rows)
        # Postings stand in order of terms, so a stable sort by document leaves each row in order.
        order = np.argsort(places, kind="stable")
        counts = np.bincount(places, minlength=len(rows))
        return lists[order], self.arrays["codes"][at[order]], counts

    def _row_of(self, document_id: str, value: np.uint64, at: int) -> int:
        # Entries of one hash ascend by row; the last with this very id is the newest.
        hashes, rows = self.arrays["id_hashes"], self.arrays["id_rows"]
        while at >= 0 and hashes[at] == value:
            if self.id(int(rows[at])) == document_id:
                return int(rows[at])
            at -= 1
        return -1
