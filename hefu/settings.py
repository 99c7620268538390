"""
Settings, read once from the environment and handed down as values.

Every name may come from a file instead: `HEFU_SECRET_KEYS_FILE=/run/secrets/keys`.
"""

from __future__ import annotations

import difflib
import ipaddress
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from importlib.util import find_spec
from pathlib import Path
from typing import Self, TypeVar
from urllib.parse import SplitResult, urlsplit

from models.address import Address, BadAddress
from services.settings import Policy, Rate
from services.vault import UnreadableKey, Vault

T = TypeVar("T")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

LOG_LEVELS = ("debug", "info", "warning", "error")
# Of URLs and addresses to listen on. What `urlsplit` takes as a host may be no name at
# all: it drops tabs and line breaks, and keeps spaces, backslashes and wildcards.
_HOST = re.compile(r"[\w.-]+|\[[0-9A-Fa-f:.]+\]")
PERIODS = {"s": 1, "sec": 1, "m": 60, "min": 60, "h": 3600, "hour": 3600}
LONGEST_WECOM_TIMEOUT = 8.0
HIGHEST_PORT = 65535
PREFIX = "HEFU_"

REPLICA_OF_A_FILE = (
    "HEFU_REPLICA_URL: is set, and HEFU_DATABASE_URL names a SQLite file, which has no "
    "replicas: one of them must go"
)

_RATE = re.compile(r"([0-9]{1,9})/([a-z]+)")


