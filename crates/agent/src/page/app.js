// Keeps the page live: fetches the same address as a fragment and changes only what differs,
// so that focus, scroll and half-typed text stay. Without this script everything still works.
"use strict";

const DEBOUNCE = 250; // ms from an event to the fetch that it causes
const REFRESH = 5000; // ms between fetches when nothing happens
const LATE = 15000; // ms after which the page says that it is stale

const pulse = document.getElementById("pulse");
const said = document.getElementById("said");
const search = document.getElementById("search");
const box = document.getElementById("q");

let skew = Date.parse(pulse.dataset.now) - Date.now();
let fetched = Date.now();
let isOpen = false;
let source = null;
let timer = 0;
let asking = null;

// ---- Changing what differs ----

const keyOf = (node) => (node.nodeType === 1 ? node.dataset.key : undefined);

function morph(from, to) {
  if (from.isEqualNode(to)) return;
  if (from.nodeType !== to.nodeType || from.nodeName !== to.nodeName || keyOf(from) !== keyOf(to)) {
    from.replaceWith(to);
    return;
  }
  if (from.nodeType !== 1) {
    from.nodeValue = to.nodeValue;
    return;
  }
  for (const { name } of [...from.attributes]) if (!to.hasAttribute(name)) from.removeAttribute(name);
  for (const { name, value } of [...to.attributes]) {
    if (from.getAttribute(name) !== value) from.setAttribute(name, value);
  }
  morphChildren(from, to);
}

function morphChildren(from, to) {
  const keyed = new Map();
  for (const child of from.children) if (keyOf(child)) keyed.set(keyOf(child), child);
  const wanted = new Set([...to.children].map(keyOf).filter(Boolean));
  let at = from.firstChild;
  for (const next of [...to.childNodes]) {
    // A row that is gone makes room, instead of becoming another row.
    while (at && keyOf(at) && !wanted.has(keyOf(at))) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
    const same = keyOf(next) ? keyed.get(keyOf(next)) : at && !keyOf(at) ? at : null;
    if (!same) {
      from.insertBefore(next, at);
      continue;
    }
    if (same === at) at = at.nextSibling;
    else from.insertBefore(same, at);
    morph(same, next);
  }
  while (at) {
    const gone = at;
    at = at.nextSibling;
    gone.remove();
  }
}

function apply(text) {
  const fresh = new DOMParser().parseFromString(text, "text/html");
  const focused = document.activeElement;
  const place = focused && focused.closest("[data-key]");
  const key = place && keyOf(place);
  for (const next of fresh.querySelectorAll("[data-live]")) {
    const now = document.querySelector(`[data-live="${next.dataset.live}"]`);
    if (now && !("same" in next.dataset)) morph(now, document.adoptNode(next));
  }
  document.title = fresh.title;
  const stamp = fresh.getElementById("pulse");
  if (stamp) skew = Date.parse(stamp.dataset.now) - Date.now();
  if (key && document.activeElement !== focused) {
    const row = document.querySelector(`[data-key="${CSS.escape(key)}"] a`);
    if (row) row.focus({ preventScroll: true });
  }
}

// ---- Fetching ----

async function refresh() {
  clearTimeout(timer);
  timer = setTimeout(refresh, REFRESH);
  if (document.hidden) return;
  if (asking) asking.abort();
  const mine = (asking = new AbortController());
  const url = new URL(location.href);
  url.searchParams.set("fragment", "1");
  const wall = document.querySelector("[data-live=wall]");
  if (wall && wall.dataset.version) url.searchParams.set("wall", wall.dataset.version);
  try {
    const limit = AbortSignal.any([mine.signal, AbortSignal.timeout(10000)]);
    const answer = await fetch(url, { signal: limit, cache: "no-store" });
    // A target that is gone answers 404: the whole page says so.
    if (answer.status === 404) return location.reload();
    if (!answer.ok) return;
    apply(await answer.text());
    fetched = Date.now();
  } catch {
    // The pulse says so; the next fetch is already planned.
  } finally {
    if (asking === mine) asking = null;
    tick();
  }
}

function soon(wait = DEBOUNCE) {
  clearTimeout(timer);
  timer = setTimeout(refresh, wait);
}

