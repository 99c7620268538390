"""
Passwords: which will do, their hashing, and what keeps it from holding everybody up.

Argon2id takes some tenths of a second and 64 MiB on purpose (RFC 9106, 4).
It runs in threads, as many as there are cores, behind a bounded queue. Why so, and
where the policy comes from: docs/decisions/0003-passwords.md.
"""

from __future__ import annotations

import asyncio
import base64
import os
import secrets
import sys
import unicodedata
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

from argon2 import PasswordHasher
from argon2.exceptions import VerifyMismatchError
from zxcvbn.matching import RANKED_DICTIONARIES, omnimatch
from zxcvbn.scoring import most_guessable_match_sequence

from services.errors import InputErrorCode, Problem, rejected
from services.forms import TOO_LONG, TOO_SHORT, Form
from services.language import Text
from services.refusals import RateLimited

T = TypeVar("T")

LEAST, MOST = 8, 128

# Longer texts are not even normalised: that takes time quadratic in combining marks.
LONGEST_TYPED = 4 * MOST

# What the attempt limits let through in a hundred days, from everywhere.
FEWEST_GUESSES = 10_000

# No list holds longer ones, and the estimate's time grows with a power of the length:
# 0.15 s at 32 characters, 2 s at 128, for a text that was made to take long.
LONGEST_ESTIMATED = 32

# Every core hashes a password of its own when there are many, so more lanes would not
# hash more of them: they would only stand in line with the logins.
LANES = 1

# For each core, so that the last in the queue waits for three seconds or so.
QUEUE_PER_CORE = 32

# More than the event loop's. See docs/performance.md.
NICENESS = 10

# Seconds.
BUSY = 3

BROKEN = Text("This is not valid Unicode text.", "密码包含无效字符。")
COMMON = Text(
    "This password is among the first that anybody would guess.",
    "该密码过于常见，容易被猜中。",
)
TELLTALE = Text(
    "A password must not repeat the account's name or address.",
    "密码不能与用户名、姓名、邮箱或手机号相同。",
)

TOO_MANY = Text(
    "Too many attempts. Please wait for {seconds} seconds.",
    "尝试次数过多，请在 {seconds} 秒后再试。",
)


class Passwords:
    """
    Judges, hashes and verifies passwords.

    :param workers: how many are computed at once: the cores this process may use, by
        its affinity and its quota.
    :param waiting: how many more may wait for their turn.
    """

    def __init__(
        self,
        *,
        hasher: PasswordHasher | None = None,
        workers: int | None = None,
        waiting: int | None = None,
    ) -> None:
        self._hasher = hasher or PasswordHasher(parallelism=LANES)
        self._workers = workers or _cores()
        self._most = self._workers * (1 + QUEUE_PER_CORE)
        if waiting is not None:
            self._most = self._workers + waiting
        self._threads = ThreadPoolExecutor(
            self._workers, thread_name_prefix="argon2", initializer=_come_second
        )
        self._pending: set[Future[Any]] = set()
        self._decoy = _decoy(self._hasher)

    @property
    def queue(self) -> int:
        """How many passwords are being computed or wait for it: hefu_password_queue."""
        return len(self._pending)

    async def flaw(
        self, path: str, password: str, *, unlike: Iterable[str | None] = ()
    ) -> Problem | None:
        """
        What is wrong with a password that somebody would like to have.

        :param path: below `input`, in camelCase.
        :param unlike: names and addresses of the account, which it must not repeat.
        :raises RateLimited: the queue is full.
        """
        if len(password) > LONGEST_TYPED:
            return _problem(path, InputErrorCode.TOO_LONG, TOO_LONG, most=MOST)
        if _encoded(password) is None:
            return _problem(path, InputErrorCode.INVALID_FORMAT, BROKEN)
        normal = _normal(password)
        if len(normal) < LEAST:
            return _problem(path, InputErrorCode.TOO_SHORT, TOO_SHORT, least=LEAST)
        if len(normal) > MOST:
            return _problem(path, InputErrorCode.TOO_LONG, TOO_LONG, most=MOST)
        if _folded(normal) in _telltales(unlike):
            return _problem(path, InputErrorCode.TOO_WEAK, TELLTALE)
        if len(normal) > LONGEST_ESTIMATED:
            return None
        if await self._in_turn(lambda: _guesses(normal)) < FEWEST_GUESSES:
            return _problem(path, InputErrorCode.TOO_WEAK, COMMON)
        return None

    async def hash_good(
        self,
        form: Form,
        path: str,
        password: str | None,
        *,
        unlike: Iterable[str | None] = (),
    ) -> str | None:
        """
        Judge the last field of a form, and hash it if the whole form is good.

        :raises InputRejected: with everything that is wrong.
        """
        if password is None:
            form.check()
            return None
        with busy_at(path):
            flaw = await self.flaw(path, password, unlike=unlike)
            if flaw is not None:
                form.problems.append(flaw)
            form.check()
            return await self.hash(password)

    async def hash(self, password: str) -> str:
        """
        The hash to store for a `password` without flaw.

        :raises RateLimited: the queue is full.
        """
        secret = _normal(password).encode()
        return await self._in_turn(lambda: self._hasher.hash(secret))

    async def verify(self, stored: str | None, password: str) -> bool:
        """
        Whether `password` is the one whose hash is `stored`.

        Something is computed where nothing is stored too, and for what cannot be a
        password: unknown accounts, those without a password and wrong passwords are
        refused after the same time.

        :raises RateLimited: the queue is full.
        """
        secret = _encoded(password)
        if stored is None or secret is None:
            stored, secret = self._decoy, b""
        return await self._in_turn(lambda: self._matches(stored, secret))

    def is_outdated(self, stored: str) -> bool:
        """Whether a hash was made with other parameters than are used today."""
        return self._hasher.check_needs_rehash(stored)

    def close(self) -> None:
        """Compute nothing more; what is being computed ends by itself."""
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _matches(self, hash: str, secret: bytes) -> bool:
        try:
            return self._hasher.verify(hash, secret)
        except VerifyMismatchError:
            return False

    async def _in_turn(self, compute: Callable[[], T]) -> T:
        """
        `compute` in a thread, as soon as one is free.

        A caller who goes away gives up a place in the queue. What runs already keeps
        its place until it ends: its core and its memory are taken all the same.
        """
        if len(self._pending) >= self._most:
            raise RateLimited("passwords.busy", retry_after=BUSY)
        future = self._threads.submit(compute)
        self._pending.add(future)
        future.add_done_callback(self._pending.discard)
        return await asyncio.wrap_future(future)


