import { ApolloClient, gql, HttpLink, InMemoryCache } from "@apollo/client";
import { SetContextLink } from "@apollo/client/link/context";
import { flow, url } from "./flow.mjs";

let token;
const bearer = new SetContextLink(() => (token ? { headers: { authorization: `Bearer ${token}` } } : {}));
const client = new ApolloClient({
  link: bearer.concat(new HttpLink({ uri: url })),
  cache: new InMemoryCache({
    possibleTypes: {
      LoginResult: ["LoginSuccess", "BindingRequired", "LoginFailure"],
      Node: ["User", "Session", "App", "Identity", "WecomMobileIdentitySource"],
    },
  }),
});

await flow(async (document, variables, bearerOf) => {
  token = bearerOf;
  const parsed = gql(document);
  const isMutation = parsed.definitions.some((one) => one.operation === "mutation");
  const { data, error } = isMutation
    ? await client.mutate({ mutation: parsed, variables })
    : await client.query({ query: parsed, variables });
  if (error) throw error;
  return data;
});
