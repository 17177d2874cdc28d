"""Which examples make up which step."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice

import numpy as np

from sparsearch.errors import InvalidInputError, shorten
from sparsearch.training.examples import Example

__all__ = ["Batches"]

_MOST_EXCHANGES = 10_000
"""Examples that are tried for one batch after none fits any more."""

_EMPTY_EPOCHS = 10
"""Epochs without a batch, one after the other, by which it is clear that none can be filled."""


class Batches:
    """The batch of each step: shuffled epochs, and if need be no answer among wrong ones.

    A batch is a function of the seed and the number of the step alone, so that a run that is taken
    up again sees what it would have seen. Where many examples clash, some are exchanged until a
    batch is full; what is left at the end of an epoch and fills none is not used in it.

    Parameters
    ----------
    examples : sequence of Example
    size : int
        Examples a batch.
    seed : int
    distinct : bool
        Whether documents of one example count as wrong answers to another one of the batch. Then
        two examples are kept out of one batch where the query or the answer of one is a text of the
        other; a document that is wrong for both does no harm. What does not fit goes into the next
        batch.

    Raises
    ------
    InvalidInputError
        When no batch of this size can be filled.
    """

    def __init__(
        self, examples: Sequence[Example], size: int, seed: int, *, distinct: bool = True
    ) -> None:
        self._examples = examples
        self._size = size
        self._seed = seed
        nothing = _Texts(frozenset(), frozenset())
        self._texts = _text_numbers(examples) if distinct else [nothing] * len(examples)
        self._starts: list[int] = [0]
        self._epoch: tuple[int, list[list[int]]] = (-1, [])

    def __getitem__(self, step: int) -> list[Example]:
        """Return the batch of a step, counted from 0."""
        while self._starts[-1] <= step:
            batches = self._batches(len(self._starts) - 1)
            self._starts.append(self._starts[-1] + len(batches))
            recent = self._starts[-1 - _EMPTY_EPOCHS :]
            if len(recent) > _EMPTY_EPOCHS and recent[0] == recent[-1]:
                raise InvalidInputError(self._too_few())
        epoch = int(np.searchsorted(self._starts, step, side="right")) - 1
        return [self._examples[i] for i in self._batches(epoch)[step - self._starts[epoch]]]

    def epoch(self, step: int) -> float:
        """Return how many times the examples were gone through before a step."""
        self[step]
        epoch = int(np.searchsorted(self._starts, step, side="right")) - 1
        return epoch + (step - self._starts[epoch]) / len(self._batches(epoch))

    def _batches(self, epoch: int) -> list[list[int]]:
        if self._epoch[0] != epoch:
            self._epoch = (epoch, list(self._fill(epoch)))
        return self._epoch[1]

    def _too_few(self) -> str:
        """Return why no batch can be filled: there are too few examples, or they share a text."""
        advice = "give more examples or a smaller optimizer.batch_size"
        reason = f"{len(self._examples)} examples cannot fill a batch of {self._size}"
        if len(self._examples) < self._size:
            return f"{reason}; {advice}"
        counts = Counter(text for example in self._examples for text in _texts(example))
        own = dict.fromkeys(text for example in self._examples for text in _own(example))
        text = max(own, key=counts.__getitem__)
        reason += f" without a text twice: {shorten(text)} is in {counts[text]} of them"
        return f"{reason}; {advice}"

    def _fill(self, epoch: int) -> Iterator[list[int]]:
        random = np.random.default_rng([self._seed, epoch])
        left = deque(random.permutation(len(self._examples)).tolist())
        while len(left) >= self._size:
            batch = self._first_that_fit(left)
            if len(batch) < self._size:
                self._exchange(batch, left)
            if len(batch) < self._size:
                return
            yield batch

    def _first_that_fit(self, left: deque[int]) -> list[int]:
        """Take examples that clash with none before out of the front of those that are left."""
        batch: list[int] = []
        own: set[int] = set()
        every: set[int] = set()
        postponed = []
        while left and len(batch) < self._size:
            number = left.popleft()
            texts = self._texts[number]
            if every.isdisjoint(texts.own) and own.isdisjoint(texts.every):
                batch.append(number)
                own.update(texts.own)
                every.update(texts.every)
            else:
                postponed.append(number)
        left.extendleft(reversed(postponed))
        return batch

    def _exchange(self, batch: list[int], left: deque[int]) -> None:
        """Fill a batch that none of those left fits into: what clashes with one takes its place.

        The batch stays as large, and for the other one there may be room again.
        """
        for _ in range(_MOST_EXCHANGES):
            if len(batch) == self._size:
                return
            number = left.popleft()
            clashing = list(islice((other for other in batch if self._clash(number, other)), 2))
            if len(clashing) > 1:
                left.append(number)
                continue
            batch.append(number)
            for other in clashing:
                batch.remove(other)
                left.append(other)

    def _clash(self, one: int, other: int) -> bool:
        a, b = self._texts[one], self._texts[other]
        return not (a.own.isdisjoint(b.every) and b.own.isdisjoint(a.every))


@dataclass(frozen=True)
class _Texts:
    """Numbers of an example's texts: of its query and its answer, and of all."""

    own: frozenset[int]
    every: frozenset[int]


def _text_numbers(examples: Sequence[Example]) -> list[_Texts]:
    """Return for each example the numbers of its texts; equal texts have equal numbers."""
    numbers: dict[str, int] = {}

    def number(texts: tuple[str, ...]) -> frozenset[int]:
        return frozenset(numbers.setdefault(text, len(numbers)) for text in texts)

    return [_Texts(number(_own(example)), number(_texts(example))) for example in examples]


def _own(example: Example) -> tuple[str, ...]:
    """Return the query of an example and the document that answers it."""
    return example.query, example.positive


def _texts(example: Example) -> tuple[str, ...]:
    """Return the texts of an example, each once."""
    return tuple(dict.fromkeys((example.query, *example.documents)))
