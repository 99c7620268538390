"""`hefu backup`: a consistent copy of a SQLite database while it serves."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from models.address import Address


class CannotBackUp(Exception):
    """The text says why, and what to do instead."""


def copy(database_url: str, target: Path) -> int:
    """
    Copy the database, whole and checked, or leave nothing behind.

    The copy holds every secret that the database holds: it is readable by its owner
    only.

    :returns: the bytes of the copy.
    :raises CannotBackUp: the target exists, cannot be written, or PostgreSQL is used.
    """
    address = Address.parse(database_url)
    if address.dialect != "sqlite":
        raise CannotBackUp(
            "This copies SQLite databases. For PostgreSQL use pg_dump, or the backups "
            "of whoever runs it: see docs/operations.md."
        )
    source = Path(address.credentials["file_path"]).absolute()
    try:
        if not source.is_file():
            raise CannotBackUp("There is no database yet: is HEFU_DATABASE_URL right?")
        if target.exists():
            raise CannotBackUp(f"{target} exists, and is not overwritten.")
    except OSError as error:
        raise CannotBackUp(f"It cannot be looked at: {error}") from error
    part = target.with_name(target.name + ".part")
    try:
        os.close(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        _copy(source, part)
        part.rename(target)
        _keep_name(target.parent)
    except FileExistsError:
        raise CannotBackUp(f"{part} exists: is another backup under way?") from None
    except (OSError, sqlite3.Error) as error:
        part.unlink(missing_ok=True)
        raise CannotBackUp(f"The copy failed: {error}") from error
    return target.stat().st_size


def _copy(source: Path, part: Path) -> None:
    reading = sqlite3.connect(f"{source.as_uri()}?mode=ro", uri=True, timeout=30)
    writing = sqlite3.connect(part, isolation_level=None)
    try:
        # In one step, and so from one snapshot: in several it would begin anew
        # whenever the server writes in between.
        reading.backup(writing)
        # Or a copy that is opened to be looked at would grow files beside it.
        writing.execute("PRAGMA journal_mode = DELETE")
        (verdict,) = writing.execute("PRAGMA integrity_check").fetchone()
        if verdict != "ok":
            raise sqlite3.DatabaseError("the copy is not sound")
    finally:
        writing.close()
        reading.close()
    with part.open("rb+") as file:
        os.fsync(file.fileno())


def _keep_name(folder: Path) -> None:
    """A renamed file survives a power cut once its folder is written too."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
