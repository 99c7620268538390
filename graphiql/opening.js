// The operations, as tabs.

import { knowledge } from "./knowledge.js";

/* global OPERATIONS */
export const operations = OPERATIONS;

const FIRST = [
  "startWecomMobileLogin", "wecomMobileLogin", "me",
  "bindExistingAccount", "bindNewAccount", "refreshSession", "signOut",
  "identitySources", "createWecomMobileIdentitySource", "testIdentitySource", "auditEvents",
];

const WORDS = {
  appId: "the app's id, app_…",
  identitySource: "the source's identifier",
  codeChallenge: "BASE64URL(SHA256(codeVerifier))",
  codeVerifier: "what the challenge was made of",
  code: "the code that the phone shows",
  state: "the state that startWecomMobileLogin answered",
  ticket: "the ticket of BindingRequired",
  refreshToken: "the refresh token of a login",
};

export function opened() {
  const shown = FIRST.map((field) => operations.find((one) => one.field === field));
  return shown.filter(Boolean).map(tabOf);
}

export function tabOf(operation) {
  const filled = JSON.stringify(operation.variables, fill, 2);
  return {
    title: operation.name,
    query: operation.document,
    variables: filled === "{}" ? null : filled,
  };
}

function fill(_, value) {
  const name = typeof value === "string" && /^\{(\w+)\}$/.exec(value)?.[1];
  if (!name) return value;
  return knowledge[name] || (WORDS[name] ?? "");
}
