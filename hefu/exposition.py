"""
`GET /metrics`, on an address of its own.

Where callers are let in, anybody could read how many people log in and when.
"""

from __future__ import annotations

import logging
import os
import socket
import sys
import tempfile
import threading
from collections.abc import Generator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import ClassVar

from hefu import listening
from hefu.middleware import SECURITY_HEADERS, new_request_id

logger = logging.getLogger(__name__)

FOLDER = "PROMETHEUS_MULTIPROC_DIR"


@contextmanager
def exposed(listen: tuple[str, int] | None) -> Generator[None]:
    """
    The sums of this process and its workers, until the block ends.

    :raises CannotListen: the address is taken, or none of this machine's.
    """
    if listen is None:
        yield
        return
    with tempfile.TemporaryDirectory(prefix="hefu-metrics-") as folder:
        # prometheus-client decides at its import, here and in each worker.
        os.environ[FOLDER] = folder
        name = "HEFU_METRICS_LISTEN"
        with listening.explained(*listen, host_from=name, port_from=name):
            server = Exposition(listen)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        try:
            yield
        finally:
            server.shutdown()
            server.server_close()


def forget(process: int | None) -> None:
    """A worker that died holds no connection any more; what it counted stays."""
    if process is None or FOLDER not in os.environ:
        return
    from prometheus_client import multiprocess  # noqa: PLC0415  See `exposed`.

    multiprocess.mark_process_dead(process)  # type: ignore[no-untyped-call]


class Exposition(ThreadingHTTPServer):
    def __init__(self, listen: tuple[str, int]) -> None:
        if ":" in listen[0]:
            self.address_family = socket.AF_INET6
        super().__init__(listen, Handler)

    def handle_error(self, request: object, client_address: object) -> None:
        """The base prints a traceback, where every line is to be JSON."""
        error = sys.exception()
        if isinstance(error, ConnectionError):
            logger.debug("A scraper hung up")
            return
        logger.error("Metrics could not be told", exc_info=error)


class Handler(BaseHTTPRequestHandler):
    seconds: ClassVar[float] = 10.0

    def handle(self) -> None:
        """In so many seconds: a socket's own timeout begins anew with each byte."""
        end = threading.Timer(self.seconds, self._hang_up)
        end.daemon = True
        end.start()
        try:
            super().handle()
        finally:
            end.cancel()

    def _hang_up(self) -> None:
        # Whoever reads or writes there is woken.
        with suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def do_GET(self) -> None:
        if self.path.partition("?")[0] != "/metrics":
            self.send_error(404)
            return
        kind, body = _collected()
        self.send_response(200)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        self.wfile.write(body)

    def send_response(self, code: int, message: str | None = None) -> None:
        """Dressed like any other answer: without the `Server` that the base sends."""
        self.send_response_only(code, message)
        for name, value in SECURITY_HEADERS:
            self.send_header(name.decode(), value.decode())
        self.send_header("X-Request-Id", new_request_id())

    def log_message(self, format: str, *arguments: object) -> None:
        """A scrape every few seconds is no news."""


def _collected() -> tuple[str, bytes]:
    from prometheus_client import (  # noqa: PLC0415  See `exposed`.
        CONTENT_TYPE_LATEST,
        CollectorRegistry,
        generate_latest,
        multiprocess,
    )

    registry = CollectorRegistry()
    multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return CONTENT_TYPE_LATEST, generate_latest(registry)
