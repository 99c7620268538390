"""The command `hefu`."""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import sys
from collections.abc import AsyncGenerator, Callable, Coroutine
from contextlib import asynccontextmanager
from datetime import timedelta
from importlib import metadata
from pathlib import Path
from typing import Any

from hefu import terminal
from hefu.listening import CannotListen
from hefu.settings import HIGHEST_PORT, BadSettings, Settings, database_url
from models import Role, database, migrating, outages
from models.address import Address
from models.backends.file import Missing
from models.migrating import Standing
from services.assembly import Services, assemble
from services.clock import now
from services.errors import InputRejected
from services.language import Language
from services.vault import Vault

DESCRIPTION = """\
Hefu (合符): log people in to your mobile apps with WeCom.

  To look around, with a sandbox that plays WeCom:
    hefu demo

  To run it:
    export HEFU_SECRET_KEYS=$(openssl rand -base64 32)   keep it: it encrypts secrets
    hefu migrate                                         make or update the database
    hefu create-api-key --name me --role OWNER           a key for the admin API
    hefu serve                                           then POST to /graphql

  When something is wrong:
    hefu check

Settings come from the environment (HEFU_DATABASE_URL, HEFU_SECRET_KEYS …); each may
come from a file instead: HEFU_SECRET_KEYS_FILE. `hefu COMMAND --help` tells more.
"""

EPILOG = 'Completion: eval "$(hefu completion bash)"; zsh and fish likewise.'


# More than any machine has cores for.
MOST_WORKERS = 1000

# A hundred years: what is to last longer needs no end.
MOST_DAYS = 36_500


class Failed(Exception):
    """The command cannot do what it was asked; the text says why and what to do."""


def main(argv: list[str] | None = None) -> int:
    """Run the command, and return its exit status."""
    arguments = _parser().parse_args(argv)
    try:
        status: int | None = arguments.run(arguments)
    except BadSettings as error:
        _complain("Hefu does not start on these settings:", *error.problems)
        return 2
    except InputRejected as error:
        _complain(
            *(problem.text(Language.EN, **problem.values) for problem in error.problems)
        )
        return 1
    except (Failed, CannotListen) as error:
        _complain(str(error))
        return 1
    except migrating.TooNew:
        _complain("The database is of a newer major version: install that one.")
        return 1
    except migrating.Unfinished as error:
        _complain(
            f"The database's record of migrations lacks {error}, and has what came "
            "after. Nothing was changed: is it a backup that is whole?"
        )
        return 1
    except database.DatabaseUnavailable as error:
        _complain(f"The database does not do as it is told: {error.__cause__}")
        _complain(_what_to_do(error))
        return 1
    except BrokenPipeError:
        return _unheard()
    except OSError as error:
        return _not_done(arguments.run, error)
    except KeyboardInterrupt:
        return 130
    return status or 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="hefu",
        description=DESCRIPTION,
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--version", action="version", version=f"hefu {metadata.version('hefu')}"
    )
    commands = parser.add_subparsers(required=True, metavar="command")

    def add(
        name: str, run: Callable[[Any], int | None], help: str
    ) -> argparse.ArgumentParser:
        command = commands.add_parser(name, help=help, description=help)
        command.set_defaults(run=run)
        return command

    demo = add("demo", _demo, "look around, with everything that it takes")
    demo.add_argument(
        "--port",
        type=_whole(0, HIGHEST_PORT - 1),
        default=8000,
        help="the sandbox takes the one after it",
    )
    serve = add("serve", _serve, "run the server; applies no migrations")
    serve.add_argument("--host", type=_named, default="127.0.0.1")
    serve.add_argument("--port", type=_whole(0, HIGHEST_PORT), default=8000)
    serve.add_argument("--workers", type=_whole(1, MOST_WORKERS), default=1)
    add("migrate", _migrate, "bring the database up to date; safe to run twice")
    key = add("create-api-key", _create_api_key, "print a new API key, once")
    key.add_argument("--name", required=True)
    roles = [role.value for role in Role if role is not Role.MEMBER]
    key.add_argument("--role", required=True, choices=roles)
    key.add_argument("--expires-in-days", type=_days, metavar="D")
    owner = add("create-owner", _create_owner, "an account that may do everything")
    owner.add_argument("--username", required=True)
    add("print-schema", _print_schema, "print the GraphQL schema")
    rotate = add("rotate-keys", _rotate_keys, "change the server's keys")
    which = rotate.add_mutually_exclusive_group(required=True)
    which.add_argument("--signing", action="store_true", help="a new signing key")
    which.add_argument(
        "--secrets",
        action="store_true",
        help="encrypt everything under the first of HEFU_SECRET_KEYS",
    )
    add("prune", _prune, "delete what has expired")
    add("check", _check, "what is wrong, and how to mend it; exit 1 if anything is")
    backup = add("backup", _backup, "copy a SQLite database while it serves")
    backup.add_argument("file", metavar="FILE", type=Path)
    completion = add("completion", _completion, "print what completes in a shell")
    completion.add_argument("shell", choices=["bash", "zsh", "fish"])
    return parser


