"""Long texts in pieces: windows of tokens that overlap, so that a model sees all of a text."""

from __future__ import annotations

from dataclasses import dataclass

from sparsearch.checks import is_whole
from sparsearch.errors import InvalidInputError, shorten

__all__ = ["WindowConfig"]


@dataclass(frozen=True)
class WindowConfig:
    """How a text that is longer than a model's input is cut into windows.

    Parameters
    ----------
    length : int
        Most tokens of a window, those that frame it (``[CLS]``, ``[SEP]``) not counted.
    overlap : int
        Fewest tokens that neighbouring windows share, so that none loses all its context.

    Raises
    ------
    InvalidInputError
        When `length` is not positive, or `overlap` is negative or not below `length`.
    """

    length: int
    overlap: int

    def __post_init__(self) -> None:
        for name, least in (("length", 1), ("overlap", 0)):
            value = getattr(self, name)
            if not is_whole(value, least):
                raise InvalidInputError(
                    f"{name} of windows is {shorten(value)}; it must be a whole number of at least "
                    f"{least}"
                )
        if self.overlap >= self.length:
            raise InvalidInputError(
                f"windows of {self.length} tokens cannot overlap by {self.overlap}; "
                "the overlap must be smaller"
            )

    def cut(self, n_tokens: int) -> list[tuple[int, int]]:
        """Return the ranges of the windows of a text: one or more, together all its tokens.

        All are full where there is more than one: the last one begins earlier instead of being
        short, which gives its tokens more context.
        """
        if n_tokens <= self.length:
            return [(0, n_tokens)]
        last = n_tokens - self.length
        starts = [*range(0, last, self.length - self.overlap), last]
        return [(start, start + self.length) for start in starts]
