"""
Whether somebody knows the password of the account that they name.

Unknown, wrong and without a password are one answer after one and the same work; only
the rule in the audit event tells them apart.
"""

from __future__ import annotations

from models import User, ids
from services import attempts, refusals
from services.attempts import Attempts
from services.audit import Trail
from services.callers import Caller
from services.passwords import Passwords


class Proofs:
    """Compares passwords, and counts the wrong ones."""

    def __init__(self, *, attempts: Attempts, passwords: Passwords) -> None:
        self._attempts = attempts
        self._passwords = passwords

    async def check(
        self,
        caller: Caller,
        trail: Trail,
        found: tuple[User | None, str],
        password: str,
    ) -> User:
        """
        The account, whose password it is.

        :param found: the account that was named, if there is one, and the name in the
            spelling to count guesses by.
        :raises CredentialsInvalid: it is not, or nobody's.
        :raises RateLimited: too many guesses, or too many at once: nobody looked at the
            password, and it does not count.
        """
        user, typed = found
        if user is not None:
            trail.subject = ids.show(ids.USER, user.id)
        key = attempts.account_key(user, typed)
        attempt = await self._attempts.begin(key, caller.origin.ip_address)
        hash = user.password_hash if user else None
        try:
            right = await self._passwords.verify(hash, password)
        except refusals.RateLimited:
            await self._attempts.succeeded(attempt)
            raise
        if user is None or not right:
            raise refusals.CredentialsInvalid(_why(user))
        await self._attempts.succeeded(attempt)
        return user


def recheck(proven: User, now: User | None) -> User:
    """
    The account as it is once the transaction holds it.

    A hash takes its time: whoever changes a password to keep somebody out, ends the
    sessions that there are, and this one must not come after.

    :raises CredentialsInvalid: the account is gone, or its password another one.
    """
    if now is None:
        raise refusals.CredentialsInvalid("password.account_deleted_meanwhile")
    if now.password_hash != proven.password_hash:
        raise refusals.CredentialsInvalid("password.changed_meanwhile")
    return now


def _why(user: User | None) -> str:
    if user is None:
        return "password.no_account"
    return "password.wrong" if user.password_hash else "password.none"
