"""`hefu check`: what is wrong, a line for each finding, and how to mend it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from asyncpg import ClientConfigurationError

from hefu.settings import BadSettings, Settings, unknown
from models import AuditEvent, IdentitySource, database, migrating, outages
from models.address import Address
from models.backends.file import Missing
from models.migrating import Standing
from models.replica import PassedOver, Replica
from services.assembly import Services, assemble
from services.clock import now
from services.connection_checks import ConnectionCheckStatus
from services.connection_test import Report
from services.keys import NoKey
from services.vault import CannotOpen, Vault

# A clock that is further off refuses states and tokens that are good.
CLOCKS_APART = timedelta(seconds=5)

# Asked and not tried: this role need not be the one that may make tables.
_POSTGRES = """
SELECT pg_is_in_recovery() AS standby,
    current_setting('transaction_read_only') = 'on' AS refusing,
    current_schema() IS NULL AS shut,
    (SELECT string_agg(relname, ', ' ORDER BY relname) FROM pg_class
    WHERE pg_table_is_visible(oid) AND relkind IN ('r', 'p')
    AND relname = ANY($1::text[]) AND NOT (
        has_table_privilege(oid, 'SELECT') AND has_table_privilege(oid, 'INSERT')
        AND has_table_privilege(oid, 'UPDATE') AND has_table_privilege(oid, 'DELETE')
    )) AS denied
