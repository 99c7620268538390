from __future__ import annotations

import pytest

from scripts import error_catalogue
from services.language import Language


@pytest.mark.parametrize(
    ("language", "name"), [(Language.EN, "errors.md"), (Language.ZH, "errors.zh.md")]
)
def test_the_catalogue_is_the_schemas(language: Language, name: str) -> None:
    """If not: `python -m scripts.error_catalogue` writes it anew."""
    written = (error_catalogue.DOCS / name).read_text(encoding="utf-8")
    assert written == error_catalogue.catalogue(language)
