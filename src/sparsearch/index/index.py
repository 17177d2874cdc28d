"""`Index`: the public face of an index folder."""

from __future__ import annotations

import threading
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cached_property
from os import PathLike
from pathlib import Path
from typing import Any

from sparsearch.encoders import Encoder
from sparsearch.errors import FilterError, IndexLockedError, InvalidInputError, shorten
from sparsearch.files import as_path
from sparsearch.index.background import BackgroundMerger
from sparsearch.index.config import IndexConfig
from sparsearch.index.copying import copy_index
from sparsearch.index.creation import create_catalog
from sparsearch.index.documents import Record, check_documents
from sparsearch.index.feeding import AheadFeed, EncodedAhead, Given, VectorFeed, given_batches
from sparsearch.index.reader import IndexReader
from sparsearch.index.snapshot import Snapshot
from sparsearch.index.terms import Terms
from sparsearch.index.tuning import TUNING, Progress, Tuning, measure, sample_queries
from sparsearch.index.unchanged import encode_changed
from sparsearch.index.writer import BATCH_DOCUMENTS, MODEL_BATCH_DOCUMENTS, OnTaken, Store, Writer
from sparsearch.storage import Catalog, SourceProgress, StoredSegment, cleaner_lock, writer_lock
from sparsearch.strict_json import is_unicode
from sparsearch.vectors import SparseVectors, VectorBatch

__all__ = ["Index"]


