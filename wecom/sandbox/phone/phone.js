"use strict";

const FIELDS = ["schema", "corpId", "agentId", "state"];
const WORDS = {
  en: { outsider: "an outsider (openid)", linked: "a linked corp's member",
        unknown: "no such schema, CorpID and AgentId in this sandbox",
        hidden: "not visible", copied: "Copied",
        statuses: { 2: "disabled", 4: "not activated", 5: "left" } },
  zh: { outsider: "企业外部的人 (openid)", linked: "互联企业的成员",
        unknown: "沙盒里没有这个 schema、CorpID 和 AgentId",
        hidden: "不在可见范围", copied: "已复制",
        statuses: { 2: "已禁用", 4: "未激活", 5: "已退出" } },
};
const element = (id) => document.getElementById(id);
let language = navigator.language.startsWith("zh") ? "zh" : "en";
let corps = [];

function speak() {
  document.documentElement.lang = language;
  element("language").textContent = language === "zh" ? "English" : "中文";
  for (const spoken of document.querySelectorAll("[data-en]")) {
    spoken.textContent = spoken.dataset[language];
  }
  listPeople();
}

function listPeople() {
  const chosen = element("person").value;
  const words = WORDS[language];
  const corp = corps.find((corp) => corp.corpId === element("corpId").value);
  const people = (corp ? corp.members : []).map((member) => {
    const notes = [words.statuses[member.status], member.visible ? "" : words.hidden];
    const name = [`${member.name} (${member.userId})`, ...notes.filter(Boolean)];
    return new Option(name.join(" · "), JSON.stringify({ userId: member.userId }));
  });
  people.push(new Option(words.outsider, JSON.stringify({ openId: "oSandboxOutsider" })));
  const linked = { userId: "wwlinked0000000000/wanggang" };
  people.push(new Option(words.linked, JSON.stringify(linked)));
  element("person").replaceChildren(...people);
  if (chosen) element("person").value = chosen;
}

/* The GraphQL answer may be pasted whole: what is sought lies somewhere within. */
function found(value) {
  if (value === null || typeof value !== "object") return null;
  if (typeof value.corpId === "string") return value;
  return Object.values(value).map(found).find(Boolean) || null;
}

function fill(request) {
  for (const name of FIELDS) {
    if (typeof request[name] === "string") element(name).value = request[name];
  }
  listPeople();
}

function readPasted() {
  try {
    fill(found(JSON.parse(element("pasted").value)) || {});
  } catch (error) {
    if (!(error instanceof SyntaxError)) throw error;
  }
}

/* WeCom knows an app by its schema alone; the SDK is also told CorpID and AgentId. */
function matches(app, corp) {
  const schema = element("schema").value;
  return corp.corpId === element("corpId").value
    && app.agentId === element("agentId").value
    && (!schema || app.schema === schema);
}

async function approve() {
  element("problem").textContent = "";
  element("answer").hidden = true;
  if (!corps.some((corp) => corp.apps.some((app) => matches(app, corp)))) {
    element("problem").textContent = WORDS[language].unknown;
    return;
  }
  const response = await fetch("/sandbox/approve", {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify({
      corpId: element("corpId").value,
      agentId: element("agentId").value,
      state: element("state").value,
      consent: element("consent").checked,
      ...JSON.parse(element("person").value),
    }),
  });
  const told = await response.json();
  if (!response.ok) {
    element("problem").textContent = told.error;
    return;
  }
  element("code").value = told.code;
  element("returned").value = told.state;
  speak();
  element("answer").hidden = false;
}

async function copy(event) {
  const field = element(event.target.dataset.copies);
  field.select();
  await navigator.clipboard.writeText(field.value);
  event.target.textContent = WORDS[language].copied;
}

async function begin() {
  corps = await (await fetch("/sandbox/world")).json();
  const asked = Object.fromEntries(new URLSearchParams(location.search));
  /* The SDK's own spellings are taken too. */
  fill({ ...asked, corpId: asked.corpId || asked.CorpID || corps[0].corpId,
         agentId: asked.agentId || asked.AgentId || corps[0].apps[0].agentId });
  element("language").addEventListener("click", () => {
    language = language === "zh" ? "en" : "zh";
    speak();
  });
  element("pasted").addEventListener("input", readPasted);
  element("corpId").addEventListener("input", listPeople);
  element("approve").addEventListener("click", approve);
  for (const button of document.querySelectorAll("[data-copies]")) {
    button.addEventListener("click", copy);
  }
  speak();
}

begin();
