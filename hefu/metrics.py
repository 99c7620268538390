"""
What is counted, for Prometheus.

Each process writes to files of a folder that `hefu/exposition.py` makes, and that one
sums up: a counter of one worker's own would jump from scrape to scrape. No label's
value is a caller's to choose: each would be a time series of its own, for ever.
"""

from __future__ import annotations

import asyncio

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from hefu.middleware import Answered
from models import database
from services.outcomes import Outcomes
from services.passwords import Passwords

# Seconds. A login takes eight at the most.
BUCKETS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2, 3, 5, 8, 10)

# Seconds between two looks at what is a level and not a count.
SAMPLED_EVERY = 1.0

# What an alert waits for is there from the start, at nought: to Prometheus a series
# that begins at one has not increased, and the first bug after a start went unseen.
STATUSES = ("200", "401", "500", "503")
OUTCOMES = (
    "SUCCESS",
    "INTERNAL",
    "UNAVAILABLE",
    "RATE_LIMITED",
    "IDENTITY_SOURCE_MISCONFIGURED",
    "INVALID_REFRESH_TOKEN",
)


class Metrics:
    """One process' share of the numbers."""

    def __init__(self) -> None:
        # Of its own: an app that is made twice in a process counts twice, not never.
        registry = CollectorRegistry()

        def counter(name: str, help: str, *labels: str) -> Counter:
            return Counter(name, help, labels, registry=registry)

        def histogram(name: str, help: str, *labels: str) -> Histogram:
            return Histogram(name, help, labels, buckets=BUCKETS, registry=registry)

        def level(name: str, help: str) -> Gauge:
            return Gauge(name, help, registry=registry, multiprocess_mode="livesum")

        self._logins = counter(
            "hefu_logins", "Logins, bindings and password sign-ins", "outcome"
        )
        self._login_seconds = histogram("hefu_login_seconds", "Of a login, as a whole")
        self._starts = counter(
            "hefu_login_starts", "Logins begun, by startWecomMobileLogin", "outcome"
        )
        self._refreshes = counter(
            "hefu_sessions_refreshed", "Uses of a refresh token", "outcome"
        )
        self._wecom = counter(
            "hefu_wecom_requests", "Requests to WeCom", "call", "outcome"
        )
        self._wecom_seconds = histogram("hefu_wecom_seconds", "Of a request", "call")
        self._http = counter("hefu_http_requests", "Requests answered", "status")
        self._http_seconds = histogram("hefu_http_seconds", "Of a request")
        self._bugs = counter("hefu_bugs", "Unexpected errors: INTERNAL, and 500")
        self._password_queue = level(
            "hefu_password_queue", "Passwords being hashed, or waiting for it"
        )
        self._pool = level("hefu_db_pool_in_use", "Database connections lent out")
        self._pool_size = level(
            "hefu_db_pool_size", "Database connections that may be; 0 on SQLite"
        )
        self._tasks = level("hefu_asyncio_tasks", "Tasks that have not ended")
        for status in STATUSES:
            self._http.labels(status)
        for outcome in OUTCOMES:
            self._logins.labels(outcome)
            self._starts.labels(outcome)
            self._refreshes.labels(outcome)

    def outcomes(self) -> Outcomes:
        return Outcomes(logins=self._login, starts=self._start, refreshes=self._refresh)

    def wecom(self, call: str, outcome: str, seconds: float) -> None:
        self._wecom.labels(call, outcome).inc()
        self._wecom_seconds.labels(call).observe(seconds)

    def bug(self) -> None:
        self._bugs.inc()

    def answered(self, answered: Answered) -> None:
        # Probes every few seconds would make a slow server look fast, and one that
        # waits for its database busy with failing.
        if answered.path.startswith("/health/"):
            return
        self._http.labels(str(answered.status)).inc()
        self._http_seconds.observe(answered.seconds)

    async def sample(self, passwords: Passwords) -> None:
        """Look at the levels now and then, until cancelled."""
        while True:
            self._password_queue.set(passwords.queue)
            self._pool.set(database.connections_in_use())
            self._pool_size.set(database.pool_size())
            self._tasks.set(len(asyncio.all_tasks()))
            await asyncio.sleep(SAMPLED_EVERY)

    def _login(self, outcome: str, seconds: float) -> None:
        self._logins.labels(outcome).inc()
        self._login_seconds.observe(seconds)

    def _start(self, outcome: str, seconds: float) -> None:
        self._starts.labels(outcome).inc()

    def _refresh(self, outcome: str, seconds: float) -> None:
        self._refreshes.labels(outcome).inc()