class Index(IndexReader):
    """Documents on disk, searchable by sparse vectors.

    Open one with `Index.create` or `Index.open`. Any number of threads and processes may search
    while one writes: each `Index` searches the state it opened, or last refreshed or wrote.
    Everything a writing call returned from is durable and visible to who opens or refreshes next.

    Attributes
    ----------
    path : Path
        The index folder.
    config : IndexConfig
    """

    def __init__(self, path: Path, catalog: Catalog, encoder: Encoder | None = None) -> None:
        super().__init__(path, catalog, encoder)
        self._merger: BackgroundMerger | None = None
        self._locked_by: int | None = None

    @classmethod
    def create(
        cls,
        path: str | PathLike[str],
        encoder: Encoder | str | None = "default",
        config: IndexConfig | None = None,
    ) -> Index:
        """Create an empty index.

        Parameters
        ----------
        path : str or PathLike
            Folder to make; it may exist if it is empty.
        encoder : Encoder, "default", "bm25" or None
            What turns text into vectors: the English encoder that comes with the package, BM25
            alone, or another. None: only vectors are added and searched.
        config : IndexConfig, optional

        Raises
        ------
        IndexExistsError
            If the folder holds an index or anything else.
        InvalidInputError
            If the encoder or the config is none, or the folder lies in another index.
        StorageUnavailableError
            If the folder cannot be written.
        """
        folder = as_path(path)
        chosen = Terms.resolve(encoder)
        config = IndexConfig() if config is None else config
        if not isinstance(config, IndexConfig):
            raise InvalidInputError(f"config is {shorten(config)}, not an IndexConfig")
        if chosen is None and config.passage_length is not None:
            reason = "an index without an encoder holds vectors, which cannot be cut into passages"
            raise InvalidInputError(f"{reason}; leave out passage_length or give an encoder")
        catalog = create_catalog(folder, chosen, config.for_encoder(chosen))
        return cls(folder, catalog, chosen)

    @classmethod
    def open(cls, path: str | PathLike[str], encoder: Encoder | None = None) -> Index:
        """Open an index that exists.

        Parameters
        ----------
        path : str or PathLike
        encoder : Encoder, optional
            The encoder it was created with, if sparsearch cannot build it by itself.

        Raises
        ------
        IndexNotFoundError, IndexVersionError, IndexCorruptError
        VocabularyMismatchError
            If `encoder` is not the one the index was created with.
        """
        folder = as_path(path)
        catalog = Catalog(folder)
        try:
            return cls(folder, catalog, encoder)
        except BaseException:
            catalog.close()
            raise

    def add(
        self,
        documents: Iterable[Mapping[str, Any]],
        *,
        source: str | None = None,
        on_taken: OnTaken | None = None,
    ) -> int:
        """Add documents.

        They are read one by one and committed in portions, so any number can be given.

        Parameters
        ----------
        documents : iterable of mapping
            Each with a unique ``id`` and ``text`` or ``title`` or both; any other field is metadata
            and must be JSON.
        source : str, optional
            Name of where they come from. After an interruption, `source_progress` tells how many of
            its documents are stored; give the rest under the same name.
        on_taken : callable, optional
            Called with the `DuplicateIdError` of each document whose id is taken, which is then
            left out (and counts as stored for `source_progress`); without it the error is raised.

        Returns
        -------
        int
            How many were added.

        Raises
        ------
        InvalidDocumentError, DuplicateIdError
            At the first bad document. Those before it are stored, those after it are not read.
        EncoderUnavailableError
            If the index has no encoder.
        IndexLockedError
            If another writer is at work.
        StorageUnavailableError
            On a full disk or read-only folder; everything committed before stays.
        """
        return self._add(documents, source, on_taken=on_taken)

    def upsert(
        self,
        documents: Iterable[Mapping[str, Any]],
        *,
        source: str | None = None,
        ahead: EncodedAhead | None = None,
    ) -> int:
        """Add documents, each replacing the one with its id, if any; see `add`.

        A replaced document and its replacement change places in one commit. The new one counts as
        the latest in insertion order. Where its title and text are those of the old one, a model
        does not read them again, so changing other fields takes little time. (To have it read them
        all the same, delete the document first.)

        Parameters
        ----------
        documents, source
            As in `add`.
        ahead : EncodedAhead, optional
            What `encode_ahead` made of these documents.

        Raises
        ------
        InvalidInputError
            If `ahead` was made of other texts; nothing of the batch that holds one is stored.
        """
        return self._add(documents, source, replace=True, ahead=ahead)

    def encode_ahead(self, documents: Iterable[Mapping[str, Any]]) -> EncodedAhead | None:
        """Return what the encoder's model makes of documents, to be given to `upsert`.

        That takes most of the time of adding them, where their texts are not stored as they are. It
        needs no lock, so others can write meanwhile; any thread may do it.

        Returns
        -------
        EncodedAhead or None
            None where the encoder has no model, and nothing takes long.

        Raises
        ------
        InvalidDocumentError
            At the first bad document.
        EncoderUnavailableError
            If the index has no encoder.
        """
        records = check_documents(documents, passage_length=self.config.passage_length)
        stored = [part for record in records for part in record.stored]
        made = encode_changed(self._terms.encoder, self._snapshot, stored, self._is_sound)
        return None if made is None else EncodedAhead.of(stored, made)

    def _add(
        self,
        documents: Iterable[Mapping[str, Any]],
        source: str | None,
        *,
        replace: bool = False,
        on_taken: OnTaken | None = None,
        ahead: EncodedAhead | None = None,
    ) -> int:
        if source is not None:
            _check_source(source)
        with self._writing() as writer:
            feed = None if ahead is None else AheadFeed(ahead, self._encode)
            return writer.add(
                check_documents(documents, passage_length=self.config.passage_length),
                self._encode if feed is None else feed.vectors,
                batch=MODEL_BATCH_DOCUMENTS if self.reads_with_model else BATCH_DOCUMENTS,
                replace=replace,
                source=source,
                on_taken=on_taken,
            )

    def add_vectors(
        self,
        ids: Sequence[str],
        vectors: SparseVectors,
        documents: Sequence[Mapping[str, Any]] | None = None,
        *,
        replace: bool = False,
    ) -> int:
        """Add documents by their vectors, from any model.

        Parameters
        ----------
        ids : sequence of str
        vectors : SparseVectors
            One row an id, weights not negative. With a vocabulary, terms are matched by their
            strings; without one, by their ids: an index holds one kind or the other.
        documents : sequence of mapping, optional
            Fields to store with each, as in `add`; an ``id`` among them is ignored.
        replace : bool
            Replace documents of the same ids instead of refusing the new ones.

        Raises
        ------
        InvalidVectorError
            If a weight is negative; nothing is added.
        VocabularyMismatchError
            If the index is of the other kind, or its encoder makes its vectors from text.
        InvalidDocumentError
            If a document is malformed; nothing is added.
        DuplicateIdError
            As in `add`: those before it are stored.
        """
        return self._add_vectors([(ids, vectors, documents)], replace, None)

    def add_vector_batches(
        self, batches: Iterable[VectorBatch], *, source: str | None = None, replace: bool = False
    ) -> int:
        """Add the records of files of vectors, such as `read_json_vectors` reads.

        They are committed in portions, as in `add`, so any number can be given.

        Parameters
        ----------
        batches : iterable of VectorBatch
            All with a vocabulary or all without. Contents become the text of a document, metadata
            its other fields.
        source, replace
            As in `add` and `add_vectors`. Positions in errors are counted from the first batch; of
            a batch with a malformed document nothing is added.

        Returns
        -------
        int
            How many were added.
        """
        if source is not None:
            _check_source(source)
        return self._add_vectors(given_batches(batches), replace, source)

    def _add_vectors(self, batches: Iterable[Given], replace: bool, source: str | None) -> int:
        if self.config.passage_length is not None:
            reason = "the index cuts texts into passages, which vectors of whole texts do not fit"
            raise InvalidInputError(f"{reason}; add the texts, or make an index without passages")
        with self._writing() as writer:
            before = writer.snapshot

            def translate(vectors: SparseVectors, first: bool) -> SparseVectors:
                return self._terms.for_documents(vectors, before if first else None)

            feed = VectorFeed(batches, translate)
            return writer.add(feed.records(), feed.vectors, replace=replace, source=source)

    def delete(self, ids: Iterable[str], *, missing_ok: bool = False) -> int:
        """Delete documents; return how many.

        Raises
        ------
        DocumentNotFoundError
            If an id is unknown and `missing_ok` is false; then nothing is deleted.
        """
        if not isinstance(ids, Iterable):
            raise InvalidInputError(f"ids must be strings, not {shorten(ids)}")
        given = [ids] if isinstance(ids, str) else list(ids)
        for document_id in given:
            if not isinstance(document_id, str):
                raise InvalidInputError(f"an id must be a string, not {shorten(document_id)}")
        with self._writing() as writer:
            return writer.delete(given, missing_ok=missing_ok)

    def delete_matching(self, filter: Mapping[str, Any]) -> int:
        """Delete all documents that meet a condition on metadata, in one commit; return how many.

        Parameters
        ----------
        filter : mapping
            As in `search`: ``{"handbook": "travel"}`` for all parts of one.

        Raises
        ------
        FilterError
            If the filter is malformed or names a field that no document has; nothing is deleted.
        """
        if not isinstance(filter, Mapping):
            raise FilterError(f"a filter must be a mapping, not {shorten(filter)}")
        with self._writing() as writer:
            return writer.delete_matching(filter)

    def optimize(self) -> None:
        """Merge segments, drop deleted documents, and bring all weights up to date.

        Searches get faster and the folder smaller. Never needed for correct results.
        """
        with self._writing() as writer:
            writer.optimize()

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep all other writers out while this block runs, for calls that belong together.

        Otherwise another process may write between two calls, between looking whether an id is
        taken and adding it, say. Starts by moving on to the last committed state.

        Raises
        ------
        IndexLockedError
            If another writer is at work.
        IndexReplacedError
            If the folder was moved, removed or replaced since the index was opened.
        """
        with self._guard:
            if self._locked_by is not None:  # this very thread, which holds the guard
                if self._is_writing:  # documents that are being added must not write themselves
                    raise IndexLockedError(f"{self.path}: another writer is at work: this thread's")
                yield
                return
            self._catalog.check_place()  # before a lock file is made in somebody else's folder
            with writer_lock(self.path):
                self._locked_by = threading.get_ident()
                try:
                    self.refresh()
                    yield
                finally:
                    self._locked_by = None

    @contextmanager
    def merging_in_background(self) -> Iterator[BackgroundMerger]:
        """Let a thread merge segments while this block runs, so that writing calls need not.

        A writing call then returns as soon as its documents are stored and visible, which is what a
        service wants; only when the thread cannot keep up do writing calls help. Leaving the block
        waits for the merge at hand.

        Raises
        ------
        IndexLockedError
            If another process, or another `Index` object, merges this index in the background, or
            in a block of `locked`, where nobody else could merge.
        IndexCorruptError
            On leaving the block, if a damaged segment was met.
        """
        if self._locked_by == threading.get_ident():
            reason = "cannot be merged in the background while this thread keeps all others out"
            raise IndexLockedError(f"{self.path}: {reason}")
        self._catalog.check_place()
        with cleaner_lock(self.path) as mine:
            if not mine:
                reason = f"{self.path}: another process merges its segments in the background"
                raise IndexLockedError(reason)
            self._merger = merger = BackgroundMerger(self._merge_once)
            try:
                yield merger
            finally:
                merger.stop()
                self._merger = None

    def snapshot(self, path: str | PathLike[str]) -> None:
        """Make a consistent copy of the last committed state, while writing may go on.

        The copy is an index of its own. Its segment files are hard links where the file system
        allows, so it takes next to no space or time.

        Parameters
        ----------
        path : str or PathLike
            Folder to make; it may exist if it is empty. It appears whole or not at all.

        Raises
        ------
        IndexExistsError
            If there is something at that path.
        InvalidInputError
            If it lies in the index itself.
        StorageUnavailableError
            On a full disk or a folder that cannot be written.
        """
        copy_index(self._catalog, self._files, as_path(path))

    def source_progress(self, source: str) -> SourceProgress | None:
        """Return how much of a named source is stored, or None if it is unknown."""
        _check_source(source)
        return self._catalog.source(source)

    def set_source_progress(self, source: str, progress: SourceProgress) -> None:
        """Tell how much of a source is stored, where it was not `add` that stored all of it.

        Raises
        ------
        InvalidInputError
            If `source` cannot be the name of one, or `progress` is none.
        """
        _check_source(source)
        if not isinstance(progress, SourceProgress):
            raise InvalidInputError(f"progress is {shorten(progress)}, not a SourceProgress")
        with self._writing() as writer:
            writer.remember(source, progress)

    def forget_sources(self) -> None:
        """Forget how much of each source is stored: who adds one again is to read all of it."""
        with self._writing() as writer:
            writer.forget_sources()

    def tune(
        self,
        queries: Sequence[str] | SparseVectors | None = None,
        k: int = 10,
        *,
        progress: Progress | None = None,
    ) -> Tuning:
        """Measure, on this index, how much effort each recall takes, and remember it.

        Parameters
        ----------
        queries : sequence of str, or SparseVectors, optional
            As they will be asked; some hundreds. By default, the heaviest terms of some of the
            index's own documents, 32 of each, and 8 heavy ones for searches with short queries:
            better than nothing, but real queries are better.
        k : int
            Hits that will be asked for; for more, the same effort gives less recall.
        progress : callable, optional
            Called with the number of settings measured and of all, after each.

        Returns
        -------
        Tuning
            From now on `search` uses it for ``recall=``, in this process and, once they refresh,
            in others.

        Raises
        ------
        InvalidQueryError
            If there is nothing to measure: no documents, no query, or an index of words, which is
            always searched exactly.
        """
        snapshot = self._snapshot
        samples: Sequence[SparseVectors]
        if queries is None:
            samples = sample_queries(snapshot)
        else:
            samples = [self._terms.for_queries(queries, snapshot)]
        tuning = measure(snapshot, samples, k, self.config.max_code, progress)
        with self.locked():
            self._catalog.put_setting(TUNING, tuning.to_json())
            self.refresh()
        return tuning

    def relocate_encoder(self, source: str | PathLike[str]) -> None:
        """Remember where the model lies now that the index was made with.

        From now on the index finds it there, in this process and, once they refresh or open it, in
        others.

        Parameters
        ----------
        source : str or PathLike
            Folder of the model, or its name on the hub. What counts are its files.

        Raises
        ------
        EncoderUnavailableError
            If the index has no encoder, or there is no model, or another than it was made with.
        InvalidInputError
            If its encoder is none that `Encoder.load` made of a folder or name.
        """
        with self.locked():
            self._catalog.put_setting("encoder", self._terms.moved(source))
            self.refresh()

    # ---------------------------------------------------------------------------------------------

    @contextmanager
    def _writing(self) -> Iterator[Writer]:
        """Hold the writer lock on the newest state; every commit is shown at once."""
        with self.locked():
            # A call before this one, under the same lock, may have failed after its commit.
            self.refresh()
            self._is_writing = True
            try:
                writer = self._writer()
                writer.clean()
                yield writer
            finally:
                self._is_writing = False
                self._terms.discard_uncommitted(self._snapshot)

    def _writer(self) -> Writer:
        merger = self._merger
        store = Store(
            self._catalog, self._files, self.config, self._terms, self._publish,
            merges_later=merger is not None and merger.is_working,
        )  # fmt: skip
        return Writer(store, self._snapshot)

    def _publish(self, snapshot: Snapshot) -> None:
        self._snapshot = snapshot
        merger = self._merger
        if merger is not None:
            merger.notify()

    def _merge_once(self) -> bool:
        """Do the merge that the policy asks for first; others wait only for its commit."""
        try:
            merged = self._writer().merge_next()
        except FileNotFoundError:
            self._catalog.check_place()  # the folder was moved while it was written to
            raise
        if merged is None:
            return False
        with self._writing() as writer:
            writer.commit_merged(merged)
            writer.remove_leftovers()
        return True

    @cached_property
    def _sound(self) -> dict[StoredSegment, bool]:
        return {}

    def _is_sound(self, segment: StoredSegment) -> bool:
        """Whether a segment is undamaged; it is read once."""
        if segment not in self._sound:
            self._sound[segment] = not self._files.verify(segment)
        return self._sound[segment]

    def _encode(
        self, records: Sequence[Record], ahead: SparseVectors | None = None
    ) -> SparseVectors:
        if ahead is None:
            ahead = encode_changed(self._terms.encoder, self._snapshot, records, self._is_sound)
        return self._terms.encode_documents([record.content for record in records], ahead)


def _check_source(source: object) -> None:
    """Raise InvalidInputError if this cannot be the name of a source."""
    if not isinstance(source, str) or not source:
        reason = f"a source's name must be a string that is not empty, not {shorten(source)}"
        raise InvalidInputError(reason)
    if not is_unicode(source):
        raise InvalidInputError(f"the source's name {shorten(source)} is not valid Unicode")
