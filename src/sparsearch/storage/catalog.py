"""The catalog: one small SQLite file whose transactions are the commits of an index.

Everything large lives in segment folders; the catalog holds which segments make up the index, which
of their documents are deleted, the vocabulary, the settings and how far interrupted sources got.
Each commit raises the generation and stores a digest over the whole state, by which every reading
finds altered rows that SQLite itself would not notice.
"""

from __future__ import annotations

import sqlite3
import threading
import weakref
from collections.abc import Mapping, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from sparsearch.errors import (
    IndexCorruptError,
    IndexNotFoundError,
    IndexReplacedError,
    IndexVersionError,
)
from sparsearch.storage.connection import (
    BUSY_SECONDS,
    Result,
    Work,
    connect,
    file_identity,
    has_log,
    read_only_state,
    transact,
)
from sparsearch.storage.faults import storage_faults
from sparsearch.storage.integrity import check_digest
from sparsearch.storage.tables import (
    CatalogState,
    Changes,
    SourceProgress,
    create_tables,
    read_generation,
    read_settings,
    read_source,
    read_state,
    read_terms,
    report_damage,
    write_changes,
    write_generation,
    write_setting,
)

__all__ = ["CATALOG_NAME", "FORMAT_VERSION", "Catalog"]

FORMAT_VERSION = 1
"""Version written; an index of a higher version is refused."""

OLDEST_READABLE_VERSION = 1
_READ_ONLY_ATTEMPTS = 20
KNOWN_FEATURES: frozenset[str] = frozenset()
"""Features an index may require of its reader; unknown ones are refused."""

CATALOG_NAME = "catalog.sqlite"
_PATIENCE_MS = 200


