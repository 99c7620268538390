"""
`python -m tests.step_by_step` is `hefu` by the long ways, to compare.

That is what tests start in its place with `HEFU_TEST_STEP_BY_STEP=1`. A worker imports
this module before it serves, as Python's `spawn` has it, and so goes the same ways.
"""

from __future__ import annotations

import os
import sys

from hefu import plans
from hefu.cli import main
from models.backends import at_once
from services import login

WANTED = "HEFU_TEST_STEP_BY_STEP" in os.environ
SERVE = [sys.executable, "-m", "tests.step_by_step" if WANTED else "hefu", "serve"]

SWITCHES = ((login, "ONE_STEP"), (plans, "HAS_PLANS"), (at_once, "AT_ONCE"))

if __name__ != "tests.step_by_step":  # Run, or a worker of what was run.
    for module, switch in SWITCHES:
        setattr(module, switch, False)

if __name__ == "__main__":
    sys.exit(main())