function open() {
  if (source || document.hidden) return;
  source = new EventSource("/v1/events");
  source.addEventListener("open", () => {
    isOpen = true;
    soon(0);
  });
  source.addEventListener("transition", (event) => {
    const change = JSON.parse(event.data);
    const error = change.error ? `: ${change.error}` : "";
    said.textContent = `${change.target} is ${change.to}${error}`;
    burst();
  });
  source.addEventListener("gap", () => soon(0));
  source.addEventListener("error", () => {
    isOpen = false;
    // The browser gives up on some answers, as the 503 of a full node; it is asked again.
    if (source && source.readyState === EventSource.CLOSED) {
      close();
      setTimeout(open, REFRESH);
    }
    tick();
  });
}

function close() {
  if (source) source.close();
  source = null;
  isOpen = false;
}

// The first event of a burst sets the time; those that follow must not push it away.
let isPlanned = false;
function burst() {
  if (isPlanned) return;
  isPlanned = true;
  setTimeout(() => {
    isPlanned = false;
    refresh();
  }, DEBOUNCE);
}

document.addEventListener("visibilitychange", () => {
  if (document.hidden) close();
  else {
    open();
    soon(0);
  }
});

// ---- Time ----

function span(seconds) {
  const [minutes, hours, days] = [60, 3600, 86400].map((unit) => Math.floor(seconds / unit));
  if (days) return `${days} d ${hours % 24} h`;
  if (hours) return `${hours} h ${minutes % 60} m`;
  if (minutes) return `${minutes} m ${seconds % 60} s`;
  return `${seconds} s`;
}

function tick() {
  const now = Date.now();
  for (const time of document.querySelectorAll("time[data-span]")) {
    const seconds = Math.max(0, Math.floor((now + skew - Date.parse(time.dateTime)) / 1000));
    const text = span(seconds);
    if (time.textContent !== text) time.textContent = text;
  }
  let [state, text] = ["live", "live"];
  if (now - fetched > LATE) {
    const at = new Date(fetched + skew).toISOString().slice(11, 19);
    [state, text] = ["stale", `stale since ${at} UTC`];
  } else if (!isOpen) [state, text] = ["reconnecting", "reconnecting"];
  if (pulse.dataset.state !== state || pulse.textContent !== text) {
    pulse.dataset.state = state;
    pulse.textContent = text;
  }
}

// ---- Search and keys ----

let typing = 0;
function narrow() {
  const wanted = new URLSearchParams();
  for (const [name, value] of new FormData(search)) if (value) wanted.append(name, value);
  const text = wanted.toString();
  history.replaceState(null, "", text ? `/?${text}` : "/");
  refresh();
}

if (search) {
  search.addEventListener("submit", (event) => {
    event.preventDefault();
    narrow();
  });
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(narrow, 150);
  });
}

function step(by) {
  const rows = [...document.querySelectorAll("[data-row]")];
  if (!rows.length) return;
  const at = rows.indexOf(document.activeElement);
  const next = rows[Math.min(rows.length - 1, Math.max(0, at < 0 ? (by > 0 ? 0 : rows.length - 1) : at + by))];
  next.focus();
  next.scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return;
  const field = event.target.closest("input, select, textarea");
  const isBox = box && field === box;
  if (event.key === "Escape") {
    if (isBox && box.value) {
      box.value = "";
      narrow();
    } else if (isBox) box.blur();
    else if (box && location.search) location.assign("/");
    else if (!box) document.querySelector("[data-back]").click();
    else return;
  } else if (event.key === "ArrowDown" && (!field || isBox)) step(1);
  else if (event.key === "ArrowUp" && !field) step(-1);
  else if (field) return;
  else if (event.key === "/" && box) {
    box.focus();
    box.select();
  } else if (event.key === "j") step(1);
  else if (event.key === "k") step(-1);
  else return;
  event.preventDefault();
});

// Back to the list as it was left.
document.addEventListener("click", (event) => {
  if (!event.target.closest("[data-back]") || history.length < 2) return;
  if (document.referrer.startsWith(location.origin + "/") && !document.referrer.includes("/targets/")) {
    event.preventDefault();
    history.back();
  }
});

open();
timer = setTimeout(refresh, REFRESH);
setInterval(tick, 1000);
