"""The part of a text that shows why it was found, so that long texts need not be sent whole."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Collection

from sparsearch.index.words import words_in

__all__ = ["snippet"]

_NEAR = 40
"""Characters by which a snippet may be longer, to end with a word."""


def snippet(text: str, words: Collection[str], length: int) -> str:
    """Return about `length` characters of a text, those where most different words stand.

    Parameters
    ----------
    text : str
    words : collection of str
        In lower case; looked for in what `words_in` reads.
    length : int
        At least 50. A text that is not longer is returned whole.

    Returns
    -------
    str
        With an ellipsis at each end that is cut.
    """
    if len(text) <= length:
        return text
    first = _best_start(text, words, length)
    start = _space(text, first - length // 8, first) if first >= length * 0.6 else 0
    stop = _space(text, start + length, start + length + _NEAR)
    before, after = "…\N{NO-BREAK SPACE}" * (start > 0), "\N{NO-BREAK SPACE}…" * (stop < len(text))
    return f"{before}{text[start:stop].strip()}{after}"


def _best_start(text: str, words: Collection[str], length: int) -> int:
    """Return where the stretch starts that holds most different words, then most words."""
    window: deque[tuple[int, str]] = deque()
    inside: Counter[str] = Counter()
    best, best_start = (0, 0), 0
    for start, _, word in words_in(text):
        if word not in words:
            continue
        window.append((start, word))
        inside[word] += 1
        while window[0][0] < start - 0.8 * length:
            _, left = window.popleft()
            inside[left] -= 1
            if not inside[left]:
                del inside[left]
        value = len(inside), len(window)
        if value > best:
            best, best_start = value, window[0][0]
    return best_start


def _space(text: str, start: int, stop: int) -> int:
    """Return where the first space of a part is; its start if there is none."""
    stop = min(stop, len(text))
    return next((at for at in range(start, stop) if text[at].isspace()), min(start, stop))
