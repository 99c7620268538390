from __future__ import annotations

from typing import Self

import strawberry

from services.errors import InputErrorCode, Problem
from services.language import Language


@strawberry.type(
    description="One value of an input that would not do. Nothing was changed; all of a"
    " form's errors come at once."
)
class InputError:
    path: list[str] = strawberry.field(
        description='Where in the arguments, e.g. `["input", "identifier"]`: names as'
        " in the schema, so that a form can mark the field."
    )
    code: InputErrorCode = strawberry.field(description="What is wrong, for programs.")
    message: str = strawberry.field(
        description="What is wrong, for people: one sentence in the language of the"
        " request's Accept-Language (zh-CN or en)."
    )

    @classmethod
    def of(cls, problem: Problem, language: Language) -> Self:
        return cls(
            path=["input", *problem.path],
            code=problem.code,
            message=problem.text(language, **problem.values),
        )


@strawberry.type(
    description="Something about a value that was saved all the same, but is worth a"
    " look."
)
class InputWarning:
    path: list[str] = strawberry.field(
        description='Where in the arguments, e.g. `["input", "schema"]`.'
    )
    message: str = strawberry.field(
        description="What looks odd, for people, in the language of the request's"
        " Accept-Language."
    )


def no_errors() -> list[InputError]:
    return []
