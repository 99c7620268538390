import { createHash, randomBytes } from "node:crypto";
import runtime from "relay-runtime";
import LoginMutation from "./src/__generated__/AppLoginMutation.graphql.js";
import NodeQuery from "./src/__generated__/AppNodeQuery.graphql.js";
import StartMutation from "./src/__generated__/AppStartMutation.graphql.js";
import UsersQuery from "./src/__generated__/AppUsersQuery.graphql.js";
import { approve, url } from "./flow.mjs";

const { commitMutation, Environment, fetchQuery, Network, RecordSource, Store } = runtime;
const { APP, KEY } = process.env;

async function send({ text }, variables) {
  const response = await fetch(url, {
    method: "POST",
    headers: { "Content-Type": "application/json", Authorization: `Bearer ${KEY}` },
    body: JSON.stringify({ query: text, variables }),
  });
  return response.json();
}

const environment = new Environment({
  network: Network.create(send),
  store: new Store(new RecordSource()),
});

const mutate = (mutation, variables) => new Promise((resolve, reject) => {
  commitMutation(environment, { mutation, variables, onCompleted: resolve, onError: reject });
});
const query = (node, variables) => fetchQuery(environment, node, variables).toPromise();

const verifier = randomBytes(32).toString("base64url");
const codeChallenge = createHash("sha256").update(verifier).digest("base64url");
const app = { appId: APP, identitySource: "wecom" };
const { startWecomMobileLogin: begun } =
  await mutate(StartMutation, { input: { ...app, codeChallenge } });
const { code } = await approve(begun);
const { wecomMobileLogin: login } = await mutate(LoginMutation, {
  input: { ...app, code, state: begun.state, codeVerifier: verifier } });
const { users } = await query(UsersQuery, { first: 1 });
const [{ node: { id } }] = users.edges;
const { node } = await query(NodeQuery, { id });
console.log(JSON.stringify({
  login: login.__typename, first: users.edges.length, node: node.id === id,
}));
