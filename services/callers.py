"""Who is asking, and from where."""

from __future__ import annotations

from dataclasses import dataclass

from models import ApiKey, AuditActorType, Role, Session, User, ids
from services.errors import Forbidden, Unauthenticated, UnauthenticatedReason
from services.language import Language, Text

FOR_PEOPLE = Text(
    "This is for people: an API key has no session.",
    "此操作仅限用户本人：API 密钥没有会话。",
)


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a request came from, as audit events and sessions note it."""

    request_id: str
    ip_address: str
    user_agent: str | None = None
    language: Language = Language.EN


@dataclass(frozen=True, slots=True)
class Caller:
    """
    Whoever makes a request: nobody, the holder of a session, or of an API key.

    `role` is what the caller may do on the admin API now: an account's role counts only
    where its app has adminAccess, since any other app's back end could replay its
    users' tokens here.
    """

    origin: Origin
    role: Role | None = None
    user: User | None = None
    session: Session | None = None
    api_key: ApiKey | None = None
    # What a credential that counts as none was: the reason that refusals then give.
    reason: UnauthenticatedReason = UnauthenticatedReason.MISSING

    def require(self, role: Role) -> None:
        """
        :raises Unauthenticated: there is no credential.
        :raises Forbidden: the caller's role is below `role`.
        """
        if self.role is None:
            raise Unauthenticated(self.reason)
        if self.role.rank < role.rank:
            raise Forbidden

    def person(self) -> tuple[User, Session]:
        """
        The account and the session of an access token.

        :raises Unauthenticated: there is no credential.
        :raises Forbidden: it is an API key's, which is nobody's session.
        """
        if self.role is None:
            raise Unauthenticated(self.reason)
        if self.user is None or self.session is None:
            raise Forbidden(FOR_PEOPLE)
        return self.user, self.session

    @property
    def may_introspect(self) -> bool:
        return self.role is not None and self.role.rank >= Role.VIEWER.rank

    @property
    def actor_type(self) -> AuditActorType:
        if self.api_key is not None:
            return AuditActorType.API_KEY
        return AuditActorType.USER if self.user else AuditActorType.ANONYMOUS

    @property
    def actor_id(self) -> str | None:
        if self.api_key is not None:
            return ids.show(ids.API_KEY, self.api_key.id)
        return ids.show(ids.USER, self.user.id) if self.user else None

    @property
    def actor_name(self) -> str | None:
        if self.api_key is not None:
            return self.api_key.name
        return (self.user.display_name or self.user.username) if self.user else None
