"""What a search returns before documents are read: numbers and scores."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

__all__ = ["TopK"]


class TopK(NamedTuple):
    """The best documents of a batch of queries.

    Parameters
    ----------
    numbers : ndarray of int64 [queries, k]
        Document numbers, best first; entries from ``counts[q]`` on are meaningless.
    scores : ndarray of float64 [queries, k]
    counts : ndarray of int64 [queries]
        How many documents were found, at most k.
    """

    numbers: npt.NDArray[np.int64]
    scores: npt.NDArray[np.float64]
    counts: npt.NDArray[np.int64]

    def recalls(self, exact: TopK) -> npt.NDArray[np.float64]:
        """Return how much of the exact best documents was found, for each query that has any.

        A document that ties with the last of the exact ones is as good as that.

        Parameters
        ----------
        exact : TopK
            Of the same queries, searched exactly with the same k.

        Returns
        -------
        ndarray of float64
            From 0 to 1; queries for which there is nothing to find are left out.
        """
        some = np.flatnonzero(exact.counts)
        counts = exact.counts[some]
        last = exact.scores[some, counts - 1]
        # Entries beyond a count mean nothing, and there cannot be more than there are exact ones.
        compared = np.arange(self.scores.shape[1]) < np.minimum(counts, self.counts[some])[:, None]
        as_good = (self.scores[some] >= last[:, None]) & compared
        shares: npt.NDArray[np.float64] = as_good.sum(axis=1) / counts
        return shares
