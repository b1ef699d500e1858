// The demo's console: asks the app through the filter, and shows what the filter decided. It shows only what Envoy's
// access log, the filter's counters and the app say; what they do not say is left out.
"use strict";

const console_ = document.getElementById("console");
const element = (id) => document.getElementById(id);

/** How often to look for news, in milliseconds. */
const INTERVAL = 1000;
/** How soon to look again for a decision that is awaited: Envoy writes its log a moment after its answer. */
const SOON = 120;
/** How many decisions are shown. */
const SHOWN = 10;

// ---- Drawing ----

/** An element with these attributes and children; text stays text. */
function make(name, attributes = {}, ...children) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children.filter((child) => child !== null && child !== undefined));
  return made;
}

function draw(name, attributes, ...children) {
  const made = document.createElementNS("http://www.w3.org/2000/svg", name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...children);
  return made;
}

// ---- What a decision means ----

const SENTENCES = {
  public: "A public route: nobody was authenticated, and identity headers were removed.",
  anonymous: "There was no credential, so there was nothing to ask.",
  machine: "The token is a program’s own, not a user’s.",
  no_session: "Authgear knows no session for this credential.",
  refused: "The credential was refused here, without asking Authgear.",
  forbidden: "The session is valid, but does not meet what the rule requires.",
  bad_request: "The request cannot be understood.",
  error_denied: "Authgear could not answer, so the request was denied: unclear means no.",
  error_allowed: "Authgear could not answer, and the configuration lets such requests in as nobody.",
  no_keys_denied: "There are no keys to verify the token with, so the request was denied.",
  no_keys_allowed: "There are no keys to verify the token with, and the configuration lets it in as nobody.",
  broken: "Envoy refused what the filter asked of it, so the request was denied.",
};

const NAMES = {
  public: ["Public", "calm"],
  anonymous: ["No credential", "mute"],
  session: ["Session", "good"],
  machine: ["Machine", "leaf"],
  no_session: ["No session", "violet"],
  refused: ["Refused", "bad"],
  forbidden: ["Forbidden", "bad"],
  bad_request: ["Bad request", "bad"],
  error_denied: ["Denied: no answer", "warn"],
  error_allowed: ["Let in: no answer", "warn"],
  no_keys_denied: ["Denied: no keys", "warn"],
  no_keys_allowed: ["Let in: no keys", "warn"],
  broken: ["Broken", "bad"],
};

/** A name, a colour and a sentence for people. */
function meaning(decision) {
  const { outcome, cache_status: cache, credential } = decision;
  if (!outcome) return { name: `${decision.status}`, kind: "calm", sentence: "The filter said nothing about this request." };
  const [name, kind] = NAMES[outcome] ?? [outcome, "calm"];
  if (outcome !== "session" && outcome !== "no_session") return { name, kind, sentence: SENTENCES[outcome] ?? "" };
  const isGood = outcome === "session";
  const said = (good, other, goodKind, sentence) => ({ name: isGood ? good : `${name}, ${other}`, kind: isGood ? goodKind : kind, sentence });
  const no = isGood ? "" : " It knows no session for this credential.";
  switch (cache) {
    case "hit":
      return credential === "jwt"
        ? said("Verified before", "verified before", "accent", "This worker has verified the same token before, so nothing was asked or computed.")
        : said("Remembered", "remembered", "accent", `This worker remembered what Authgear said a moment ago. Nothing was asked.${no}`);
    case "shared":
      return said("Shared", "shared", "accent", `Another request with the same credential was asking already; its answer served both.${no}`);
    case "stale":
      return said("Remembered, stale", "stale", "warn", "Authgear could not answer, and an older answer served.");
    case "miss":
      return credential === "jwt"
        ? said("Verified locally", "verified", "good", "The filter verified the token’s signature and claims inside Envoy. Nothing was asked.")
        : said("Asked", "asked", "new", `The filter asked Authgear’s resolver, and remembers the answer for a few seconds.${no}`);
    default:
      return { name, kind, sentence: SENTENCES[outcome] ?? "The session is valid." };
  }
}

const badge = (decision, extra = "") => {
  const { name, kind } = meaning(decision);
  return make("span", { class: `badge ${kind} ${extra}` }, name);
};

const inFilter = (decision) => {
  if (decision.time_us === null || decision.time_us === undefined) return null;
  const micros = Number(decision.time_us);
  return micros < 1000 ? `${micros} µs` : `${(micros / 1000).toFixed(1)} ms`;
};

const request = (decision) => `${decision.method} ${decision.path}`;

