"""
The file of a SQLite database, which may be deleted or replaced while it is open.

SQLite does not mind: it reads and writes on what it has opened, which by then is in no
folder, and gone with the process. So nobody is told that something was written before
the path was seen to lead to what it was written to.

* Whatever is not to make a database makes no file either: a path that leads nowhere is
  an outage, and no empty database.
* Another file at the path is opened; what was there before is left to itself.
* A log that was deleted is not made anew while its database is the same: processes
  beside this one may still write to the old one, and two logs are a database's end.
  A stop moves what it holds into the database.
"""

from __future__ import annotations

import errno
import os
import sqlite3
import time
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from typing import Any

# Seconds between two looks at the path, for whoever only reads.
LOOK_EVERY = 0.05

NEVER = float("-inf")

Identity = tuple[int, int]
"""The device and the number of a file: of no other as long as it is open."""


class Missing(FileNotFoundError):
    """The database, or the log beside it, is not there."""

    def __str__(self) -> str:
        return f"there is no file {self.filename}"


class Empty(Missing):
    """Somebody has yet to fill it, or to migrate it."""

    def __str__(self) -> str:
        return f"there is nothing in the file {self.filename}"


class File:
    """
    Where the database is, and which file that was when it was opened.

    :param create: whether it is made where it is not there.
    """

    def __init__(self, path: str, *, create: bool = False) -> None:
        self._path = os.fspath(Path(path).absolute())
        self._create = create
        self._log = ""
        self._opened: Identity | None = None
        self._opened_log: Identity | None = None
        self._seen_at = NEVER

    def must_hold(self, tables: Iterable[object]) -> None:
        """
        :raises Empty: there are none, and it is not for us to make them.
        """
        if not (self._create or any(tables)):
            raise Empty(errno.ENODATA, os.strerror(errno.ENODATA), self._path)

    @property
    def uri(self) -> str:
        mode = "rwc" if self._create else "rw"
        return f"{Path(self._path).as_uri()}?mode={mode}"

    def connect(self, **options: Any) -> sqlite3.Connection:
        """
        :raises Missing: unless it is to be made.
        """
        if self._create:
            self._make()
        else:
            # SQLite would say that it cannot open it, and not why.
            _identity(self._path)
        connection: sqlite3.Connection
        connection = sqlite3.connect(
            self.uri, uri=True, isolation_level=None, **options
        )
        return connection

    def _make(self) -> None:
        """
        For its owner only: SQLite itself would let everybody on the machine read.

        Never opened where it is there: to close it ends whatever locks this process
        holds on it (https://sqlite.org/howtocorrupt.html, 2.2).
        """
        if _if_there(self._path) is None:
            os.close(os.open(self._path, os.O_RDONLY | os.O_CREAT, 0o600))

    def find(self) -> Identity:
        """Which file can be opened now; raises what opening it raises."""
        with closing(self.connect()):
            return _identity(self._path)

    def opened(self, found: Identity) -> None:
        """
        It was opened after it was found.

        :raises OSError: and was replaced in between.
        """
        self._log = self._beside()
        self._opened, self._opened_log = found, None
        self.check()

    def check(self) -> None:
        """
        :raises OSError: the path does not lead to what is open, or its log is gone.
        """
        self._seen_at = NEVER
        if _identity(self._path) != self._opened:
            raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), self._path)
        # A new database has no log before its first statement.
        self._opened_log = self._opened_log or _if_there(self._log)
        if self._opened_log and _if_there(self._log) != self._opened_log:
            # Perhaps the folder has another name by now.
            self._log = self._beside()
            if _identity(self._log) != self._opened_log:
                raise OSError(errno.ESTALE, os.strerror(errno.ESTALE), self._log)
        self._seen_at = time.monotonic()

    def _beside(self) -> str:
        """SQLite puts the log beside the file, and not beside a link to it."""
        return f"{os.path.realpath(self._path)}-wal"

    def is_there(self) -> bool:
        """Whether it was found as it was opened, now or a moment ago."""
        if time.monotonic() - self._seen_at < LOOK_EVERY:
            return True
        try:
            self.check()
        except OSError:
            return False
        return True

    def is_another(self) -> bool:
        """Whether the path leads to another file by now, or to none."""
        return _if_there(self._path) != self._opened


def _identity(path: str) -> Identity:
    try:
        found = os.stat(path)  # noqa: PTH116  `Path` takes half as long again.
    except FileNotFoundError as error:
        raise Missing(*error.args, path) from None
    return found.st_dev, found.st_ino


def _if_there(path: str) -> Identity | None:
    try:
        return _identity(path)
    except OSError:
        return None
