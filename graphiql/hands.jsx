// GraphiQL's own state, for what is not a component: `hands` reads and writes its tabs.

import { useGraphiQL, useGraphiQLActions } from "@graphiql/react";
import { useLayoutEffect } from "react";

let state = null;
let actions = null;

export function Hands() {
  const now = useGraphiQL((whole) => whole);
  const does = useGraphiQLActions();
  useLayoutEffect(() => {
    state = now;
    actions = does;
  });
  return null;
}

const settled = () => new Promise((resolve) => setTimeout(resolve));

export const hands = {
  /* Put values into the variables of each tab that calls one of the fields. */
  async fill(fields, values) {
    await saveActive();
    const { tabs, activeTabIndex, variableEditor } = state;
    const called = (tab) => fields.some((field) => calls(tab.query, field));
    const active = tabs[activeTabIndex];
    actions.moveTab(
      tabs.map((tab) =>
        tab !== active && called(tab)
          ? { ...tab, variables: replaced(tab.variables, values) }
          : tab,
      ),
    );
    if (called(active)) variableEditor.setValue(replaced(active.variables, values));
    await settled();
  },

  /* Show the tab that calls the field; `tab` is opened where there is none. */
  async show(field, tab) {
    await saveActive();
    const { tabs } = state;
    const index = tabs.findIndex((one) => calls(one.query, field));
    if (index < 0) {
      const added = { id: crypto.randomUUID(), hash: "", headers: null, response: null };
      actions.moveTab([...tabs, { ...added, operationName: tab.title, ...tab }]);
    }
    actions.changeTab(index < 0 ? tabs.length : index);
    await settled();
  },
};

/* The last keystrokes reach a tab only after a while. */
async function saveActive() {
  const { queryEditor, variableEditor, headerEditor } = state;
  actions.updateActiveTabValues({
    query: queryEditor.getValue(),
    variables: variableEditor.getValue(),
    headers: headerEditor?.getValue() ?? null,
  });
  await settled();
}

const calls = (query, field) => new RegExp(`\\b${field}\\b`).test(query ?? "");

/* Only what is there already is filled in: whoever took a field out meant it. */
function replaced(variables, values) {
  let given;
  try {
    given = JSON.parse(variables);
  } catch {
    return variables;
  }
  if (!given) return variables;
  const inside = given.input ?? given;
  for (const [name, value] of Object.entries(values)) {
    if (name in inside && value !== undefined) inside[name] = value;
  }
  return JSON.stringify(given, null, 2);
}
