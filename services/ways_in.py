"""How a person may still log in."""

from __future__ import annotations

from models import BindingMethod, Identity, User, database

_BY_IDENTITY = """
SELECT 1 AS found FROM identities identity
JOIN identity_sources source
    ON source.corp_id = identity.issuer AND source.enabled
JOIN associations association ON association.identity_source_id = source.id
JOIN apps app ON app.id = association.app_id AND app.enabled
WHERE identity.user_id = $1 AND identity.id <> $2
LIMIT 1
"""

_BY_PASSWORD = """
SELECT 1 AS found FROM apps app WHERE app.enabled AND app.allow_password_sign_in LIMIT 1
"""

_BY_BINDING = """
SELECT DISTINCT source.binding_methods AS methods FROM identity_sources source
JOIN associations association ON association.identity_source_id = source.id
JOIN apps app ON app.id = association.app_id AND app.enabled
WHERE source.enabled AND source.association_mode = 'ASK_TO_BIND'
    AND source.corp_id = $1
"""


async def remain(user: User, *, without: Identity) -> bool:
    """
    Whether `user` could log in tomorrow if `without` were unlinked today.

    A password that no app takes opens nothing, nor does an identity of a corp whose
    sources are all gone: people have locked themselves out for good believing so. And
    a source that asks to bind asks the members of its own corp alone.
    """
    if await database.fetch(_BY_IDENTITY, user.id, without.id):
        return True
    methods = _methods(user)
    if not methods:
        return False
    if await database.fetch(_BY_PASSWORD):
        return True
    asking = await database.fetch(_BY_BINDING, without.issuer)
    return any(methods.intersection(row["methods"].split(",")) for row in asking)


def _methods(user: User) -> set[BindingMethod]:
    """What a password of theirs could be typed with, if they have one."""
    names = {
        BindingMethod.USERNAME_PASSWORD: user.username,
        BindingMethod.EMAIL_PASSWORD: user.verified_email,
        BindingMethod.PHONE_PASSWORD: user.verified_phone,
    }
    if user.password_hash is None:
        return set()
    return {method for method, name in names.items() if name}
