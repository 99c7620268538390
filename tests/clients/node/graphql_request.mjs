import { GraphQLClient } from "graphql-request";
import { flow, url } from "./flow.mjs";

const client = new GraphQLClient(url);

await flow((document, variables, token) =>
  client.request(document, variables, token ? { Authorization: `Bearer ${token}` } : {}));
