"""The client that ariadne-codegen writes: typed methods, one an operation."""

import asyncio
import json
import os

import flow
from hefu_client import (
    Client,
    StartWecomMobileLoginInput,
    WecomMobileLoginInput,
)

URL = os.environ["HEFU"] + "/graphql"


def client(token=None):
    return Client(
        url=URL, headers={"Authorization": f"Bearer {token}"} if token else {}
    )


async def main():
    verifier, challenge = flow.pkce()
    app = {"app_id": os.environ["APP"], "identity_source": "wecom"}
    begun = await client().start_wecom_mobile_login(
        StartWecomMobileLoginInput(**app, code_challenge=challenge)
    )
    begun = begun.start_wecom_mobile_login
    approved = flow.approve(begun.corp_id, begun.agent_id, begun.state)
    login = await client().wecom_mobile_login(
        WecomMobileLoginInput(
            **app, code=approved["code"], state=begun.state, code_verifier=verifier
        )
    )
    login = login.wecom_mobile_login
    me = (await client(login.tokens.access_token).me()).me
    users = (await client(os.environ["KEY"]).users(first=1)).users
    return {
        "login": login.typename__,
        "user": login.user.id,
        "me": me.id,
        "users": users.total_count,
        "first": len(users.nodes),
    }


print(json.dumps(asyncio.run(main())))
