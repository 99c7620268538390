"""Plays WeCom for demos, tests and load: `python -m wecom.sandbox --port 8100`."""

from __future__ import annotations

from wecom.sandbox.app import Sandbox as Sandbox
from wecom.sandbox.app import create_sandbox as create_sandbox
from wecom.sandbox.running import running as running