def _named(text: str) -> str:
    """Reads an option that may not be empty: to a socket that is every address."""
    if not text.strip():
        raise argparse.ArgumentTypeError("it names no address")
    return text


def _whole(least: int, most: int) -> Callable[[str], int]:
    """What reads an option that is a whole number within bounds."""

    def read(text: str) -> int:
        if not text.isdecimal() or not least <= int(text) <= most:
            raise argparse.ArgumentTypeError(
                f"{text} is no whole number from {least} to {most}"
            )
        return int(text)

    return read


def _days(text: str) -> timedelta:
    """Reads an option that is a time in days, decimals allowed."""
    try:
        lifetime = timedelta(days=float(text))
    except (ValueError, OverflowError):
        lifetime = timedelta()
    if not timedelta() < lifetime <= timedelta(days=MOST_DAYS):
        raise argparse.ArgumentTypeError(
            f"{text} is no number of days above 0 and up to {MOST_DAYS}"
        )
    return lifetime


@asynccontextmanager
async def _services() -> AsyncGenerator[Services]:
    settings = Settings.from_environ(os.environ)
    async with database.opened(settings.database_url):
        match await migrating.standing():
            case Standing.TOO_NEW:
                raise migrating.TooNew
            case Standing.LACKS:
                raise Failed(
                    "The database is not up to date: run `hefu migrate` first."
                )
            case Standing.SERVES:
                pass
        services = assemble(
            settings.policy,
            vault=Vault(settings.secret_keys),
            wecom_url=settings.wecom_url,
        )
        try:
            yield services
        finally:
            await services.close()


def _demo(arguments: argparse.Namespace) -> None:
    from hefu import demo

    demo.run(arguments.port)


def _completion(arguments: argparse.Namespace) -> None:
    from hefu import completion

    print(completion.script(_parser(), arguments.shell), end="")


def _serve(arguments: argparse.Namespace) -> None:
    from hefu import server

    settings = Settings.from_environ(os.environ)
    server.serve(
        "hefu.app:create_app",
        host=arguments.host,
        port=arguments.port,
        workers=arguments.workers,
        log_level=settings.log_level,
        metrics_listen=settings.metrics_listen,
        described={"database": Address.parse(settings.database_url).dialect},
    )


def _migrate(arguments: argparse.Namespace) -> None:
    settings = Settings.from_environ(os.environ)

    async def migrate() -> None:
        async with database.opened(settings.database_url, create=True):
            applied = await migrating.migrate()
            services = assemble(
                settings.policy,
                vault=Vault(settings.secret_keys),
                wecom_url=settings.wecom_url,
            )
            await services.keys.ensure()
            await services.close()
        for name in applied:
            print(f"Applied {name}", file=sys.stderr)
        print("The database is up to date.", file=sys.stderr)

    asyncio.run(migrate())