class BadSettings(ValueError):
    """Settings that are unsafe or cannot be read: a sentence for each, by name."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("\n".join(problems))
        self.problems = problems


@dataclass(frozen=True, slots=True)
class Settings:
    """What the operator decided."""

    database_url: str = field(repr=False)
    replica_url: str | None = field(repr=False)
    secret_keys: tuple[str, ...] = field(repr=False)
    public_url: str
    wecom_url: str
    wecom_timeout: float
    policy: Policy
    allowed_origins: tuple[str, ...]
    graphiql: bool
    trusted_proxies: tuple[Network, ...]
    log_level: str
    metrics_listen: tuple[str, int] | None
    traces: bool

    @classmethod
    def from_environ(cls, environ: Mapping[str, str]) -> Self:
        """
        Read the settings, all of them, before complaining about any.

        :raises BadSettings: naming each one that is unsafe or cannot be read.
        """
        reader = _Reader(environ)
        settings = cls._read(reader)
        reader.check()
        if settings.replica_url and _dialect(settings.database_url) == "sqlite":
            raise BadSettings([REPLICA_OF_A_FILE])
        return settings

    @classmethod
    def _read(cls, reader: _Reader) -> Self:
        read = reader.read
        public_url = read("HEFU_PUBLIC_URL", "http://localhost:8000", _public_url)
        policy = Policy(
            issuer=public_url,
            member_recheck=read("HEFU_MEMBER_RECHECK_HOURS", "24", _hours),
            audit_kept=read("HEFU_AUDIT_DAYS", "400", _days),
            rate_per_address=read("HEFU_RATE_LIMIT_ADDRESS", "600/min", _rate),
            rate_per_source=read("HEFU_RATE_LIMIT_SOURCE", "3000/min", _rate),
        )
        return cls(
            database_url=reader.database_url(),
            replica_url=read("HEFU_REPLICA_URL", "", _replica),
            secret_keys=read("HEFU_SECRET_KEYS", "", _secret_keys),
            public_url=public_url,
            wecom_url=read("HEFU_WECOM_URL", "https://qyapi.weixin.qq.com", _wecom_url),
            wecom_timeout=read("HEFU_WECOM_TIMEOUT", "5", _wecom_timeout),
            policy=policy,
            allowed_origins=read("HEFU_ALLOWED_ORIGINS", "", _origins),
            graphiql=read("HEFU_GRAPHIQL", "off", _switch),
            trusted_proxies=read("HEFU_TRUSTED_PROXIES", "", _networks),
            log_level=read("HEFU_LOG_LEVEL", "info", _log_level),
            metrics_listen=read("HEFU_METRICS_LISTEN", "off", _listen),
            traces=read("HEFU_TRACES", "off", _traces),
        )


def database_url(environ: Mapping[str, str]) -> str:
    """
    HEFU_DATABASE_URL alone: whoever only copies the database needs no key.

    :raises BadSettings: it cannot be read.
    """
    reader = _Reader(environ)
    url = reader.database_url()
    reader.check()
    return url


def unknown(environ: Mapping[str, str]) -> dict[str, str | None]:
    """
    Names that begin as settings do and are none, each with the one that may be meant.

    A setting that is misspelt does nothing, and nobody is told. It is no reason not to
    start: Kubernetes gives every container HEFU_SERVICE_HOST for a service `hefu`.
    """
    reader = _Reader(environ)
    Settings._read(reader)
    known = [each for name in reader.names for each in (name, f"{name}_FILE")]
    strangers = [name for name in environ if name.startswith(PREFIX)]
    return {
        name: _alike(name, known) for name in sorted(strangers) if name not in known
    }


def _alike(name: str, known: list[str]) -> str | None:
    """Compared without what all of them begin with, which makes any two alike."""
    endings = [each.removeprefix(PREFIX) for each in known]
    found = difflib.get_close_matches(name.removeprefix(PREFIX), endings, n=1)
    return f"{PREFIX}{found[0]}" if found else None


class _Reader:
    def __init__(self, environ: Mapping[str, str]) -> None:
        self._environ = environ
        self.problems: list[str] = []
        self.names: list[str] = []

    def check(self) -> None:
        """
        :raises BadSettings: something could not be read.
        """
        if self.problems:
            raise BadSettings(self.problems)

    def database_url(self) -> str:
        return self.read("HEFU_DATABASE_URL", "sqlite://var/hefu.db", _database)

    def read(self, name: str, default: str, parse: Callable[[str], T]) -> T:
        self.names.append(name)
        try:
            return parse(self._text(name, default))
        except ValueError as error:
            self.problems.append(f"{name}: {error}")
            return _some_value(parse, default)

    def _text(self, name: str, default: str) -> str:
        path = self._environ.get(f"{name}_FILE")
        if path is None:
            return self._environ.get(name, default).strip() or default
        if self._environ.get(name, "").strip():
            raise ValueError(f"is set, and {name}_FILE too: one of them must go")
        try:
            text = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, ValueError):
            raise ValueError("the file it is to come from cannot be read") from None
        if not text:
            # A secret that was not mounted: the default would be another database.
            raise ValueError("the file it is to come from is empty")
        return text


def _some_value(parse: Callable[[str], T], default: str) -> T:
    """Some value of the right type: it is never used, since a problem was noted."""
    if parse is _secret_keys:
        return ()  # type: ignore[return-value]
    return parse(default)


def _database(text: str) -> str:
    try:
        Address.parse(text)
    except BadAddress as error:
        raise ValueError(str(error)) from None
    return text


def _replica(text: str) -> str | None:
    if not text:
        return None
    if _dialect(_database(text)) == "sqlite":
        raise ValueError("names a SQLite file: only PostgreSQL has replicas")
    return text


def _dialect(url: str) -> str:
    return Address.parse(url).dialect


def _secret_keys(text: str) -> tuple[str, ...]:
    keys = tuple(key.strip() for key in text.split(",") if key.strip())
    if not keys:
        raise ValueError(
            "is not set. It encrypts secrets in the database. Make a key with "
            "`openssl rand -base64 32` and keep a copy where the backups are not"
        )
    try:
        Vault(keys)
    except UnreadableKey as error:
        raise ValueError(str(error)) from None
    return keys


def _url(text: str) -> SplitResult:
    try:
        url = urlsplit(text)
        _ = url.port
    except ValueError:
        raise ValueError("is not a URL") from None
    if url.scheme not in {"http", "https"} or not url.hostname:
        raise ValueError("is not an http(s) URL")
    if not text.isprintable() or any(each in text for each in " \\"):
        raise ValueError("holds characters that no URL holds")
    if url.username or url.password or "@" in url.netloc:
        raise ValueError("must not hold a user or a password")
    if url.query or url.fragment or "?" in text or "#" in text:
        raise ValueError("must not hold a query or a fragment")
    host, colon, port = _host_and_port(url.netloc)
    if not _HOST.fullmatch(host) or (colon and not port):
        raise ValueError("names no host, or no port behind the colon")
    return url


def _host_and_port(netloc: str) -> tuple[str, str, str]:
    """Splits at the port's colon, not at one within [::1]."""
    if netloc.endswith("]") or ":" not in netloc:
        return netloc, "", ""
    return netloc.rpartition(":")


