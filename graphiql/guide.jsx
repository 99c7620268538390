// The panel at the left: a login in four steps, the token, and every operation.

import { useState } from "react";
import { hands } from "./hands.jsx";
import { knowledge, useKnowledge } from "./knowledge.js";
import { operations, tabOf } from "./opening.js";
import { WORDS } from "./words.js";

const words = navigator.language.startsWith("zh") ? WORDS.zh : WORDS.en;

export const guide = {
  title: words.guide,
  icon: () => (
    <svg viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.5">
      <path d="M4 12h12M11 6l6 6-6 6M20 4v16" />
    </svg>
  ),
  content: Guide,
};

function Guide() {
  return (
    <div className="hefu-guide">
      <h2>{words.guide}</h2>
      <Login />
      <Token />
      <Operations />
    </div>
  );
}

function Login() {
  const { appId, sources, identitySource, request } = useKnowledge();
  const insecure = !globalThis.crypto.subtle;
  return (
    <section>
      {insecure && <p role="alert">{words.insecure}</p>}
      {appId && <p className="hefu-app">{words.app} <code>{appId}</code></p>}
      <ol>
        <li>
          {sources.length > 0 && (
            <label>
              {words.source}{" "}
              <select value={identitySource} onChange={(event) => choose(event.target.value)}>
                {sources.map((source) => <option key={source}>{source}</option>)}
              </select>
            </label>
          )}
          <Step field="startWecomMobileLogin" /> {words.start}
        </li>
        <li>{request ? <Phone request={request} /> : words.phone}</li>
        <li>
          <Code /> <Step field="wecomMobileLogin" /> {words.login}
        </li>
        <li>
          <Step field="me" /> {words.me}
        </li>
      </ol>
      <p>{words.bind} <Step field="bindExistingAccount" /> <Step field="bindNewAccount" /></p>
    </section>
  );
}

function Step({ field }) {
  const operation = operations.find((one) => one.field === field);
  if (!operation) return <code>{field}</code>;
  return (
    <button type="button" className="hefu-step" onClick={() => show(operation)}>
      {operation.name}
    </button>
  );
}

function Phone({ request }) {
  const { phone } = useKnowledge();
  if (!phone) return <span>{words.sdk}</span>;
  const { schema, corpId, agentId, state } = request;
  const query = new URLSearchParams({ schema, corpId, agentId, state });
  return (
    <>
      <a id="phone" href={`${phone}/?${query}`} target="_blank" rel="noopener noreferrer">
        {words.openPhone}
      </a>{" "}
      {words.approve}
    </>
  );
}

function Code() {
  const { know, code } = useKnowledge();
  const change = async (event) => {
    const pasted = event.target.value.trim();
    know({ code: pasted });
    if (!pasted) return;
    await hands.fill(["wecomMobileLogin", "linkWecomMobile"], { code: pasted });
    await show(operations.find((one) => one.field === "wecomMobileLogin"));
  };
  return (
    <label>
      {words.code} <input id="code" value={code} onChange={change} autoComplete="off" />
    </label>
  );
}

function Token() {
  const { know, token, tokenOf } = useKnowledge();
  const [shown, setShown] = useState(false);
  return (
    <section>
      <h3>{words.token}</h3>
      <p>{token && tokenOf ? `${words.tokenOf} ${tokenOf}` : words.tokenWhence}</p>
      <input
        id="token"
        aria-label={words.token}
        type={shown ? "text" : "password"}
        value={token}
        onChange={(event) => know({ token: event.target.value.trim(), tokenOf: "" })}
        autoComplete="off"
        spellCheck={false}
      />
      <button type="button" onClick={() => setShown(!shown)}>
        {shown ? words.hide : words.show}
      </button>
      <button type="button" onClick={() => know({ token: "", tokenOf: "" })}>
        {words.forget}
      </button>
    </section>
  );
}

function Operations() {
  const list = (admin) => operations.filter((one) => one.admin === admin);
  return (
    <section>
      <h3>{words.operations}</h3>
      <Names operations={list(false)} />
      <h3>{words.admin}</h3>
      <Names operations={list(true)} />
    </section>
  );
}

function Names({ operations }) {
  return (
    <ul>
      {operations.map((one) => (
        <li key={one.name}>
          <button type="button" onClick={() => show(one)}>{one.name}</button>
        </li>
      ))}
    </ul>
  );
}

const show = (operation) => hands.show(operation.field, tabOf(operation));

function choose(identitySource) {
  knowledge.know({ identitySource });
  return hands.fill(
    ["startWecomMobileLogin", "startWecomMobileLink", "wecomMobileLogin", "linkWecomMobile"],
    { identitySource },
  );
}
