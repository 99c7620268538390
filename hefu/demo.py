"""
`hefu demo`: everything that it takes to look around, on one machine, in one command.

The sandbox plays WeCom beside the server: whoever reaches it logs in as anybody, which
is why it listens on loopback only and never runs with `hefu serve`.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import json
import multiprocessing
import os
import secrets
import socket
import sys
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from functools import partial
from pathlib import Path
from typing import Any

import uvicorn

from hefu import server, terminal
from hefu.app import House, create_app
from hefu.listening import explained
from hefu.page import Page, Start
from hefu.settings import Settings
from models import (
    AccountAssociationMode,
    ApiKey,
    App,
    BindingMethod,
    IdentitySource,
    Role,
    User,
    database,
    digests,
    ids,
    migrating,
)
from services.account_association import AccountAssociation
from services.account_fields import NewAccount
from services.apps import NewApp
from services.assembly import Services, assemble
from services.callers import Caller, Origin
from services.sources import NewWecomMobile
from services.vault import Vault
from wecom.sandbox import create_sandbox, examples
from wecom.sandbox.running import configured

FOLDER = Path("var")
PAGE = "HEFU_DEMO_PAGE"  # Between `run` and the worker; nobody else sets it.
APP_NAME = "Hefu demo"
SOURCE = "wecom"
BINDING_SOURCE = "wecom-bind"
MEMBER = "zhangsan"
BOUND_USERNAME = "lisi"
BOUND_PASSWORD = "correct horse battery staple"

LOGIN = """\
# 1. Begin: the state is bound to a verifier that stays on the device.
VERIFIER=$(openssl rand -hex 32)
CHALLENGE=$(printf %s "$VERIFIER" | openssl dgst -sha256 -binary \\
  | openssl base64 -A | tr '+/' '-_' | tr -d '=')
STATE=$(curl -s {hefu}/graphql -H 'Content-Type: application/json' -d '{{
  "query": "mutation($input: StartWecomMobileLoginInput!) {{ startWecomMobileLogin(input: $input) {{ ... on WecomMobileLoginRequest {{ state }} ... on LoginFailure {{ code message }} }} }}",
  "variables": {{"input": {{"appId": "{app}", "identitySource": "{source}", "codeChallenge": "'$CHALLENGE'"}}}}}}' \\
  | sed 's/.*"state":"\\([^"]*\\)".*/\\1/')

# 2. Approve, as a member does in the WeCom app on the phone.
CODE=$(curl -s {sandbox}/sandbox/approve -H 'Content-Type: application/json' -d '{{
  "corpId": "{corp}", "agentId": "{agent}", "userId": "{member}", "state": "'$STATE'"}}' \\
  | sed 's/.*"code":"\\([^"]*\\)".*/\\1/')

# 3. Log in.
curl -s -w '\\n' {hefu}/graphql -H 'Content-Type: application/json' -d '{{
  "query": "mutation($input: WecomMobileLoginInput!) {{ wecomMobileLogin(input: $input) {{ __typename ... on LoginSuccess {{ resolution user {{ id displayName }} tokens {{ accessToken refreshToken expiresIn }} }} ... on LoginFailure {{ code message retry }} }} }}",
  "variables": {{"input": {{"appId": "{app}", "identitySource": "{source}", "code": "'$CODE'", "state": "'$STATE'", "codeVerifier": "'$VERIFIER'"}}}}}}'
"""


@dataclass(frozen=True, slots=True)
class Demo:
    """What was set up, and where."""

    hefu: str
    sandbox: str
    app_id: str
    key_file: Path


def run(port: int) -> None:
    """Set up what is missing, print what one can do, and serve until interrupted."""
    FOLDER.mkdir(exist_ok=True)
    FOLDER.chmod(0o700)
    sandbox_port = port + 1
    for taken in (port, sandbox_port):
        with explained("127.0.0.1", taken, host_from="--host", port_from="--port"):
            socket.create_server(("127.0.0.1", taken)).close()
    environ = _environment(port, sandbox_port)
    os.environ.update(environ)
    settings = Settings.from_environ(os.environ)
    spawn = multiprocessing.get_context("spawn")
    sandbox = spawn.Process(
        target=play_wecom, args=(sandbox_port, os.getpid()), daemon=True
    )
    sandbox.start()
    try:
        demo = asyncio.run(_set_up(settings, port, sandbox_port))
        os.environ[PAGE] = json.dumps(asdict(_start(demo)))
        server.serve(
            "hefu.demo:application",
            host="127.0.0.1",
            port=port,
            log_level=settings.log_level,
            metrics_listen=settings.metrics_listen,
            on_started=lambda host, port: _introduce(demo),
        )
    finally:
        sandbox.terminate()
        sandbox.join(5)


def application() -> House:
    """The application, with a page that knows the demo's app; uvicorn calls it."""
    start: dict[str, Any] = json.loads(os.environ[PAGE])
    return create_app(page=Page(Start(**start)))


def _start(demo: Demo) -> Start:
    return Start(
        appId=demo.app_id,
        sources=(SOURCE, BINDING_SOURCE),
        phone=demo.sandbox,
        bindAccount=BOUND_USERNAME,
        bindPassword=BOUND_PASSWORD,
    )


def play_wecom(port: int, parent: int) -> None:
    """The sandbox, in a process of its own: it is another company's server."""
    with contextlib.suppress(KeyboardInterrupt):
        _Sandbox(configured(create_sandbox(), port=port), parent).run()


class _Sandbox(uvicorn.Server):
    """Ends with the demo, also where that was killed."""

    def __init__(self, config: uvicorn.Config, parent: int) -> None:
        super().__init__(config)
        self._parent = parent

    async def on_tick(self, counter: int) -> bool:
        if os.getppid() != self._parent:
            self.should_exit = True
        return await super().on_tick(counter)


