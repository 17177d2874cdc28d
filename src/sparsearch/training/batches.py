"""Which examples make up which step."""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator, Sequence

import numpy as np

from sparsearch.errors import InvalidInputError, shorten
from sparsearch.training.examples import Example

__all__ = ["Batches"]


class Batches:
    """The batch of each step: shuffled epochs, and if need be no text twice in a batch.

    A batch is a function of the seed and the number of the step alone, so that a run that is taken
    up again sees what it would have seen. What is left at the end of an epoch and fills no batch is
    not used in it.

    Parameters
    ----------
    examples : sequence of Example
    size : int
        Examples a batch.
    seed : int
    distinct : bool
        Whether two examples that share a text are kept out of one batch, as they must be where the
        document of one counts as a wrong answer to the other. What does not fit goes into the next
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
        self._texts = _text_numbers(examples) if distinct else [frozenset()] * len(examples)
        self._starts: list[int] = [0]
        self._epoch: tuple[int, list[list[int]]] = (-1, [])

    def __getitem__(self, step: int) -> list[Example]:
        """Return the batch of a step, counted from 0."""
        while self._starts[-1] <= step:
            batches = self._batches(len(self._starts) - 1)
            self._starts.append(self._starts[-1] + len(batches))
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
            if not self._epoch[1]:
                raise InvalidInputError(self._too_few())
        return self._epoch[1]

    def _too_few(self) -> str:
        """Return why no batch can be filled: there are too few examples, or they share a text."""
        advice = "give more examples or a smaller optimizer.batch_size"
        reason = f"{len(self._examples)} examples cannot fill a batch of {self._size}"
        if len(self._examples) < self._size:
            return f"{reason}; {advice}"
        counts = Counter(text for example in self._examples for text in _texts(example))
        ((text, count),) = counts.most_common(1)
        reason += f" without a text twice: {shorten(text)} is in {count} of them"
        return f"{reason}; {advice}"

    def _fill(self, epoch: int) -> Iterator[list[int]]:
        random = np.random.default_rng([self._seed, epoch])
        left = deque(random.permutation(len(self._examples)).tolist())
        while left:
            batch: list[int] = []
            seen: set[int] = set()
            postponed = []
            while left and len(batch) < self._size:
                number = left.popleft()
                if seen.isdisjoint(self._texts[number]):
                    batch.append(number)
                    seen.update(self._texts[number])
                else:
                    postponed.append(number)
            if len(batch) < self._size:
                return
            left.extendleft(reversed(postponed))
            yield batch


def _text_numbers(examples: Sequence[Example]) -> list[frozenset[int]]:
    """Return for each example the numbers of its texts; equal texts have equal numbers."""
    numbers: dict[str, int] = {}
    return [
        frozenset(numbers.setdefault(text, len(numbers)) for text in _texts(example))
        for example in examples
    ]


def _texts(example: Example) -> dict[str, None]:
    """Return the texts of an example, each once."""
    return dict.fromkeys((example.query, *example.documents))
