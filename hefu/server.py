"""Running the application: one process, or several on one listening socket."""

from __future__ import annotations

import asyncio
import logging
import logging.config
import multiprocessing
import os
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from importlib import metadata
from multiprocessing.context import SpawnProcess
from types import FrameType, MappingProxyType
from typing import cast

import uvicorn
from uvicorn.config import STARTUP_FAILURE

from hefu import exposition, garbage, logs
from hefu.accepting import ABSENT, Accepting, Share
from hefu.listening import explained
from hefu.middleware import Drain
from hefu.settings import BadSettings
from hefu.uvicorn_protocol import GuardedProtocol

logger = logging.getLogger(__name__)

# Of the ten seconds from SIGTERM to the end: first readiness says no while requests
# still are taken, so that a load balancer looks elsewhere before the door closes;
# then those in flight, the longest of which is a login of eight seconds.
LINGER_SECONDS = 0.5
FINISH_SECONDS = 8
STOP_SECONDS = 10.0
# A worker's own last resort: after what was cancelled had its moment to say so.
EXIT_SECONDS = 9.4
# A worker that dies at once would otherwise be replaced as fast as it dies.
RESTART_SECONDS = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """What a worker needs to know; it crosses to it by pickle."""

    app: str
    log_level: str
    workers: int
    request_seconds: float = 10.0
    parent: int = field(default_factory=os.getpid)


def serve(
    app_factory_import: str,
    *,
    host: str,
    port: int,
    workers: int = 1,
    log_level: str = "info",
    on_started: Callable[[str, int], None] | None = None,
    request_seconds: float = 10.0,
    metrics_listen: tuple[str, int] | None = None,
    described: Mapping[str, str] = MappingProxyType({}),
) -> None:
    """
    Serves until SIGTERM or SIGINT.

    `on_started` is told the host and port once requests can be sent: port 0 is a free
    one. The factory is named as `module:function` and is called in each worker.
    `described` is what the log's first line says beside the address.

    :raises CannotListen: an address is taken, or none of this machine's.
    """
    plan = Plan(
        app=app_factory_import,
        log_level=log_level,
        workers=workers,
        request_seconds=request_seconds,
    )
    logging.config.dictConfig(logs.config(log_level))
    with exposition.exposed(metrics_listen), _listen(host, port) as listening:
        port = listening.getsockname()[1]
        if on_started is not None:
            # The kernel queues what arrives before the first worker accepts it.
            on_started(host, port)
        about = {"address": f"{host}:{port}", "workers": workers, **described}
        about["version"] = metadata.version("hefu")
        logger.info("Listening", extra=about)
        try:
            if workers == 1:
                _work(plan, listening, Share([ABSENT], 0))
            else:
                Supervisor(plan, listening).run()
        finally:
            logger.info("Stopped")


