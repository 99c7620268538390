"""`hefu check`: what is wrong, a line for each finding, and how to mend it."""

from __future__ import annotations

import time
from collections.abc import AsyncGenerator, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta

from hefu.settings import BadSettings, Settings
from models import AuditEvent, IdentitySource, database, migrating
from models.replica import PassedOver, Replica
from services.assembly import Services, assemble
from services.clock import now
from services.connection_checks import ConnectionCheckStatus
from services.connection_test import Report
from services.vault import CannotOpen, Vault

# A clock that is further off refuses states and tokens that are good.
CLOCKS_APART = timedelta(seconds=5)


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, whether it is well, and the fix where it is not."""

    about: str
    well: bool
    text: str
    fix: str | None = None

    def __str__(self) -> str:
        line = f"{'ok' if self.well else 'FAIL':5}{self.about}: {self.text}"
        return f"{line} -> {self.fix}" if self.fix else line


async def findings(environ: Mapping[str, str]) -> AsyncGenerator[Finding]:
    """Look at everything, in an order in which nothing needs what comes after it."""
    try:
        settings = Settings.from_environ(environ)
    except BadSettings as error:
        for problem in error.problems:
            yield Finding("settings", False, problem, "set it and check again")
        return
    yield Finding("settings", True, "all can be read")
    async with database.opened(settings.database_url):
        async for finding in _inside(settings):
            yield finding


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


async def _database() -> Finding:
    began = time.perf_counter()
    try:
        await database.fetch("SELECT 1")
    except database.DatabaseUnavailable as error:
        # Whoever runs this knows the address, and needs to know what it said.
        return Finding(
            "database",
            False,
            f"does not answer ({type(error.__cause__).__name__}: {error.__cause__})",
            "is it up, and HEFU_DATABASE_URL right?",
        )
    milliseconds = (time.perf_counter() - began) * 1000
    return Finding("database", True, f"answers in {milliseconds:.0f} ms")


async def _replica(url: str) -> Finding:
    replica = Replica(url)
    try:
        behind = await replica.behind()
    except database.DatabaseUnavailable as error:
        return Finding(
            "replica",
            False,
            f"does not answer ({type(error.__cause__).__name__}: {error.__cause__})",
            "is it up, and HEFU_REPLICA_URL right? The primary is read meanwhile",
        )
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
    if not await migrating.serves_this_version():
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
    except ValueError:
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
