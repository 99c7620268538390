// What an answer tells that another operation needs.

import { knowledge } from "./knowledge.js";

const STARTS = ["startWecomMobileLogin", "startWecomMobileLink"];
const ENDS = { startWecomMobileLogin: "wecomMobileLogin", startWecomMobileLink: "linkWecomMobile" };
const BINDS = ["bindExistingAccount", "bindNewAccount"];
const REFRESHES = ["refreshSession", "signOut"];

export async function learn(hands, request, answer) {
  for (const [field, result] of Object.entries(answer.data ?? {})) {
    if (!result || typeof result !== "object") continue;
    if (STARTS.includes(field) && result.state) await started(hands, request, field, result);
    if (result.ticket) await hands.fill(BINDS, { ticket: result.ticket });
    if (result.tokens) await loggedIn(hands, result);
    if (field === "signOut") knowledge.know({ token: "", tokenOf: "" });
  }
}

async function started(hands, request, field, result) {
  const { identitySource, codeChallenge } = request.variables?.input ?? {};
  knowledge.know({ request: result, code: "" });
  await hands.fill([ENDS[field]], {
    identitySource,
    state: result.state,
    codeVerifier: knowledge.verifierOf(codeChallenge),
  });
  await knowledge.renewChallenge();
  await hands.fill(STARTS, { codeChallenge: knowledge.codeChallenge });
}

async function loggedIn(hands, { tokens, user }) {
  const tokenOf = user?.displayName ?? user?.id ?? knowledge.tokenOf;
  if (tokens.accessToken) knowledge.know({ token: tokens.accessToken, tokenOf });
  if (tokens.refreshToken) {
    await hands.fill(REFRESHES, { refreshToken: tokens.refreshToken });
  }
}