/** The facts of a decision, those that are known. */
function facts(decision) {
  const list = [
    ["Request", `${request(decision)} → ${decision.status}`],
    ["User", decision.user],
    ["Reason", decision.reason],
    ["Issuer", decision.issuer],
    ["Worker", decision.worker],
    ["In the filter", inFilter(decision)],
    ["In all", decision.duration_ms === null ? null : `${decision.duration_ms} ms`],
  ];
  const known = list.filter(([, value]) => value !== null && value !== undefined);
  return make("dl", { class: "facts" }, ...known.flatMap(([name, value]) => [make("dt", {}, name), make("dd", {}, `${value}`)]));
}

const verdict = (decision) => [
  make("p", {}, badge(decision, "verdict")),
  make("p", {}, meaning(decision).sentence),
  facts(decision),
];

// ---- The news from the demo ----

const decisions = [];
let latest = 0;
let authgear = { resolver: "up", users: [] };
/** The ids of requests that somebody waits to see decided. */
const awaited = new Map();

let looking = Promise.resolve();
/** Asks for news, after whoever is asking already: each piece of news comes once. */
function look() {
  looking = looking.catch(() => {}).then(takeNews);
  return looking;
}

async function takeNews() {
  const answer = await fetch(`/demo/state?after=${latest}`, { cache: "no-store" });
  if (!answer.ok) throw new Error(await answer.text());
  const news = await answer.json();
  for (const decision of news.decisions) {
    if (decision.number <= latest) latest = 0;
    decisions.unshift(decision);
  }
  if (news.decisions.length > 0) latest = news.decisions.at(-1).number;
  decisions.length = Math.min(decisions.length, 50);
  for (const decision of news.decisions) {
    awaited.get(decision.request_id)?.(decision);
    awaited.delete(decision.request_id);
  }
  authgear = news.authgear;
  showLog();
  showPlot(news.plot);
  showAuthgear();
}

let timer = 0;
/** Looks for news, now and again; sooner while something is awaited, not at all while nobody sees the page. */
async function watch() {
  clearTimeout(timer);
  try {
    await look();
    document.body.dataset.watching = "true";
  } catch {
    document.body.dataset.watching = "false";
    element("resolver").textContent = "The demo does not answer";
    element("resolver").classList.add("down");
  }
  if (!document.hidden) timer = setTimeout(watch, awaited.size > 0 ? SOON : INTERVAL);
}
document.addEventListener("visibilitychange", watch);

/** The decision about the request with this id, once Envoy has logged it. */
function decided(id) {
  const known = decisions.find((decision) => decision.request_id === id);
  if (known) return Promise.resolve(known);
  return new Promise((resolve) => {
    awaited.set(id, resolve);
    watch();
  });
}

function showLog() {
  const rows = decisions.slice(0, SHOWN).map((decision) => {
    const when = new Date(decision.time);
    return make("tr", {},
      make("td", {}, when.toLocaleTimeString([], { hour12: false })),
      make("td", { class: "mono" }, `${request(decision)} ${decision.status}`),
      make("td", {}, badge(decision)),
      make("td", {}, decision.user ?? ""),
      make("td", {}, decision.worker === null || decision.worker === undefined ? "" : `${decision.worker}`),
      make("td", { class: "number" }, inFilter(decision) ?? ""));
  });
  element("log").replaceChildren(...rows);
}

function showAuthgear() {
  const down = authgear.resolver !== "up";
  const status = element("resolver");
  status.textContent = down ? "The resolver is down" : "The resolver answers";
  status.classList.toggle("down", down);
  button("resolver").textContent = down ? "Bring the resolver up" : "Take the resolver down";
  const select = element("user");
  const wanted = select.value || console_.dataset.user || authgear.users[0]?.id;
  if (select.options.length !== authgear.users.length) {
    select.replaceChildren(...authgear.users.map(({ id }) => make("option", { value: id }, id)));
    select.value = wanted;
    if (!select.value && authgear.users.length > 0) select.value = authgear.users[0].id;
  }
  for (const option of select.options) {
    const { about, active } = authgear.users.find(({ id }) => id === option.value) ?? { active: true };
    option.textContent = active ? `${option.value} (${about})` : `${option.value} (disabled)`;
  }
  showUser();
}

function showUser() {
  const user = authgear.users.find(({ id }) => id === element("user").value);
  if (!user) return;
  button("disable").textContent = user.active ? `Disable ${user.id}` : `Enable ${user.id} again`;
  button("revoke").textContent = `End all sessions of ${user.id}`;
}
element("user").addEventListener("change", showUser);

// ---- The plot ----

