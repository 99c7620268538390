"""The command as a person meets it: help, completion, and errors that name the fix."""

from __future__ import annotations

import io
import json
import os
import socket
import sqlite3
import stat
import subprocess
import sys
import time
from contextlib import suppress
from importlib import metadata
from pathlib import Path

import httpx
import pytest

from hefu import cli, completion, terminal
from tests.demo import running, two_free_ports
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
        timeout=120,  # It is to say something, and not to serve.
    )


def serve(
    *arguments: str, cwd: Path, **environ: str
) -> subprocess.CompletedProcess[str]:
    return hefu("serve", *arguments, cwd=cwd, HEFU_SECRET_KEYS=SECRET_KEY, **environ)


@pytest.mark.parametrize("days", ["0", "-1", "1e-12", "1e9", "inf", "nan", "soon"])
def test_a_lifetime_that_is_none_is_a_sentence(days: str, tmp_path: Path) -> None:
    named = ("--name", "x", "--role", "OWNER", f"--expires-in-days={days}")
    done = hefu("create-api-key", *named, cwd=tmp_path)
    assert done.returncode == 2
    assert f"{days} is no number of days above 0 and up to 36500" in done.stderr
    assert done.stdout == ""


def test_the_demo_takes_its_settings_from_files_too(tmp_path: Path) -> None:
    (tmp_path / "url").write_text("mysql://nothing")
    port = str(two_free_ports())
    done = hefu("demo", "--port", port, cwd=tmp_path, HEFU_DATABASE_URL_FILE="url")
    assert done.returncode == 2
    assert done.stderr.splitlines()[1:] == [
        "HEFU_DATABASE_URL: begins with neither sqlite:// nor postgres://"
    ]


@pytest.mark.parametrize("command", ["demo", "serve"])
def test_a_taken_port_is_a_sentence(command: str, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        done = hefu(command, "--port", port, cwd=tmp_path, HEFU_SECRET_KEYS=SECRET_KEY)
    assert done.returncode == 1
    assert done.stderr == (
        f"Something listens on 127.0.0.1:{port} already: --port names another.\n"
    )
    assert done.stdout == ""


def test_a_taken_port_for_metrics_is_a_sentence(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        done = serve("--port", "0", cwd=tmp_path, HEFU_METRICS_LISTEN=address)
    assert done.returncode == 1
    assert done.stderr == (
        f"Something listens on {address} already: HEFU_METRICS_LISTEN names another.\n"
    )


# 192.0.2.0/24 is for documents: no machine has an address of it.
@pytest.mark.parametrize("host", ["192.0.2.1", "no.such.host.invalid"])
def test_an_address_of_another_machine_is_a_sentence(tmp_path: Path, host: str) -> None:
    asked = serve("--host", host, cwd=tmp_path)
    metrics = serve("--port", "0", cwd=tmp_path, HEFU_METRICS_LISTEN=f"{host}:9464")
    assert (asked.returncode, metrics.returncode) == (1, 1)
    no_address = f"{host} is no address of this machine"
    assert asked.stderr == f"{no_address}: --host names another.\n"
    assert metrics.stderr == f"{no_address}: HEFU_METRICS_LISTEN names another.\n"


@pytest.mark.parametrize(
    ("option", "value"), [("--workers", "0"), ("--workers", "-1"), ("--port", "70000")]
)
def test_a_number_out_of_bounds_is_a_sentence(
    tmp_path: Path, option: str, value: str
) -> None:
    done = serve(option, value, cwd=tmp_path)
    assert done.returncode == 2
    assert f"argument {option}: {value} is no whole number from" in done.stderr


def test_an_empty_address_is_a_sentence(tmp_path: Path) -> None:
    """As `--host "$HOST"` gives it: to a socket that is every address there is."""
    done = serve("--host", "", cwd=tmp_path)
    assert done.returncode == 2
    assert "argument --host: it names no address" in done.stderr


def test_a_key_that_could_not_be_printed_is_none(tmp_path: Path) -> None:
    given = {"HEFU_SECRET_KEYS": SECRET_KEY}
    hefu("migrate", cwd=tmp_path, **given)
    made = f"{sys.executable} -m hefu create-api-key --name x --role OWNER"
    for out in (">/dev/full", ">&-"):
        done = subprocess.run(  # noqa: S602
            f"{made} {out}",
            shell=True,
            cwd=tmp_path,
            env={**os.environ, **given},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        assert "Traceback" not in done.stderr
    with sqlite3.connect(tmp_path / "var" / "hefu.db") as database:
        assert database.execute("SELECT COUNT(*) FROM api_keys").fetchone() == (0,)


def test_a_password_that_cannot_be_read_is_a_sentence(tmp_path: Path) -> None:
    done = subprocess.run(  # noqa: S602
        f"{sys.executable} -m hefu create-owner --username x <&-",
        shell=True,
        cwd=tmp_path,
        env={**os.environ, "HEFU_SECRET_KEYS": SECRET_KEY},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr == ("There is no standard input to read the password from.\n")


def test_a_new_database_is_for_its_owner_only(tmp_path: Path) -> None:
    given = {"HEFU_SECRET_KEYS": SECRET_KEY}
    hefu("migrate", cwd=tmp_path, **given)
    mode = (tmp_path / "var" / "hefu.db").stat().st_mode
    assert stat.S_IMODE(mode) == 0o600


def test_a_folder_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "var").touch()
    done = hefu("demo", "--port", str(two_free_ports()), cwd=tmp_path)
    assert done.returncode == 1
    assert done.stderr == "It cannot be done: File exists: var.\n"


@pytest.mark.slow
def test_a_demo_that_is_killed_takes_its_sandbox_along(tmp_path: Path) -> None:
    with running(tmp_path) as demo:
        demo.process.kill()
        demo.process.wait()
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            with suppress(httpx.TransportError):
                httpx.get(demo.phone)
                time.sleep(0.1)
                continue
            return
    raise AssertionError("the sandbox goes on")


@pytest.mark.parametrize("workers", [1, 2])
def test_the_log_tells_of_a_start_and_of_a_stop(tmp_path: Path, workers: int) -> None:
    """Once each, whatever the number of workers."""
    process = subprocess.Popen(  # noqa: S603
        [
            sys.executable,
            "-m",
            "hefu",
            "serve",
            "--port",
            "0",
            "--workers",
            f"{workers}",
        ],
        cwd=tmp_path,
        env={**os.environ, "HEFU_SECRET_KEYS": SECRET_KEY},
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stderr
    started = json.loads(process.stderr.readline())
    port = int(started["address"].rpartition(":")[2])
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        with suppress(httpx.TransportError):
            # Not ready: there is no database.
            httpx.get(f"http://127.0.0.1:{port}/health/live", timeout=60)
            break
        time.sleep(0.05)
    process.terminate()
    _, logged = process.communicate(timeout=30)
    stopped = json.loads(logged)
    assert process.returncode == 0
    assert started["message"] == "Listening"
    assert (started["level"], stopped["level"]) == ("info", "info")
    assert started["version"] == metadata.version("hefu")
    assert (started["database"], started["workers"]) == ("sqlite", workers)
    assert stopped["message"] == "Stopped"


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
