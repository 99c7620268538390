"""A member's login and an owner's look around, through whatever `send` is."""

import base64
import hashlib
import json
import os
import secrets
import urllib.request


def run(send):
    verifier, challenge = pkce()
    app = {"appId": os.environ["APP"], "identitySource": "wecom"}
    begun = send(
        "start_wecom_mobile_login", {"input": {**app, "codeChallenge": challenge}}
    )["startWecomMobileLogin"]
    approved = approve(begun["corpId"], begun["agentId"], begun["state"])
    login = send(
        "wecom_mobile_login",
        {
            "input": {
                **app,
                "code": approved["code"],
                "state": begun["state"],
                "codeVerifier": verifier,
            }
        },
    )["wecomMobileLogin"]
    me = send("me", {}, login["tokens"]["accessToken"])["me"]
    users = send("admin/users", {"first": 1}, os.environ["KEY"])["users"]
    return {
        "login": login["__typename"],
        "user": login["user"]["id"],
        "me": me["id"],
        "users": users["totalCount"],
        "first": len(users["nodes"]),
    }


def pkce():
    verifier = secrets.token_urlsafe(32)
    digest = hashlib.sha256(verifier.encode()).digest()
    return verifier, base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


def approve(corp_id, agent_id, state):
    """Play the phone."""
    body = {"corpId": corp_id, "agentId": agent_id, "state": state}
    request = urllib.request.Request(
        os.environ["PHONE"] + "/sandbox/approve",
        json.dumps({**body, "userId": "zhangsan"}).encode(),
        {"Content-Type": "application/json"},
    )
    with urllib.request.urlopen(request) as response:
        return json.load(response)
