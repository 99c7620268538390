// A member's login and an owner's look around, through whatever `send` is.

import { readFileSync } from "node:fs";
import { createHash, randomBytes } from "node:crypto";

const { HEFU, PHONE, APP, KEY, OPERATIONS } = process.env;

export const url = `${HEFU}/graphql`;
export const operation = (name) => readFileSync(`${OPERATIONS}/${name}.graphql`, "utf8");

export async function flow(send) {
  const verifier = randomBytes(32).toString("base64url");
  const codeChallenge = createHash("sha256").update(verifier).digest("base64url");
  const app = { appId: APP, identitySource: "wecom" };
  const { startWecomMobileLogin: begun } = await send(
    operation("start_wecom_mobile_login"), { input: { ...app, codeChallenge } });
  const { code } = await approve(begun);
  const { wecomMobileLogin: login } = await send(operation("wecom_mobile_login"), {
    input: { ...app, code, state: begun.state, codeVerifier: verifier } });
  const { me } = await send(operation("me"), {}, login.tokens.accessToken);
  const { users } = await send(operation("admin/users"), { first: 1 }, KEY);
  console.log(JSON.stringify({
    login: login.__typename, user: login.user.id, me: me.id,
    users: users.totalCount, first: (users.nodes ?? users.edges).length,
  }));
}

export async function approve({ corpId, agentId, state }) {
  const response = await fetch(`${PHONE}/sandbox/approve`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({ corpId, agentId, state, userId: "zhangsan" }),
  });
  return response.json();
}
