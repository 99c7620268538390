"""Asks for a server's health until its standard input ends; prints the slowest answer.

A process of its own: a thread would wait for its neighbours' interpreter lock.
"""

from __future__ import annotations

import http.client
import select
import sys
import time
from urllib.parse import urlsplit


def main(url: str) -> None:
    host = urlsplit(url).netloc
    slowest, probes = 0.0, 0
    connection = http.client.HTTPConnection(host, timeout=30)
    while not select.select([sys.stdin], [], [], 0.02)[0]:
        began = time.monotonic()
        connection.request("GET", "/health/live")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 200
        slowest = max(slowest, time.monotonic() - began)
        probes += 1
    print(slowest, probes)  # noqa: T201


if __name__ == "__main__":
    main(sys.argv[1])