@contextmanager
def busy_at(path: str) -> Generator[None]:
    """
    A form tells of too many attempts, and of a full queue, at the field.

    :raises InputRejected: RATE_LIMITED, in place of the refusal of a login.
    """
    try:
        yield
    except RateLimited as refusal:
        raise rejected(
            path, InputErrorCode.RATE_LIMITED, TOO_MANY, seconds=refusal.retry_after
        ) from None


def _come_second() -> None:
    """
    Let the event loop have the cores first: a login waits for a turn of milliseconds,
    a password takes a tenth of a second anyhow.

    Linux keeps a niceness for each thread. On other systems the threads stand in line
    with everybody.
    """
    if sys.platform == "linux":
        os.nice(NICENESS)


def _cores() -> int:
    # Fewer than the machine has, where a container or `taskset` says so.
    if hasattr(os, "sched_getaffinity"):
        return whole_cores(len(os.sched_getaffinity(0)))
    return os.cpu_count() or 1


def whole_cores(
    seen: int,
    group: Path = Path("/proc/self/cgroup"),
    tree: Path = Path("/sys/fs/cgroup"),
) -> int:
    """
    Of the cores that are seen, those that cgroup v2's quota pays for, at least one.

    `docker run --cpus`, Kubernetes' `limits.cpu`, systemd's `CPUQuota=` hide no core.
    Threads beyond them take 64 MiB each, and spend what the event loop was to have.
    """
    least = float(seen)
    with suppress(OSError):
        own = tree / group.read_text().rpartition("0::")[2].strip().lstrip("/")
        for folder in (own, *own.parents):
            with suppress(OSError, ValueError):  # There is none, or it says `max`.
                quota, period = (folder / "cpu.max").read_text().split()
                least = min(least, int(quota) / int(period))
    return max(1, int(least))


def _decoy(hasher: PasswordHasher) -> str:
    """A hash that no password has: random where a digest would stand."""

    def random(size: int) -> str:
        return base64.b64encode(secrets.token_bytes(size)).rstrip(b"=").decode()

    cost = f"m={hasher.memory_cost},t={hasher.time_cost},p={hasher.parallelism}"
    salt, digest = random(hasher.salt_len), random(hasher.hash_len)
    return f"$argon2id$v=19${cost}${salt}${digest}"


def _normal(password: str) -> str:
    """
    NFKC (NIST SP 800-63B-4, 3.1.1.2): one password, whatever keyboard typed it.

    An é comes as one code point or as two, and a Chinese input method in its full-width
    mode types １２３ for 123.
    """
    return unicodedata.normalize("NFKC", password)


def _encoded(password: str) -> bytes | None:
    """What is hashed; None for what cannot be anybody's password."""
    if len(password) > LONGEST_TYPED:
        return None
    try:
        return _normal(password).encode()
    except UnicodeEncodeError:
        return None


def _guesses(password: str) -> float:
    """
    How many guesses somebody needs who tries the likeliest first.

    In the two steps of `zxcvbn()`, which itself writes to a table that threads share.
    """
    matches = omnimatch(password, RANKED_DICTIONARIES)
    return float(most_guessable_match_sequence(password, matches)["guesses"])


def _folded(text: str) -> str:
    return _normal(text).strip().casefold()


def _telltales(texts: Iterable[str | None]) -> set[str]:
    """The texts as they are compared; of an e-mail, also what stands before the @."""
    folded = {_folded(text) for text in texts if text}
    return folded | {text.partition("@")[0] for text in folded}


def _problem(path: str, code: InputErrorCode, text: Text, **values: object) -> Problem:
    return Problem((path,), code, text, values)