/** The kinds of decisions in the order in which they are stacked: a name and a colour. */
const KINDS = {
  public: NAMES.public,
  anonymous: NAMES.anonymous,
  remembered: ["Remembered", "accent"],
  asked: ["Asked", "new"],
  verified: ["Verified locally", "good"],
  verified_before: ["Verified before", "leaf"],
  ...Object.fromEntries(Object.entries(NAMES).filter(([name]) => !["public", "anonymous", "session"].includes(name))),
};

function showPlot({ seconds, slices, series }) {
  const order = Object.keys(KINDS);
  const names = Object.keys(series).sort((one, other) => order.indexOf(one) - order.indexOf(other));
  const [width, height, left, bottom] = [Math.max(element("plot").clientWidth, 200), 150, 28, 20];
  const totals = Array.from({ length: slices }, (_, slice) => names.reduce((sum, name) => sum + series[name][slice], 0));
  const top = Math.max(4, ...totals);
  const scale = (count) => (count / top) * (height - bottom - 8);
  const step = (width - left) / slices;
  const bars = [];
  for (let slice = 0; slice < slices; slice += 1) {
    let y = height - bottom;
    for (const name of names) {
      const count = series[name][slice];
      if (count === 0) continue;
      const tall = scale(count);
      y -= tall;
      bars.push(draw("rect", { class: `fill-${colour(name)}`, x: left + slice * step + step * 0.1, y, width: step * 0.8, height: Math.max(tall - 0.8, 0.8), rx: 1 }));
    }
  }
  const label = (x, y, anchor, text) => draw("text", { x, y, "text-anchor": anchor }, text);
  const sums = names.map((name) => [name, series[name].reduce((sum, count) => sum + count, 0)]);
  const summary = sums.map(([name, sum]) => `${KINDS[name]?.[0] ?? name}: ${sum}`).join(", ") || "none yet";
  element("plot").replaceChildren(draw("svg", { viewBox: `0 0 ${width} ${height}`, role: "img", "aria-label": `Decisions in the last ${(seconds * slices) / 60} minutes. ${summary}` },
    draw("line", { class: "axis", x1: left, x2: width, y1: height - bottom, y2: height - bottom }),
    draw("line", { class: "axis", x1: left, x2: width, y1: 8, y2: 8, "stroke-dasharray": "3 4" }),
    label(left - 6, 12, "end", `${top}`), label(left - 6, height - bottom + 4, "end", "0"),
    label(left, height - 4, "start", `${(seconds * slices) / 60} min ago`), label(width, height - 4, "end", "now"),
    ...bars));
  element("legend").replaceChildren(...sums.map(([name, sum]) => make("li", {},
    draw("svg", { viewBox: "0 0 10 10", "aria-hidden": "true" }, draw("rect", { class: `fill-${colour(name)}`, width: 10, height: 10, rx: 2 })),
    `${KINDS[name]?.[0] ?? name}`, make("span", { class: "quiet" }, `${sum}`))));
}

const colour = (name) => KINDS[name]?.[1] ?? "calm";

// ---- The buttons ----

const button = (what) => document.querySelector(`[data-do="${what}"]`);
const say = (text) => { element("said").textContent = text; };

async function post(path, fields) {
  const answer = await fetch(path, { method: "POST", body: new URLSearchParams(fields) });
  if (!answer.ok) throw new Error((await answer.text()).trim());
  return answer.json();
}

const path = () => document.querySelector("[name=path]:checked").value;
const user = () => element("user").value;

/** An answer that came through the filter: its status, its id, and what the app received if it was the app's. */
async function through(options) {
  const answer = await fetch(path(), { cache: "no-store", redirect: "manual", ...options, headers: { accept: "application/json", ...options.headers } });
  return { status: answer.status, id: answer.headers.get("x-request-id"), body: await answer.text() };
}

async function withToken(kind) {
  const { token } = await post("/demo/token", { user: user(), kind });
  // Without the cookies: the token alone says who it is.
  return through({ credentials: "omit", headers: { authorization: `Bearer ${token}` } });
}

const FORGED = "mallory";
const ASK = {
  plain: { sent: () => ["the cookies of this browser"], ask: () => through({}) },
  "forged-header": {
    sent: () => ["the cookies of this browser", `x-authgear-user-id: ${FORGED}`],
    ask: () => through({ headers: { "x-authgear-user-id": FORGED } }),
    isForged: true,
  },
  "forged-trailer": {
    sent: () => ["over HTTP/2, by the demo, since browsers send no trailers", "the cookies of this browser", `after the body: x-authgear-user-id: ${FORGED}`, "after the body: x-checksum: 42"],
    ask: () => post("/demo/trailer", { path: path() }),
    isForged: true,
  },
  jwt: { sent: () => [`authorization: Bearer ‹a JWT of ${user()}›`, "no cookies"], ask: () => withToken("jwt") },
  opaque: { sent: () => [`authorization: Bearer ‹an opaque token of ${user()}›`, "no cookies"], ask: () => withToken("opaque") },
  expired: { sent: () => [`authorization: Bearer ‹a JWT of ${user()} that expired›`, "no cookies"], ask: () => withToken("expired") },
};

