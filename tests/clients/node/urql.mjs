import { cacheExchange, Client, fetchExchange } from "@urql/core";
import { parse } from "graphql";
import { flow, url } from "./flow.mjs";

let token;
const client = new Client({
  url,
  exchanges: [cacheExchange, fetchExchange],
  preferGetMethod: "within-url-limit",
  fetchOptions: () => (token ? { headers: { Authorization: `Bearer ${token}` } } : {}),
});

await flow(async (document, variables, bearerOf) => {
  token = bearerOf;
  const parsed = parse(document);
  const isMutation = parsed.definitions.some((one) => one.operation === "mutation");
  const { data, error } = isMutation
    ? await client.mutation(parsed, variables).toPromise()
    : await client.query(parsed, variables).toPromise();
  if (error) throw error;
  return data;
});