"""

GRANT = (
    "Grant the role in HEFU_DATABASE_URL what it needs on the schema and its tables:"
    " docs/operations.md."
)


@dataclass(frozen=True, slots=True)
class Finding:
    """
    What was looked at, whether it is well, and the fix where it is not.

    What is well and has a fix all the same is a warning: it keeps nothing from working.
    """

    about: str
    well: bool
    text: str
    fix: str | None = None

    def __str__(self) -> str:
        mark = ("warn" if self.fix else "ok") if self.well else "FAIL"
        line = f"{mark:5}{self.about}: {_one_line(self.text)}"
        return f"{line} -> {_one_line(self.fix)}" if self.fix else line


def _one_line(text: str) -> str:
    """A driver may say its error in several, and one finding is one line."""
    return " ".join(text.split())


class _Undone(Exception):
    """Ends a transaction that is to leave nothing behind."""


async def findings(environ: Mapping[str, str]) -> AsyncGenerator[Finding]:
    """Look at everything, in an order in which nothing needs what comes after it."""
    for name, alike in unknown(environ).items():
        fix = (
            f"is {alike} meant?" if alike else "take it away, if it was meant for Hefu"
        )
        yield Finding("settings", True, f"{name} is none of Hefu's", fix)
    try:
        settings = Settings.from_environ(environ)
    except BadSettings as error:
        for problem in error.problems:
            yield Finding("settings", False, problem, "set it and check again")
        return
    yield Finding("settings", True, "all can be read")
    # Before it is opened, which does not tell why it cannot be.
    if missing := _file(Address.parse(settings.database_url)):
        yield missing
        return
    async with database.opened(settings.database_url):
        try:
            async for finding in _inside(settings):
                yield finding
        except database.DatabaseUnavailable as error:
            yield _silent("database", "HEFU_DATABASE_URL", error)


async def _inside(settings: Settings) -> AsyncGenerator[Finding]:
    yield (answering := await _database())
    if not answering.well:
        return
    if settings.replica_url:
        yield await _replica(settings.replica_url)
    yield (migrated := await _migrations())
    if not migrated.well:
        return
    services = assemble(
        settings.policy,
        vault=Vault(settings.secret_keys),
        wecom_url=settings.wecom_url,
        wecom_timeout=settings.wecom_timeout,
    )
    try:
        yield await _keys(services)
        yield await _clock()
        async for source in IdentitySource.filter(enabled=True).order_by("id"):
            report = await services.connection_test.report(source)
            yield _source(source.identifier, report)
    finally:
        await services.close()


def _file(address: Address) -> Finding | None:
    """What keeps a SQLite file from being opened, if anything does."""
    if address.dialect != "sqlite":
        return None
    path = Path(address.credentials["file_path"]).absolute()
    try:
        path.open("rb").close()
    except FileNotFoundError:
        text = f"the file {path} is not there"
        fix = "is HEFU_DATABASE_URL right? `hefu migrate` makes a new one"
        return Finding("database", False, text, fix)
    except OSError as error:
        text = f"the file {path} cannot be opened ({error.strerror})"
        fix = "is HEFU_DATABASE_URL right, and this the service's user?"
        return Finding("database", False, text, fix)
    return None


async def _database() -> Finding:
    began = time.perf_counter()
    try:
        await database.fetch("SELECT 1")
    except database.DatabaseUnavailable as error:
        return _silent("database", "HEFU_DATABASE_URL", error)
    milliseconds = (time.perf_counter() - began) * 1000
    return await _writing() or Finding(
        "database", True, f"answers in {milliseconds:.0f} ms"
    )


async def _writing() -> Finding | None:
    """What is wrong where it answers and takes no writes: no login works then."""
    if database.dialect() == "postgres":
        return await _postgres_writing()
    try:
        with suppress(_Undone):
            async with database.transaction():
                await database.fetch("CREATE TABLE hefu_check (tried INTEGER)")
                raise _Undone
    except database.DatabaseUnavailable as error:
        return Finding(
            "database",
            False,
            f"takes no writes ({_said(error)})",
            "may this user write the file and its folder, and is the disk writable?",
        )
    return None


async def _postgres_writing() -> Finding | None:
    row = await database.fetch_one(_POSTGRES, [*outages.tables()])
    if row and row["standby"]:
        text, fix = "it is a standby", "name the primary in HEFU_DATABASE_URL"
    elif row and row["refusing"]:
        text = "transaction_read_only is on"
        fix = "set default_transaction_read_only = off, for the server, database, role"
    elif row and row["shut"]:
        text = "no schema of the search_path is there and may be used"
        return Finding("database", False, text, GRANT)
    elif row and row["denied"]:
        text = f"this role may not read and write {row['denied']}"
        return Finding("database", False, text, GRANT)
    else:
        return None
    return Finding("database", False, f"takes no writes ({text})", fix)


def _silent(about: str, setting: str, error: database.DatabaseUnavailable) -> Finding:
    """Whoever runs this knows the address, and needs to know what it said."""
    if isinstance(error.__cause__, ClientConfigurationError):
        fix = f"name the file in {setting}: sslrootcert="
    elif isinstance(error.__cause__, Missing):
        fix = "run `hefu migrate`"
    elif outages.is_denied(error.__cause__ or error):
        return Finding(
            about, False, f"refuses this role something ({_said(error)})", GRANT
        )
    elif database.dialect() == "sqlite":
        fix = f"is it a database, and {setting} right?"
    else:
        fix = f"is it up, and {setting} right?"
    return Finding(about, False, f"does not answer ({_said(error)})", fix)


def _said(error: database.DatabaseUnavailable) -> str:
    return f"{type(error.__cause__).__name__}: {error.__cause__}"


async def _replica(url: str) -> Finding:
    replica = Replica(url)
    try:
        behind = await replica.behind()
    except database.DatabaseUnavailable as error:
        return _silent("replica", "HEFU_REPLICA_URL", error)
    except PassedOver:
        return Finding(
            "replica",
            False,
            "does not follow the primary",
            "name one of its streaming replicas in HEFU_REPLICA_URL",
        )
    finally:
        await replica.close()
    return Finding("replica", True, f"{behind:.1f} s behind")


async def _migrations() -> Finding:
    missing = await migrating.pending()
    if missing:
        names = ", ".join(missing)
        return Finding("migrations", False, f"missing: {names}", "run `hefu migrate`")
    if await migrating.standing() is Standing.TOO_NEW:
        return Finding(
            "migrations",
            False,
            "the database is of a newer major version",
            "install that version of Hefu",
        )
    return Finding("migrations", True, "up to date")


async def _keys(services: Services) -> Finding:
    try:
        await services.keys.signing()
        await services.keys.deriving()
    except CannotOpen:
        return Finding(
            "keys",
            False,
            "those in the database were sealed under another HEFU_SECRET_KEYS",
            "add the key of before to HEFU_SECRET_KEYS, after the first",
        )
    except NoKey:
        return Finding("keys", False, "there are none", "run `hefu migrate`")
    return Finding("keys", True, "signing and deriving")


async def _clock() -> Finding:
    there = await _time_elsewhere()
    ahead = there - now() if there else timedelta()
    fix = "set this machine's clock by NTP"
    if abs(ahead) > CLOCKS_APART and database.dialect() == "postgres":
        seconds = abs(ahead).total_seconds()
        return Finding("clock", False, f"{seconds:.0f} s off the database's", fix)
    if ahead > CLOCKS_APART:
        return Finding("clock", False, "the newest event lies in the future", fix)
    return Finding("clock", True, f"{now():%Y-%m-%d %H:%M:%S} UTC")


async def _time_elsewhere() -> datetime | None:
    """The database server's; a file has none, but events that were written before."""
    if database.dialect() == "postgres":
        row = await database.fetch_one("SELECT clock_timestamp() AS now")
        return row["now"] if row else None
    newest = await AuditEvent.all().order_by("-occurred_at").first()
    return newest.occurred_at if newest else None


def _source(identifier: str, report: Report) -> Finding:
    failed = [
        check for check in report.checks if check.status is ConnectionCheckStatus.FAIL
    ]
    if not failed:
        return Finding(f"source {identifier}", True, "WeCom takes its credentials")
    text = " ".join(check.message for check in failed)
    fix = " ".join(check.hint for check in failed if check.hint)
    return Finding(f"source {identifier}", False, text, fix or None)
