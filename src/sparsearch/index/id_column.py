"""The ids of documents, as filters look at a field."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from sparsearch.errors import FilterError, shorten
from sparsearch.index.columns import Key
from sparsearch.index.segment import Segment, hash_ids

__all__ = ["ID_FIELD", "IdColumn", "refuse_order"]

ID_FIELD = "id"


class IdColumn:
    """The ids of a segment; where texts are cut, those of passages.

    Parameters
    ----------
    segment : Segment
    """

    def __init__(self, segment: Segment) -> None:
        self._segment = segment

    @property
    def rows(self) -> npt.NDArray[np.uint32]:
        """Rows that have an id: all."""
        return np.arange(self._segment.n_documents, dtype=np.uint32)

    def equal(self, key: Key) -> npt.NDArray[np.uint32]:
        """Return the row of an id, if it is here."""
        return self.any_of([key])

    def any_of(self, keys: Sequence[Key]) -> npt.NDArray[np.uint32]:
        """Return the rows of ids; of one that was replaced, the last, as the others are deleted.

        Raises
        ------
        FilterError
            When one is no string.
        """
        ids = [_checked(key) for key in keys]
        rows = self._segment.rows_of(ids, hash_ids(ids))
        return rows[rows >= 0].astype(np.uint32)

    def compare(self, operator: str, key: Key) -> npt.NDArray[np.uint32]:
        """Refuse to; raises as `refuse_order`."""
        raise refuse_order()


def refuse_order() -> FilterError:
    """Return the error for a filter that asks for ids before or after one."""
    return FilterError("field 'id': ids have no order; 'id' takes '==', '!=', 'in' and 'exists'")


def _checked(key: Key) -> str:
    if not isinstance(key, str):
        raise FilterError(f"field 'id': ids are strings, not {shorten(key)}")
    return key
