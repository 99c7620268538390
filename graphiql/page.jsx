// GraphiQL with a guide beside it. The guide knows the way of a login, and carries what
// one answer told (state, ticket, tokens) into the operations that need it next.

import { HISTORY_PLUGIN } from "@graphiql/plugin-history";
import { GraphiQL } from "graphiql";
import "graphiql/style.css";
import { createRoot } from "react-dom/client";
import { guide } from "./guide.jsx";
import { hands, Hands } from "./hands.jsx";
import { knowledge } from "./knowledge.js";
import { learn } from "./learning.js";
import { opened } from "./opening.js";
import "./page.css";
import { forgetful } from "./storage.js";

/* global WORKERS */
globalThis.MonacoEnvironment = {
  getWorker: (_, label) =>
    new Worker(`/graphql/assets/${WORKERS[label] ?? WORKERS.editor}`),
};

async function ask(request, options) {
  const introspects = request.operationName === "IntrospectionQuery";
  const { token } = knowledge;
  const response = await fetch("/graphql", {
    method: "POST",
    headers: {
      Accept: "application/graphql-response+json, application/json",
      "Content-Type": "application/json",
      /* A token that is refused would keep the schema from being shown as well. */
      ...(token && !introspects ? { Authorization: `Bearer ${token}` } : {}),
      ...options?.headers,
    },
    body: JSON.stringify(current(request)),
  });
  const answer = await response.json();
  /* What goes wrong in carrying an answer on must not hide the answer. */
  if (!introspects) await learn(hands, request, answer).catch(console.error);
  return answer;
}

/* GraphiQL learns the name of an operation only a while after its tab was opened. */
function current(request) {
  const { operationName, query } = request;
  return query.includes(operationName) ? request : { ...request, operationName: undefined };
}

async function begin() {
  const element = document.getElementById("page");
  await knowledge.begin(JSON.parse(element.dataset.start));
  const tabs = opened();
  createRoot(element).render(
    <GraphiQL
      fetcher={ask}
      defaultTabs={tabs}
      initialVariables={tabs[0]?.variables ?? ""}
      defaultEditorToolsVisibility="variables"
      plugins={[guide, HISTORY_PLUGIN]}
      visiblePlugin={guide}
      storage={forgetful}
      shouldPersistHeaders={false}
    >
      <GraphiQL.Logo>
        <span className="hefu-logo">Hefu 合符</span>
      </GraphiQL.Logo>
      <Hands />
    </GraphiQL>,
  );
}

begin();
