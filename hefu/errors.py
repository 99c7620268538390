"""
What an answer says of what went wrong, and what only the log says.

A domain error speaks for itself. Everything else is a bug or an accident whose text may
hold a statement's values: callers get a request id, the log the type and the frames.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from graphql import GraphQLError

from hefu import logs, sentences
from hefu.coercion import MOST_ERRORS
from services.errors import BadRequest, RequestRejected, Unauthenticated, Unavailable
from services.errors import UnauthenticatedReason as Reason
from services.language import Language, Text

logger = logging.getLogger(__name__)

Entry = dict[str, Any]
OnBug = Callable[[], None]

_ARGUMENT = re.compile(r"Argument '[_0-9A-Za-z]+' (?:has invalid value|of .*\.$)")

INTERNAL = Text("Internal error", "内部错误")

# These say that the credential itself is no good; the others that none was needed yet.
REFUSES_THE_CREDENTIAL = frozenset({Reason.INVALID, Reason.REVOKED})


class Answers:
    """Turns errors into entries of an answer's `errors`, never more than ten."""

    def __init__(
        self,
        outages: tuple[type[BaseException], ...] = (),
        on_bug: OnBug | None = None,
    ) -> None:
        self._outages = outages
        self._on_bug = on_bug

    def of_request(
        self, errors: Iterable[GraphQLError], language: Language
    ) -> list[Entry]:
        """
        Of a document or variables that would not do: all are the caller's.

        What is wrong in the same words at many places is told of the first.
        """
        described = {"code": BadRequest.code}
        different = {error.message: error for error in reversed(list(errors))}
        return [
            _entry(error, described, sentences.told(error.message, language))
            for error in _first_ten(reversed(different.values()))
        ]

    def of_execution(
        self, errors: Iterable[GraphQLError], request_id: str, language: Language
    ) -> list[Entry]:
        return [
            self._executed(error, request_id, language) for error in _first_ten(errors)
        ]

    def of_rejection(self, rejection: RequestRejected, language: Language) -> Entry:
        message = rejection.message(language)
        return {"message": message, "extensions": extensions(rejection)}

    def status(self, errors: Iterable[GraphQLError]) -> int:
        """The HTTP status of an operation that ran, with these errors."""
        causes = [self._cause(error) for error in errors]
        if any(isinstance(cause, Unavailable) for cause in causes):
            return 503
        if any(refuses_credential(cause) for cause in causes):
            return 401
        return 200

    def _executed(
        self, error: GraphQLError, request_id: str, language: Language
    ) -> Entry:
        cause = self._cause(error)
        if isinstance(cause, RequestRejected):
            return _entry(error, extensions(cause), cause.message(language))
        if about := _about_an_argument(error):
            message = sentences.told(about, language)
            return _entry(error, {"code": BadRequest.code}, message)
        log_bug(
            error.original_error or error,
            request_id,
            path=error.path,
            on_bug=self._on_bug,
        )
        return _entry(error, internal(request_id), INTERNAL(language))

    def _cause(self, error: GraphQLError) -> BaseException | None:
        cause = error.original_error
        return Unavailable() if isinstance(cause, self._outages) else cause


def extensions(rejection: RequestRejected) -> dict[str, Any]:
    described: dict[str, Any] = {"code": rejection.code}
    if isinstance(rejection, Unauthenticated):
        described["reason"] = str(rejection.reason)
    return described


def internal(request_id: str) -> dict[str, Any]:
    return {"code": "INTERNAL", "requestId": request_id}


def refuses_credential(cause: BaseException | None) -> bool:
    return isinstance(cause, Unauthenticated) and cause.reason in REFUSES_THE_CREDENTIAL


def log_bug(
    error: BaseException,
    request_id: str,
    path: Sequence[str | int] | None = None,
    *,
    on_bug: OnBug | None = None,
) -> None:
    """
    Type and frames, not `str(error)`: a unique violation's text is the row.

    `on_bug` is told that there was one: most are answered with HTTP 200, so whoever
    counts statuses does not see them.
    """
    if on_bug is not None:
        on_bug()
    field = ".".join(str(step) for step in path or ())
    logger.error(
        "Unexpected error",
        extra={"requestId": request_id, "field": field} | logs.described(error),
    )


def _first_ten(errors: Iterable[GraphQLError]) -> list[GraphQLError]:
    return list(errors)[:MOST_ERRORS]


def _about_an_argument(error: GraphQLError) -> str | None:
    """
    What graphql-core says of an argument that a variable made invalid.

    "Argument 'x' has invalid value at .y: …" goes on with the value.
    """
    cause = error.original_error
    if cause is not None and not isinstance(cause, GraphQLError):
        return None
    found = _ARGUMENT.match(error.message)
    return found[0] if found else None


def _entry(
    error: GraphQLError, described: dict[str, Any], message: str | None = None
) -> Entry:
    entry: Entry = {"message": message or error.message, "extensions": described}
    if error.locations:
        entry["locations"] = [
            {"line": each.line, "column": each.column} for each in error.locations[:1]
        ]
    if error.path:
        entry["path"] = list(error.path)
    return entry