def _create_api_key(arguments: argparse.Namespace) -> None:
    if sys.stdout is None:
        raise Failed("There is no standard output to print the key on.")

    async def create(services: Services) -> None:
        lifetime: timedelta | None = arguments.expires_in_days
        expires_at = None if lifetime is None else now() + lifetime
        # One that could not be printed is none: nobody would know that it is there. Of
        # one that was printed and could not be written the command says that it failed.
        async with database.transaction():
            made = await services.api_keys.create_from_console(
                arguments.name, Role(arguments.role), expires_at
            )
            print(made.secret, flush=True)

    _with_services(create)


def _create_owner(arguments: argparse.Namespace) -> None:
    if sys.stdin is None:
        raise Failed("There is no standard input to read the password from.")
    if sys.stdin.isatty():
        print("Password: ", end="", file=sys.stderr, flush=True)
    password = sys.stdin.readline().rstrip("\r\n")

    async def create(services: Services) -> None:
        await services.accounts.create_owner(arguments.username, password)
        print(f"{arguments.username} may do everything now.", file=sys.stderr)

    _with_services(create)


def _print_schema(arguments: argparse.Namespace) -> None:
    from hefu.api import schema

    print(schema.as_str())


def _rotate_keys(arguments: argparse.Namespace) -> None:
    async def rotate(services: Services) -> None:
        if arguments.signing:
            active_from = await services.keys.rotate_signing()
            print(
                f"The new key signs from {active_from:%H:%M:%S} UTC on.",
                file=sys.stderr,
            )
            return
        moved, left = await services.resealing.run()
        print(f"Encrypted {moved} secrets anew.", file=sys.stderr)
        if left:
            raise Failed(
                f"Left {left}, which are under a key that HEFU_SECRET_KEYS lacks. "
                "Add it, behind the new one, and run this again."
            )

    _with_services(rotate)


def _prune(arguments: argparse.Namespace) -> None:
    async def prune(services: Services) -> None:
        deleted = await services.pruning.run()
        if deleted is None:
            raise Failed("Another process is pruning at the moment.")
        for name, count in deleted.items():
            print(f"{count:8} {name}", file=sys.stderr)

    _with_services(prune)


def _check(arguments: argparse.Namespace) -> int:
    from hefu import checks

    async def check() -> bool:
        well = True
        async for finding in checks.findings(os.environ):
            print(finding, flush=True)
            well = well and finding.well
        return well

    return 0 if asyncio.run(check()) else 1


def _backup(arguments: argparse.Namespace) -> None:
    from hefu import backups

    try:
        size = backups.copy(database_url(os.environ), arguments.file)
    except backups.CannotBackUp as error:
        raise Failed(str(error)) from None
    print(f"Wrote {size} bytes to {arguments.file}.", file=sys.stderr)


def _with_services(run: Callable[[Services], Coroutine[Any, Any, None]]) -> None:
    async def opened() -> None:
        async with _services() as services:
            await run(services)

    asyncio.run(opened())


def _what_to_do(error: database.DatabaseUnavailable) -> str:
    if isinstance(error.__cause__, Missing):
        return "Is HEFU_DATABASE_URL right? `hefu migrate` makes a new one."
    if outages.is_denied(error.__cause__ or error):
        from hefu import checks

        return checks.GRANT
    return "Is HEFU_DATABASE_URL right, and the database up?"


def _not_done(command: object, error: OSError) -> int:
    """Of a file or an output that a command needs; in a server it is a bug."""
    if command is _serve:
        raise error
    where = f": {error.filename}" if error.filename else ""
    what = error.strerror or type(error).__name__
    _complain(f"It cannot be done: {what}{where}.")
    return 1


def _unheard() -> int:
    """Whoever read the output has enough, as `head` does: the rest goes nowhere."""
    # Or Python complains once more when it flushes at its end.
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    return 128 + signal.SIGPIPE


def _complain(*sentences: str) -> None:
    for sentence in sentences:
        print(terminal.red(sentence, sys.stderr), file=sys.stderr)
