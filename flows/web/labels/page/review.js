// The page to look at labels: shows one photo at a time, and sends what the person decides.
"use strict";

const get = (id) => document.getElementById(id);
const VIEWS = ["photo", "mask", "prediction"];
const WORDS = { "keep": "kept", "drop": "dropped", "swap split": "other split", "use mask": "other mask" };
const KEYS = { k: "keep", d: "drop", m: "use mask", s: "swap split" };
let photos = [];
let current = 0;
let waiting = false; // for the answer to a decision

/** Return the content of an answer; an error of the server is thrown with its sentence. */
async function request(path, options) {
  const answer = await fetch(path, options);
  const content = await answer.json();
  if (!answer.ok) throw new Error(content.detail);
  return content;
}

const post = (path, content = {}) =>
  request(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(content) });

/** Return a decision in words, such as "dropped". */
function words(decision) {
  if (!decision) return "";
  return WORDS[Object.keys(WORDS).find((action) => decision.action.startsWith(action))];
}

function show(number) {
  current = number;
  const photo = photos[current];
  for (const view of VIEWS) {
    get(view).src = `/photos/${current}/${view}.jpg`;
    get(view).alt = `${view} of ${photo.name}`;
  }
  get("twin-figure").hidden = !photo.twin;
  if (photo.twin) get("twin").src = `/photos/${current}/twin.jpg`;
  else get("twin").removeAttribute("src");
  get("twin").alt = `photo of ${photo.twin}`;
  get("twin-name").textContent = photo.twin;
  get("name").textContent = photo.name;
  get("facts").textContent = [photo.split, photo.reason].filter(Boolean).join(", ");
  get("reason").value = photo.decision ? photo.decision.reason : photo.reason;
  get("previous").disabled = current === 0;
  get("next").disabled = current === photos.length - 1;
  showDecision();
}

function showDecision() {
  const decision = photos[current].decision;
  const who = decision && decision.who ? ` by ${decision.who}` : "";
  get("decision").textContent = decision ? `${decision.action}${who}` : "not decided";
  for (const button of document.querySelectorAll("[data-action]")) {
    button.setAttribute("aria-pressed", String(Boolean(decision) && decision.action.startsWith(button.dataset.action)));
  }
  const decided = photos.filter((photo) => photo.decision).length;
  get("progress").textContent = `Photo ${current + 1} of ${photos.length}, ${decided} decided.`;
  [...get("list").children].forEach((item, number) => {
    const button = item.firstChild;
    button.setAttribute("aria-current", String(number === current));
    button.lastChild.textContent = ` ${words(photos[number].decision)}`;
  });
}

function fillList() {
  photos.forEach((photo, number) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(photo.name, document.createElement("span"));
    button.addEventListener("click", () => show(number));
    const item = document.createElement("li");
    item.append(button);
    get("list").append(item);
  });
}

/** Do something that changes the table, one at a time; say what went wrong. */
async function change(work) {
  if (waiting) return;
  waiting = true;
  try {
    await work();
    get("problem").hidden = true;
  } catch (error) {
    get("problem").textContent = error instanceof TypeError ? "The server does not answer: is `petseg labels review` still running?" : error.message;
    get("problem").hidden = false;
  } finally {
    waiting = false;
  }
}

function decide(action) {
  return change(async () => {
    const { number, decision } = await post("/decisions", { number: current, action, reason: get("reason").value });
    photos[number].decision = decision;
    get("status").textContent = `${photos[number].name}: ${words(decision)}`;
    show(Math.min(number + 1, photos.length - 1));
  });
}

function undo() {
  return change(async () => {
    const { number, decision } = await post("/undo");
    photos[number].decision = decision;
    get("status").textContent = `${photos[number].name}: the last decision is undone`;
    show(number);
  });
}

function step(by) {
  const number = current + by;
  if (number >= 0 && number < photos.length) show(number);
}

function onKey(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.repeat) return;
  if (event.target === get("reason")) {
    if (event.key === "Enter" || event.key === "Escape") get("reason").blur();
    return;
  }
  const key = event.key.toLowerCase();
  if (key in KEYS) decide(KEYS[key]);
  else if (key === "u") undo();
  else if (key === "arrowright") step(1);
  else if (key === "arrowleft") step(-1);
  else if (key === "r") get("reason").select();
  else return;
  event.preventDefault();
}

async function start() {
  await change(async () => {
    const content = await request("/labels.json");
    photos = content.photos;
    get("table").textContent = content.table;
    fillList();
    show(Math.max(0, photos.findIndex((photo) => !photo.decision)));
    get("app").hidden = false;
  });
}

// A picture that cannot be drawn is asked for once more, for the sentence that says why.
async function explain(view) {
  const answer = await fetch(get(view).src);
  if (!answer.ok) throw new Error((await answer.json()).detail);
}
for (const view of [...VIEWS, "twin"]) get(view).addEventListener("error", () => change(() => explain(view)));
for (const button of document.querySelectorAll("[data-action]")) button.addEventListener("click", () => decide(button.dataset.action));
get("undo").addEventListener("click", undo);
get("previous").addEventListener("click", () => step(-1));
get("next").addEventListener("click", () => step(1));
document.addEventListener("keydown", onKey);
start();
