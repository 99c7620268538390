"""python -m wecom.sandbox --port 8100"""

from __future__ import annotations

import argparse
import logging

import uvicorn

from wecom.sandbox.app import create_sandbox
from wecom.sandbox.running import configured


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m wecom.sandbox")
    parser.add_argument("--port", type=int, default=8100)
    parser.add_argument(
        "--ban-after",
        type=int,
        default=5,
        help="wrong secrets until the address is banned for an hour; 0 never bans",
    )
    asked = parser.parse_args()
    logging.basicConfig(level=logging.INFO)
    sandbox = create_sandbox(ban_after=asked.ban_after or None)
    # On loopback, always: whoever reaches it logs in as anybody.
    uvicorn.Server(configured(sandbox, port=asked.port)).run()


if __name__ == "__main__":
    main()
