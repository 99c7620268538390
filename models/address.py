"""The database's address: `sqlite://var/hefu.db`, `postgres://user:pw@host:port/name`."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

# Seconds for a connection to be made; `models/outages.py` bounds every other wait.
CONNECT_TIMEOUT = 5

POOL_SIZE = 10
LARGEST_POOL = 1000

# In WAL mode NORMAL loses nothing when a process dies. When the machine does, it may
# lose the last moments, never consistency: `?synchronous=full` costs an fsync each.
SYNCHRONOUS = {"normal", "full", "extra"}

TLS = {"disable", "allow", "prefer", "require", "verify-ca", "verify-full"}


class BadAddress(ValueError):
    """An address that no database can be reached by; the text never repeats it."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where the database is; `credentials` may hold its password."""

    dialect: str
    engine: str
    credentials: dict[str, Any] = field(repr=False)

    @classmethod
    def parse(cls, url: str, *, standby: bool = False) -> Address:
        """
        Read a `HEFU_DATABASE_URL`.

        Several hosts may stand where one does (`host1:5432,host2:5432`): the one that
        takes writes is used, as libpq does with `target_session_attrs=read-write`.

        :param standby: of several hosts, use one that follows another.
        :raises BadAddress: naming what is wrong, without the address itself.
        """
        scheme, separator, rest = url.partition("://")
        if not separator:
            raise BadAddress("is no URL: sqlite://PATH or postgres://… is expected")
        if scheme == "sqlite":
            return _sqlite(rest)
        if scheme in {"postgres", "postgresql"}:
            return _postgres(rest, "standby" if standby else "read-write")
        raise BadAddress("begins with neither sqlite:// nor postgres://")


def _sqlite(rest: str) -> Address:
    path, _, query = rest.partition("?")
    if not path or path == ":memory:":
        raise BadAddress("names no file")
    options = _options(query, {"synchronous"})
    synchronous = options.get("synchronous", "normal").lower()
    if synchronous not in SYNCHRONOUS:
        raise BadAddress("has an unknown synchronous=")
    pragmas = {
        # SQLite's own waiting would keep the one connection: see `backends/sqlite.py`.
        "busy_timeout": 0,
        "journal_mode": "WAL",
        # Kept for the next writes: room in a file that is there costs half of new room.
        "journal_size_limit": 32 * 1024 * 1024,
        "synchronous": synchronous,
        "foreign_keys": "ON",
    }
    credentials = {"file_path": os.fspath(path), **pragmas}
    return Address("sqlite", "models.backends.sqlite", credentials)


def _postgres(rest: str, wanted: str) -> Address:
    authority, _, tail = rest.partition("/")
    name, _, query = tail.partition("?")
    userinfo, _, hosts = authority.rpartition("@")
    user, _, password = userinfo.partition(":")
    options = _options(query, {"sslmode", "pool", "pgbouncer", "sslrootcert", "host"})
    if not name or not (hosts or "host" in options):
        raise BadAddress("names no host or no database")
    addresses = _hosts(hosts or options["host"])
    credentials: dict[str, Any] = {
        "hosts": addresses,
        "user": unquote(user) or None,
        "password": unquote(password) or None,
        "database": unquote(name),
        "ssl": _tls(options),
        "timeout": CONNECT_TIMEOUT,
        "minsize": 1,
        "maxsize": _pool(options),
    }
    if len(addresses) > 1:
        credentials["target_session_attrs"] = wanted
    pooled = options.get("pgbouncer", "0")
    if pooled not in {"0", "1"}:
        raise BadAddress("pgbouncer= is neither 0 nor 1")
    if pooled == "1":
        # Transaction pooling: the next statement may run on another connection.
        credentials["statement_cache_size"] = 0
    return Address("postgres", "models.backends.asyncpg", credentials)


def _options(query: str, known: set[str]) -> dict[str, str]:
    options = {name: values[-1] for name, values in parse_qs(query).items()}
    if unknown := options.keys() - known:
        raise BadAddress(f"has an unknown option: {', '.join(sorted(unknown))}")
    return options


def _hosts(text: str) -> list[tuple[str, int]]:
    if text.startswith("/"):
        return [(text, 5432)]  # The folder of a Unix socket, as libpq has it.
    return [_host(part) for part in text.split(",")]


def _host(text: str) -> tuple[str, int]:
    try:
        split = urlsplit(f"//{text}")
        host, port = split.hostname, split.port
    except ValueError:
        host = port = None
    if not host:
        raise BadAddress("has a host or a port that cannot be read")
    return host, port or 5432


def _tls(options: dict[str, str]) -> Any:
    mode = options.get("sslmode", "prefer")
    if mode not in TLS:
        raise BadAddress("has an unknown sslmode=")
    root = options.get("sslrootcert")
    if root is None:
        return mode
    import ssl  # noqa: PLC0415  Only where a certificate of one's own is named.

    try:
        context = ssl.create_default_context(cafile=root)
    except (OSError, ssl.SSLError) as error:
        raise BadAddress("names an sslrootcert that cannot be read") from error
    context.check_hostname = mode == "verify-full"
    return context


def _pool(options: dict[str, str]) -> int:
    text = options.get("pool", str(POOL_SIZE))
    if not (text.isascii() and text.isdigit() and 1 <= int(text) <= LARGEST_POOL):
        raise BadAddress(f"has a pool= that is no number from 1 to {LARGEST_POOL}")
    return int(text)
