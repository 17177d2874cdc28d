"""Questions that the demo asks of the standard library's docstrings."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["QUESTIONS", "Question"]


@dataclass(frozen=True)
class Question:
    """A question in words of its own.

    Parameters
    ----------
    text : str
    answer : str
        Id of a document that answers it.
    """

    text: str
    answer: str


QUESTIONS = (
    Question("call a function after some seconds in a thread", "threading.Timer"),
    Question("temporary directory that cleans itself up", "tempfile.TemporaryDirectory"),
    Question("split a command line into words like a shell", "shlex.split"),
    Question("most common elements of a list", "collections.Counter.most_common"),
    Question("merge sorted iterables into one", "heapq.merge"),
    Question("copy a whole directory tree", "shutil.copytree"),
    Question("kill a program that takes too long", "subprocess.Popen.kill"),
)
"""The answers are among the first three hits with any of the Pythons supported; a test holds them
to it. BM25, which finds words and not meanings, is held to all but the last: the answer holds no
*program*."""