class Catalog:
    """The catalog of one index folder; threads may share it.

    Parameters
    ----------
    folder : Path
        The index folder.

    Raises
    ------
    IndexNotFoundError
        If the folder holds no index.
    IndexVersionError
        If the index was written by a newer sparsearch, or needs a feature this one lacks.
    IndexCorruptError
        If its contents were altered; every method raises this then.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.path = folder / CATALOG_NAME
        with storage_faults(folder):
            found = self.path.is_file()
        if not found:
            raise IndexNotFoundError(f"{folder} holds no index; create one with Index.create")
        self._identity = file_identity(self.path)
        self._guard = threading.RLock()
        self._closed = False
        with storage_faults(folder):
            self._read_only_state = read_only_state(self.path)
            self._connection = self._connect()
        try:
            self.reload_settings()
            _check_version(folder, self.settings)
            self._transact(check_digest)
        except BaseException:
            self._connection.close()
            raise

    @classmethod
    def create(cls, folder: Path, settings: Mapping[str, object], terms: Sequence[str]) -> Catalog:
        """Write a new, empty catalog; all of it becomes visible in one transaction."""
        settings = {"format_version": FORMAT_VERSION, "features": [], **settings}
        with storage_faults(folder):
            connection = connect(folder / CATALOG_NAME, create=True)
            try:
                connection.execute("PRAGMA journal_mode = WAL")
                # A killed creator may have left an empty file behind; a finished one is refused.
                transact(connection, "IMMEDIATE", lambda new: create_tables(new, settings, terms))
            finally:
                connection.close()
        return cls(folder)

    def _connect(self) -> sqlite3.Connection:
        """Open the file; who forgets to close a catalog has it closed with the last reference."""
        self._makeshift = False
        try:
            connection = connect(self.path)
        except sqlite3.OperationalError as error:
            # On a full disk there is no room for what SQLite shares between processes.
            if "disk" not in str(error) or has_log(self.path):
                raise
            connection = connect(self.path, immutable=True)
            self._makeshift = True
        weakref.finalize(self, connection.close)
        return connection

    def close(self) -> None:
        """Close the file."""
        self._closed = True
        self._connection.close()

    def check_place(self) -> None:
        """Make sure that the catalog at its path is the one that was opened.

        The connection follows the file wherever it goes, but segments and locks are found by their
        paths: a writer would take those of another index for leftovers of its own.

        Raises
        ------
        IndexReplacedError
            If the folder was moved, removed or replaced.
        """
        if file_identity(self.path) != self._identity:
            reason = (
                f"{self.folder}: the index that was opened here was moved, removed or replaced by "
                "another; open what is there now"
            )
            if not self.folder.is_absolute():
                reason += "; if the working folder was changed, open it by its whole path"
            raise IndexReplacedError(reason)

    def generation(self) -> int:
        """Return the number of the last commit; cheap, for readers that poll.

        Raises
        ------
        IndexReplacedError
            If the folder was moved, removed or replaced.
        """
        self.check_place()
        return self._transact(read_generation)

    def state(self) -> CatalogState:
        """Return the state as of the last commit, read in one transaction."""
        return self._transact(read_state)

    def terms(self, start: int, stop: int) -> list[str]:
        """Return the vocabulary's terms with ids in ``[start, stop)``."""
        return self._transact(lambda connection: read_terms(connection, start, stop))

    def source(self, name: str) -> SourceProgress | None:
        """Return how far a source got, or None if it was never indexed."""
        return self._transact(lambda connection: read_source(connection, name))

    def commit(self, changes: Changes) -> None:
        """Make a new state visible to everyone who reads the catalog from now on.

        Raises
        ------
        IndexReplacedError
            If the folder was moved, removed or replaced.
        StorageUnavailableError
            If the disk is full or read-only; the last commit stays in force.
        """
        self._commit(lambda connection: write_changes(connection, changes))

    def put_setting(self, key: str, value: object) -> None:
        """Set a setting that may change, in a commit of its own.

        Raises
        ------
        StorageUnavailableError
            If the disk is full or read-only; the last commit stays in force.
        """
        self._commit(lambda connection: write_setting(connection, key, value))

    def _commit(self, write: Work[None]) -> None:
        """Make what is written the next generation, in one transaction."""
        self.check_place()

        def write_all(connection: sqlite3.Connection) -> None:
            generation = read_generation(connection)
            write(connection)
            write_generation(connection, generation + 1)

        self._transact(write_all, "IMMEDIATE")
        self._empty_log()

    def copy(self, folder: Path) -> None:
        """Write the last committed state as the catalog of another folder."""
        self.check_place()
        with self._guard, storage_faults(folder):
            self._keep_up()
            with closing(connect(folder / CATALOG_NAME, create=True)) as target:
                self._connection.backup(target)

    def reload_settings(self) -> None:
        """Take over settings that others have changed."""
        settings = self._transact(read_settings)
        if settings is None:
            raise IndexNotFoundError(f"{self.folder}: the index was never finished")
        self.settings = settings

    def _empty_log(self) -> None:
        """Move the commit from SQLite's log into its file, unless a reader is in the way.

        The file is small, and by itself it is covered by a digest; of a damaged log SQLite would
        drop the end without a word.
        """
        with self._guard, storage_faults(self.folder):
            self._connection.execute(f"PRAGMA busy_timeout = {_PATIENCE_MS}")
            # On a full disk the commit stays in the log, where it is as durable; the next one tries
            # again. It must not be called failed, or it would be made twice.
            with suppress(sqlite3.OperationalError):
                self._connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
            self._connection.execute(f"PRAGMA busy_timeout = {round(1000 * BUSY_SECONDS)}")

    def problems(self) -> list[str]:
        """Check the whole file, long values included; return what is wrong, one line each."""
        try:
            self.generation()
            # Anew: the open connection may remember pages as they were before the damage.
            with closing(Catalog(self.folder)) as fresh:
                report = fresh._transact(report_damage)
        except (IndexCorruptError, IndexNotFoundError, IndexVersionError) as error:
            return [str(error)]
        return [f"{self.path}: {line}" for line in report if line != "ok"]

    def _transact(
        self, work: Work[Result], kind: str = "DEFERRED", attempts: int = _READ_ONLY_ATTEMPTS
    ) -> Result:
        """Run one transaction, one thread at a time; what goes wrong becomes a typed error."""
        with self._guard, storage_faults(self.folder):
            try:
                self._keep_up()
                return transact(self._connection, kind, work)
            except (IndexCorruptError, sqlite3.DatabaseError) as error:
                # A file that is read-only from here is read without locks, so that a commit of
                # others may have come in between.
                changed = read_only_state(self.path) != self._read_only_state
                if not changed or attempts == 1:
                    if isinstance(error, IndexCorruptError):
                        reason = f"{self.path}: {error}; restore it from a backup"
                        raise IndexCorruptError(reason) from None
                    raise
        return self._transact(work, kind, attempts - 1)

    def _keep_up(self) -> None:
        """Connect anew where others may have changed a file that is read-only from here."""
        if file_identity(self.path) != self._identity:
            return  # another file, which has nothing to do with this one
        state = read_only_state(self.path)
        if (state != self._read_only_state or self._makeshift) and not self._closed:
            self._connection.close()
            self._connection = self._connect()
            self._read_only_state = state


def _check_version(folder: Path, settings: Mapping[str, Any]) -> None:
    version = settings.get("format_version")
    if not isinstance(version, int) or version < OLDEST_READABLE_VERSION:
        raise IndexVersionError(f"{folder}: unknown index format {version!r}")
    if version > FORMAT_VERSION:
        raise IndexVersionError(
            f"{folder}: index format {version} is newer than {FORMAT_VERSION}, the newest this "
            "sparsearch reads; upgrade sparsearch"
        )
    unknown = set(settings.get("features", [])) - KNOWN_FEATURES
    if unknown:
        raise IndexVersionError(
            f"{folder}: the index needs features this sparsearch lacks "
            f"({', '.join(sorted(map(str, unknown)))}); upgrade sparsearch"
        )