function headers(pairs) {
  const rows = pairs.map(([name, value]) => make("tr", {}, make("th", { scope: "row" }, name), make("td", {}, value)));
  return make("table", { class: "headers" }, make("tbody", {}, ...rows));
}

/** What the app got, in words: from the app's own answer, or that it got nothing. */
function received({ status, body }, isForged) {
  let seen = null;
  try { seen = JSON.parse(body); } catch { /* not the app's */ }
  if (!seen?.headers) return [make("p", {}, `Nothing. The filter answered ${status} itself:`), make("pre", {}, body.trim() || "(an empty answer)")];
  const identity = seen.headers.filter(([name]) => name.startsWith("x-authgear-"));
  const parts = [];
  if (isForged) {
    const arrived = [...seen.headers, ...seen.trailers].some(([, value]) => value === FORGED);
    parts.push(arrived
      ? make("p", { class: "check bad" }, "✗ The forged identity reached the app.")
      : make("p", { class: "check good" }, "✓ The forged identity did not reach the app."));
  }
  parts.push(identity.length > 0 ? headers(identity) : make("p", {}, "No identity header: nobody, to the app."));
  if (seen.trailers.length > 0) parts.push(make("h3", {}, "Trailers"), headers(seen.trailers));
  return parts;
}

async function ask(what, pressed) {
  const { sent, ask: send, isForged } = ASK[what];
  const lines = [`${what === "forged-trailer" ? "POST" : "GET"} ${path()}`, ...sent()];
  say("Asking…");
  const answer = await send();
  const verdictOf = make("div", {}, make("h3", {}, "The filter decided"));
  element("result").dataset.asked = what;
  element("result").dataset.state = "asked";
  element("result").replaceChildren(
    make("h2", {}, pressed),
    make("div", { class: "grid halves flush" },
      make("div", {}, make("h3", {}, "Sent"), make("pre", {}, lines.join("\n")), verdictOf),
      make("div", {}, make("h3", {}, "The app received"), ...received(answer, isForged))));
  say(`Answered with ${answer.status}.`);
  if (!answer.id) return;
  const decision = await decided(answer.id);
  verdictOf.append(...verdict(decision));
  element("result").dataset.state = "decided";
  say(`Answered with ${answer.status}. The filter: ${meaning(decision).name}.`);
}

const DO = {
  revoke: async () => {
    await post("/demo/revoke", { user: user() });
    return `All sessions of ${user()} have ended at Authgear. Remembered answers serve for up to ten seconds more; a verified JWT until it is confirmed, within about a minute.`;
  },
  disable: async () => {
    const { active } = authgear.users.find(({ id }) => id === user());
    await post(active ? "/demo/disable" : "/demo/enable", { user: user() });
    return active ? `${user()} is disabled, and all their sessions have ended.` : `${user()} may log in again. Ended sessions stay ended.`;
  },
  resolver: async () => {
    const down = authgear.resolver === "up";
    await post("/demo/resolver", { state: down ? "down" : "up" });
    return down
      ? "The resolver is down. Remembered answers and JWTs go on; whoever must be asked about is denied."
      : "The resolver answers again.";
  },
};

/** Runs what a button does; the others wait. */
async function run(pressed, action) {
  const buttons = document.querySelectorAll("[data-ask], [data-do]");
  if (document.body.dataset.busy) return;
  document.body.dataset.busy = "true";
  buttons.forEach((one) => one.setAttribute("aria-disabled", "true"));
  try {
    await action();
  } catch (error) {
    say(`That did not work: ${error.message}`);
  }
  buttons.forEach((one) => one.removeAttribute("aria-disabled"));
  delete document.body.dataset.busy;
}

for (const one of document.querySelectorAll("[data-ask]")) {
  one.addEventListener("click", () => run(one, () => ask(one.dataset.ask, one.textContent)));
}
for (const one of document.querySelectorAll("[data-do]")) {
  one.addEventListener("click", () => run(one, async () => {
    const done = await DO[one.dataset.do]();
    await look();
    say(done);
  }));
}

// ---- The start ----

watch();
if (console_.dataset.request) {
  decided(console_.dataset.request).then((decision) => element("decision").replaceChildren(...verdict(decision)));
}