def _listen(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with explained(host, port, host_from="--host", port_from="--port"):
        listening = socket.create_server((host, port), family=family, backlog=2048)
    # Opened anew, the socket knows that its protocol is TCP. asyncio turns Nagle's
    # algorithm off only then; left on, each answer waits 40 ms for the client's ACK.
    return socket.socket(fileno=listening.detach())


def _work(plan: Plan, listening: socket.socket, share: Share) -> None:
    """One process' whole life."""
    GuardedProtocol.seconds = plan.request_seconds
    config = uvicorn.Config(
        plan.app,
        factory=True,
        # uvloop starves connections once a request takes milliseconds of CPU.
        loop="asyncio",
        http=GuardedProtocol,
        ws="none",
        lifespan="on",
        log_config=logs.config(plan.log_level),
        access_log=False,
        # Addresses are worked out from HEFU_TRUSTED_PROXIES; uvicorn would trust
        # whatever comes from loopback.
        proxy_headers=False,
        server_header=False,
        date_header=False,
        timeout_graceful_shutdown=FINISH_SECONDS,
    )
    try:
        Worker(config, plan, share).run(sockets=[listening])
    except BadSettings as error:
        # They were good when the first worker began: a file of theirs is gone since.
        logger.error("The settings cannot be read", extra={"problems": error.problems})  # noqa: TRY400
        sys.exit(1)


class Worker(uvicorn.Server):
    """uvicorn's server, which drains before it stops."""

    def __init__(self, config: uvicorn.Config, plan: Plan, share: Share) -> None:
        super().__init__(config)
        self._plan = plan
        self._share = share
        self._accepting: Accepting | None = None
        self._drain = Drain()
        self._stop_at: float | None = None

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        # Each request's scope gets a copy of this state, and so the same drain.
        self.lifespan.state["drain"] = self._drain
        await super().startup([])
        [listening] = sockets or []
        self._accepting = Accepting(
            listening,
            self._share,
            protocol=self._protocol,
            open_now=lambda: len(self.server_state.connections),
        )
        self.servers.append(cast("asyncio.base_events.Server", self._accepting))
        garbage.look_seldom()

    async def on_tick(self, counter: int) -> bool:
        if self._is_orphan():
            self.should_exit = True
        if self._accepting is not None:
            self._accepting.tell()
        stopping = await super().on_tick(counter)
        if not stopping:
            return False
        self._drain.started = True
        if self._stop_at is None:
            self._stop_at = time.monotonic() + LINGER_SECONDS
        return self.force_exit or time.monotonic() >= self._stop_at

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        if not self.should_exit:
            _exit_after(EXIT_SECONDS)
        self._drain.started = True
        self.should_exit = True

    @contextmanager
    def capture_signals(self) -> Generator[None, None, None]:
        """As uvicorn's, but a stop that was asked for is no death by signal: exit 0."""
        before = {
            each: signal.signal(each, self.handle_exit)
            for each in (signal.SIGINT, signal.SIGTERM)
        }
        try:
            yield
        finally:
            for each, handler in before.items():
                signal.signal(each, handler)

    def _protocol(self) -> GuardedProtocol:
        """One for each connection, as uvicorn makes them."""
        return GuardedProtocol(
            config=self.config,
            server_state=self.server_state,
            app_state=self.lifespan.state,
        )

    def _is_orphan(self) -> bool:
        """Its supervisor was killed: nobody would ever tell this worker to stop."""
        return self._plan.workers > 1 and os.getppid() != self._plan.parent


def _exit_after(seconds: float) -> None:
    """
    End the process whatever still runs in it.

    Passwords being hashed cannot be interrupted, and on a machine that is short of
    cores the interpreter would wait for them longer than anybody waits for a stop.
    Nothing is lost: what was answered is on disk, as after `kill -9`.
    """
    timer = threading.Timer(seconds, _cut_off)
    timer.daemon = True
    timer.start()


def _cut_off() -> None:
    logger.warning("Stopped: what still ran was cut off")
    os._exit(0)


class Supervisor:
    """Keeps as many workers as were asked for, and stops them together."""

    def __init__(self, plan: Plan, listening: socket.socket) -> None:
        self._plan = plan
        self._listening = listening
        self._spawn = multiprocessing.get_context("spawn")
        self._workers: list[SpawnProcess] = []
        self._stopping = False
        # A number for each worker.
        self._counts = self._spawn.RawArray("i", [ABSENT] * plan.workers)

    def run(self) -> None:
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, self._stop)
        self._workers = [self._start(place) for place in range(self._plan.workers)]
        while not self._stopping:
            time.sleep(0.1)
            self._replace_dead()
        self._end()

    def _stop(self, sig: int, frame: FrameType | None) -> None:
        self._stopping = True

    def _start(self, place: int) -> SpawnProcess:
        share = Share(self._counts, place)
        worker = self._spawn.Process(
            target=_work, args=(self._plan, self._listening, share)
        )
        worker.start()
        return worker

    def _replace_dead(self) -> None:
        for place, worker in enumerate(self._workers):
            if worker.exitcode is None or self._stopping:
                continue
            if worker.exitcode == STARTUP_FAILURE:
                # The next one would fail the same way.
                logger.error("A worker could not start")
                self._end()
                sys.exit(STARTUP_FAILURE)
            logger.warning("A worker died", extra={"exitCode": worker.exitcode})
            exposition.forget(worker.pid)
            self._counts[place] = ABSENT
            time.sleep(RESTART_SECONDS)
            self._workers[place] = self._start(place)

    def _end(self) -> None:
        for worker in self._workers:
            worker.terminate()
        deadline = time.monotonic() + STOP_SECONDS - LINGER_SECONDS
        time.sleep(LINGER_SECONDS)
        # Or the kernel would go on to take connections that nobody answers.
        self._listening.close()
        for worker in self._workers:
            worker.join(max(0.0, deadline - time.monotonic()))
            if worker.exitcode is None:
                worker.kill()
