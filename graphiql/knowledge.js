// What the page knows of the login in hand: from the server that sent the page, and then
// from each answer. Whoever shows it subscribes.

import { useSyncExternalStore } from "react";

const listeners = new Set();
const verifiers = new Map();
let version = 0;

export const knowledge = {
  appId: "",
  identitySource: "",
  sources: [],
  phone: "",
  bindAccount: "",
  bindPassword: "",
  codeChallenge: "",
  token: "",
  tokenOf: "",
  code: "",
  request: null,

  async begin(start) {
    Object.assign(knowledge, start);
    knowledge.identitySource = knowledge.sources[0] ?? "";
    await knowledge.renewChallenge();
  },

  know(facts) {
    Object.assign(knowledge, facts);
    version += 1;
    for (const listener of listeners) listener();
  },

  /* RFC 7636: the verifier stays here until the login that the challenge began. */
  async renewChallenge() {
    if (!globalThis.crypto.subtle) return; // Neither HTTPS nor localhost.
    const verifier = base64url(crypto.getRandomValues(new Uint8Array(32)));
    const bytes = new TextEncoder().encode(verifier);
    const digest = await crypto.subtle.digest("SHA-256", bytes);
    const codeChallenge = base64url(new Uint8Array(digest));
    verifiers.set(codeChallenge, verifier);
    knowledge.know({ codeChallenge });
  },

  verifierOf: (codeChallenge) => verifiers.get(codeChallenge),
};

export function useKnowledge() {
  useSyncExternalStore(subscribe, () => version);
  return knowledge;
}

function subscribe(listener) {
  listeners.add(listener);
  return () => listeners.delete(listener);
}

function base64url(bytes) {
  const text = btoa(String.fromCharCode(...bytes));
  return text.replaceAll("+", "-").replaceAll("/", "_").replaceAll("=", "");
}
