from __future__ import annotations

import re
from pathlib import Path

import pytest

import services
from models import AuditEvent
from services import events
from services.language import Language

FOLDER = Path(services.__file__).parent
ACTION = re.compile(
    r'"((?:api_key|app|identity|identity_source|link|login|session|user)\.[a-z_]+)"'
)
# What stands after `record(…, ` or `action=` is an action; a rule may look like one.
RECORDED = re.compile(
    rf"(?:record\(\s*caller,\s*|_end\([^)]*?|action(?:: str)? ?= ?){ACTION.pattern}"
)
ACTIONS = sorted(
    {
        action
        for path in FOLDER.glob("*.py")
        for action in RECORDED.findall(path.read_text("utf-8"))
    }
)


def test_actions_are_found() -> None:
    assert {"app.created", "login.failed", "session.revoked"} <= set(ACTIONS)


@pytest.mark.parametrize("language", Language)
@pytest.mark.parametrize("action", ACTIONS)
def test_every_action_has_a_sentence(action: str, language: Language) -> None:
    event = AuditEvent(action=action, changed_fields="", count=1)
    assert events.sentence(event, language) != action