def _is_loopback(host: str | None) -> bool:
    try:
        return ipaddress.ip_address(host or "").is_loopback
    except ValueError:
        return host == "localhost"


def _public_url(text: str) -> str:
    url = _url(text)
    if url.scheme != "https" and not _is_loopback(url.hostname):
        raise ValueError("must be https: tokens are sent there (http on loopback only)")
    return text.rstrip("/")


def _wecom_url(text: str) -> str:
    url = _url(text)
    if url.scheme != "https" and not _is_loopback(url.hostname):
        raise ValueError(
            "must be https: secrets are sent there (http on loopback only)"
        )
    return text.rstrip("/")


def _wecom_timeout(text: str) -> float:
    seconds = _number(text)
    if not 0 < seconds <= LONGEST_WECOM_TIMEOUT:
        raise ValueError("is not a number of seconds above 0 and up to 8")
    return seconds


def _number(text: str) -> float:
    try:
        number = float(text)
    except ValueError:
        raise ValueError("is not a number") from None
    if not 0 <= number < 1e6:  # noqa: PLR2004  NaN and infinity fail it as well.
        raise ValueError("is not a number from 0 to 999999")
    return number


def _hours(text: str) -> timedelta:
    return timedelta(hours=_number(text))


def _days(text: str) -> timedelta | None:
    days = _number(text)
    return timedelta(days=days) if days else None


def _rate(text: str) -> Rate:
    if text == "off":
        return Rate(None, 60)
    match = _RATE.fullmatch(text)
    if not match or match[2] not in PERIODS or int(match[1]) == 0:
        raise ValueError("is neither like 600/min (s, min, h) nor off")
    return Rate(int(match[1]), PERIODS[match[2]])


def _origins(text: str) -> tuple[str, ...]:
    origins = tuple(part.strip() for part in text.split(",") if part.strip())
    for origin in origins:
        url = _url(origin)
        if url.path or origin != f"{url.scheme}://{url.netloc}":
            raise ValueError("holds something that is no origin like https://host:port")
    return origins


def _switch(text: str) -> bool:
    if text.lower() in {"on", "true", "1", "yes"}:
        return True
    if text.lower() in {"off", "false", "0", "no"}:
        return False
    raise ValueError("is neither on nor off")


def _traces(text: str) -> bool:
    if not _switch(text):
        return False
    try:
        found = find_spec("opentelemetry.exporter.otlp.proto.http.trace_exporter")
    except ModuleNotFoundError:
        found = None
    if found is None:
        raise ValueError("needs OpenTelemetry: pip install '.[otel]' in the checkout")
    return True


def _networks(text: str) -> tuple[Network, ...]:
    parts = [part.strip() for part in text.split(",") if part.strip()]
    try:
        return tuple(ipaddress.ip_network(part) for part in parts)
    except ValueError:
        raise ValueError("holds something that is no address or network") from None


def _log_level(text: str) -> str:
    if text.lower() not in LOG_LEVELS:
        raise ValueError(f"is none of {', '.join(LOG_LEVELS)}")
    return text.lower()


def _listen(text: str) -> tuple[str, int] | None:
    if text == "off":
        return None
    host, _, port = text.rpartition(":")
    if (
        not _HOST.fullmatch(host)
        or not port.isdecimal()
        or not 0 < int(port) <= HIGHEST_PORT
    ):
        raise ValueError("is neither like 127.0.0.1:9464 nor off")
    return host.strip("[]"), int(port)
