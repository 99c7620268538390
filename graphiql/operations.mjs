// The documents of graphql/operations/, each with variables to begin with.

import { readFileSync, readdirSync } from "node:fs";
import { basename, join } from "node:path";
import {
  buildSchema, getNamedType, isEnumType, isInputObjectType, isListType, isNonNullType,
  parse, typeFromAST,
} from "graphql";

// What the page fills in, in braces; see `filled` in page.jsx.
const KNOWN = {
  appId: "{appId}",
  identitySource: "{identitySource}",
  codeChallenge: "{codeChallenge}",
  codeVerifier: "{codeVerifier}",
  code: "{code}",
  state: "{state}",
  ticket: "{ticket}",
  refreshToken: "{refreshToken}",
};

// Optional ones that somebody who looks around wants to see.
const SHOWN = new Set(["codeChallenge", "codeVerifier", "state"]);

const EXAMPLES = {
  BindExistingAccountInput: { account: "{bindAccount}", password: "{bindPassword}" },
};

export function operations(folder) {
  const schema = buildSchema(readFileSync(join(folder, "schema.graphql"), "utf8"));
  const documents = join(folder, "operations");
  return readdirSync(documents, { recursive: true })
    .filter((name) => name.endsWith(".graphql"))
    .sort()
    .map((name) => operation(schema, name, readFileSync(join(documents, name), "utf8")));
}

function operation(schema, path, document) {
  const [definition] = parse(document).definitions.filter((one) => one.operation);
  const variables = Object.fromEntries(
    (definition.variableDefinitions ?? [])
      .map((one) => [one.variable.name.value, typeFromAST(schema, one.type)])
      .filter(([name, type]) => isNonNullType(type) || name === "input")
      .map(([name, type]) => [name, sample(name, type)]),
  );
  return {
    name: definition.name?.value ?? basename(path, ".graphql"),
    field: definition.selectionSet.selections[0].name.value,
    admin: path.startsWith("admin"),
    document: document.trim() + "\n",
    variables,
  };
}

function sample(name, type, parent = "") {
  const example = EXAMPLES[parent]?.[name] ?? KNOWN[name];
  if (example !== undefined) return example;
  if (isNonNullType(type)) return sample(name, type.ofType, parent);
  if (isListType(type)) return [];
  const named = getNamedType(type);
  if (isEnumType(named)) return named.getValues()[0].name;
  if (isInputObjectType(named)) return fields(named);
  return { Boolean: true, Int: 0 }[named.name] ?? "";
}

function fields(type) {
  const wanted = Object.values(type.getFields()).filter(
    (field) => SHOWN.has(field.name)
      || (isNonNullType(field.type) && field.defaultValue === undefined),
  );
  return Object.fromEntries(
    wanted.map((field) => [field.name, sample(field.name, field.type, type.name)]),
  );
}