def _environment(port: int, sandbox_port: int) -> dict[str, str]:
    """What `.env` and the environment say, and the demo's own values for the rest."""
    own = {
        "HEFU_DATABASE_URL": f"sqlite://{FOLDER / 'hefu.db'}",
        "HEFU_PUBLIC_URL": f"http://localhost:{port}",
        "HEFU_WECOM_URL": f"http://127.0.0.1:{sandbox_port}",
        "HEFU_GRAPHIQL": "on",
        "HEFU_LOG_LEVEL": "warning",
    }
    given = {**_dotenv(Path(".env")), **os.environ}
    own = {name: told for name, told in own.items() if f"{name}_FILE" not in given}
    for name in ("HEFU_SECRET_KEYS", "HEFU_SECRET_KEYS_FILE"):
        if name in given:
            return {**own, **_hefu(given)}
    return {**own, **_hefu(given), "HEFU_SECRET_KEYS": _kept_key()}


def _hefu(environ: Mapping[str, str]) -> dict[str, str]:
    return {name: value for name, value in environ.items() if name.startswith("HEFU_")}


def _dotenv(path: Path) -> dict[str, str]:
    if not path.exists():
        return {}
    lines = path.read_text(encoding="utf-8").splitlines()
    pairs = (line.partition("=") for line in lines if not line.lstrip().startswith("#"))
    return {
        name.strip(): value.strip().strip("'\"")
        for name, _, value in pairs
        if name.strip()
    }


def _kept_key() -> str:
    path = FOLDER / "secret-key"
    if not path.exists():
        _write_private(path, base64.b64encode(secrets.token_bytes(32)).decode())
    return path.read_text(encoding="ascii").strip()


def _write_private(path: Path, text: str) -> None:
    """Readable by its owner from the first byte on."""
    path.unlink(missing_ok=True)
    descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text + "\n")


async def _set_up(settings: Settings, port: int, sandbox_port: int) -> Demo:
    async with database.opened(settings.database_url, create=True):
        await migrating.migrate()
        services = assemble(
            settings.policy,
            vault=Vault(settings.secret_keys),
            wecom_url=settings.wecom_url,
        )
        await services.keys.ensure()
        key_file = await _owner_key(services)
        app = await _app(services)
        await services.close()
    return Demo(
        hefu=f"http://localhost:{port}",
        sandbox=f"http://localhost:{sandbox_port}",
        app_id=ids.show(ids.APP, app.id),
        key_file=key_file,
    )


async def _owner_key(services: Services) -> Path:
    path = FOLDER / "owner-api-key"
    if path.exists():
        digest = digests.of(path.read_text(encoding="ascii").strip())
        if await ApiKey.filter(digest=digest, revoked_at__isnull=True).exists():
            return path
    made = await services.api_keys.create_from_console("demo", Role.OWNER)
    _write_private(path, made.secret)
    return path


async def _app(services: Services) -> App:
    """The example app, its two sources and somebody to bind; made once."""
    caller = Caller(Origin(request_id="demo", ip_address="127.0.0.1"), role=Role.OWNER)
    app = await App.filter(name=APP_NAME).order_by("id").first()
    if app is None:
        new = NewApp(name=APP_NAME, allow_password_sign_in=True)
        app = await services.apps.create(caller, new)
    asking = AccountAssociation(
        AccountAssociationMode.ASK_TO_BIND,
        binding_methods=[BindingMethod.USERNAME_PASSWORD],
    )
    await _source(services, caller, app, SOURCE, None)
    await _source(services, caller, app, BINDING_SOURCE, asking)
    if not await User.filter(username_key=BOUND_USERNAME).exists():
        await services.accounts.create(
            caller,
            NewAccount(
                username=BOUND_USERNAME, display_name="李四", password=BOUND_PASSWORD
            ),
        )
    return app


async def _source(
    services: Services,
    caller: Caller,
    app: App,
    identifier: str,
    association: AccountAssociation | None,
) -> None:
    source = await IdentitySource.get_or_none(identifier=identifier)
    if source is None:
        example = examples.PRIVATE if association is None else examples.OLD
        saved = await services.sources.create_wecom_mobile(
            caller,
            NewWecomMobile(
                identifier=identifier,
                display_name="企业微信" if association is None else "企业微信（绑定）",
                corp_id=example.agent.corp_id,
                agent_id=example.agent.agent_id,
                secret=example.agent.secret,
                schema=example.schema,
                account_association=association,
            ),
        )
        source = saved.source
    await services.associations.associate(
        caller, ids.show(ids.APP, app.id), ids.show(ids.SOURCE, source.id)
    )


def _introduce(demo: Demo) -> None:
    agent = examples.AGENT
    login = LOGIN.format(
        hefu=demo.hefu,
        sandbox=demo.sandbox,
        app=demo.app_id,
        source=SOURCE,
        corp=agent.corp_id,
        agent=agent.agent_id,
        member=MEMBER,
    )
    key = demo.key_file.read_text(encoding="ascii").strip()
    bold = partial(terminal.bold, stream=sys.stdout)
    print(
        f"""
{bold("Hefu is up.")} Open {bold(demo.hefu + "/graphql")}: its panel leads through a login.

  GraphiQL        {demo.hefu}/graphql
  The phone       {demo.sandbox}/
  App             {demo.app_id}
  Sources         {SOURCE} (a first login creates an account),
                  {BINDING_SOURCE} (asks to bind: {BOUND_USERNAME} / {BOUND_PASSWORD})
  Owner's key     {key}
                  (kept in {demo.key_file}, readable by you only)

{bold("A login, to paste into another terminal:")}

{login}
Ctrl-C stops both servers; what you did stays in {FOLDER}/.
""",
        flush=True,
    )
