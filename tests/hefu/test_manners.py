"""The command as a person meets it: help, completion, and errors that name the fix."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from hefu import cli, completion, terminal
from tests.house import SECRET_KEY

COMMANDS = ["demo", "serve", "migrate", "create-api-key", "rotate-keys", "completion"]


def hefu(
    *arguments: str, cwd: Path, **environ: str
) -> subprocess.CompletedProcess[str]:
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", "hefu", *arguments],
        cwd=cwd,
        env={**os.environ, **environ},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize("command", ["demo", "serve"])
def test_a_taken_port_is_a_sentence(command: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = hefu(command, "--port", port, cwd=tmp_path, HEFU_SECRET_KEYS=SECRET_KEY)
    assert done.returncode == 1
    assert done.stderr == (
        "Something listens on that port already: --port names another.\n"
    )
    assert done.stdout == ""


def test_bash_completes_commands_and_options() -> None:
    script = completion.script(cli._parser(), "bash")
    script += (
        'COMP_WORDS=(hefu ""); COMP_CWORD=1; _hefu; echo "${COMPREPLY[@]}"\n'
        "COMP_WORDS=(hefu create-api-key --r); COMP_CWORD=2; _hefu;"
        ' echo "${COMPREPLY[@]}"\n'
        "COMP_WORDS=(hefu create-api-key --role OW); COMP_CWORD=3; _hefu;"
        ' echo "${COMPREPLY[@]}"\n'
    )
    done = subprocess.run(  # noqa: S603
        ["bash", "-c", script],  # noqa: S607
        capture_output=True,
        text=True,
        check=True,
    )
    commands, option, role = done.stdout.splitlines()
    assert set(COMMANDS) <= set(commands.split())
    assert option == "--role"
    assert role == "OWNER"


@pytest.mark.parametrize("shell", ["zsh", "fish"])
def test_other_shells_are_told_every_command(shell: str) -> None:
    script = completion.script(cli._parser(), shell)
    assert all(command in script for command in COMMANDS)


def test_colours_are_for_terminals(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)
    screen = io.StringIO()
    assert terminal.red("no", screen) == "no"
    screen.isatty = lambda: True  # type: ignore[method-assign]
    assert terminal.red("no", screen) == "\x1b[31mno\x1b[0m"
    monkeypatch.setenv("NO_COLOR", "1")
    assert terminal.red("no", screen) == "no"
