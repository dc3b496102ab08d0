// What all pages share: live updates, keyboard, theme, messages. Pages use `parkwarden.on`, `parkwarden.toast`, `parkwarden.json`, `parkwarden.moment`.
"use strict";

const parkwarden = (() => {
  const LISTEN_AGAIN_MS = 30_000; // after a stream that was refused: all streams were taken
  const SLOW_MS = 15_000; // between looks where there is no stream
  const TOAST_MS = 8_000;
  const FRESH_MS = 2_000; // after loading: the first beat tells what is here already
  const REST = 10; // times as long as an update took, until the next one: many pages of a large fleet must not keep the watch from judging
  const REST_MS = 60_000; // at most: a laptop that slept in between
  const LOST_MS = 10_000; // an update that has not come by then is asked for again
  const TOLD = { firing: "leak", flapping: "leak", "no-data": "unknown", resolved: "ok" }; // state of an incident -> colour
  const KEYS_MS = 1_200; // within which the second key of `g f` comes

  const $ = (selector) => document.querySelector(selector);
  const store = {
    get(name) { try { return localStorage.getItem(`parkwarden-${name}`); } catch { return null; } },
    set(name, value) { try { localStorage.setItem(`parkwarden-${name}`, value); } catch { /* no storage: until the page is left */ } },
  };
  const csrf = () => $('meta[name="csrf-token"]')?.content ?? "";

  // ---- messages

  function toast(text, verdict = "") {
    const shelf = $(".toasts");
    if (!shelf) return;
    const one = document.createElement("p");
    one.className = `toast ${verdict}`;
    one.textContent = text;
    shelf.append(one);
    while (shelf.children.length > 4) shelf.firstChild.remove();
    setTimeout(() => one.remove(), TOAST_MS);
  }

  function problem(body) {
    try {
      const { message, hint } = JSON.parse(body).error;
      return hint ? `${message} (${hint})` : message;
    } catch {
      return "";
    }
  }

  // JSON of our API, or an Error in its words
  async function json(url, options = {}) {
    const headers = { Accept: "application/json", ...options.headers };
    if (options.method && options.method !== "GET") headers["X-CSRF-Token"] = csrf();
    const answer = await fetch(url, { ...options, headers });
    if (!answer.ok) throw new Error(problem(await answer.text()) || `${answer.status} ${answer.statusText}`);
    return answer.json();
  }

  // ---- live: one stream while the tab is seen; `.live` parts that are in view are told to fetch themselves anew

  const seen = new WeakSet();
  const updates = new WeakMap(); // part -> when its last update was asked for, and until when it rests
  const watcher = new IntersectionObserver((entries) => {
    for (const entry of entries) {
      if (entry.isIntersecting) seen.add(entry.target); else seen.delete(entry.target);
      if (entry.isIntersecting && entry.target.dataset.stale) refresh(entry.target);
    }
  });
  let stream = null, slow = 0, again = 0;

  const busy = (part) =>
    part.contains(document.activeElement) && document.activeElement.matches("input, textarea, select") ||
    !getSelection().isCollapsed && part.contains(getSelection().anchorNode) || part.querySelector("dialog[open]") !== null;

  function refresh(part) {
    const now = performance.now();
    if (now < FRESH_MS || now < (updates.get(part)?.until ?? 0)) return;
    if (!seen.has(part) || busy(part)) { part.dataset.stale = "1"; return; }
    delete part.dataset.stale;
    updates.set(part, { at: now, until: now + LOST_MS });
    htmx.trigger(part, "live");
  }

  function settled(part) {
    const last = updates.get(part), now = performance.now();
    if (!last || last.at === null) return; // somebody's search, not an update
    updates.set(part, { at: null, until: now + Math.min(REST * (now - last.at), REST_MS) });
  }

  function tell(name, detail) {
    document.dispatchEvent(new CustomEvent(`parkwarden:${name}`, { detail }));
  }

  function beat(detail) {
    pulse("on");
    document.querySelectorAll(".live").forEach(refresh);
    tell("beat", detail);
  }

  // what began, ended or came back is said on every page
  function incident(news) {
    tell("incident", news);
    if (news.state === news.before || !(news.state in TOLD)) return;
    toast(`${news.priority} ${news.state.replace("-", " ")}: ${news.service}: ${news.title}`, TOLD[news.state]);
  }

  function pulse(state) {
    const shown = $(".pulse");
    if (!shown) return;
    shown.className = `pulse ${state}`;
    const text = state === "on" ? "live" : state === "off" ? "not live" : "…";
    if (shown.textContent !== text) shown.textContent = text;
  }

  function listen() {
    if (stream || document.hidden || !$(".pulse")) return;
    clearTimeout(again);
    clearInterval(slow);
    stream = new EventSource("/events");
    stream.addEventListener("beat", (event) => beat(JSON.parse(event.data)));
    stream.addEventListener("incident", (event) => incident(JSON.parse(event.data)));
    stream.onerror = () => {
      pulse("off");
      if (stream?.readyState !== EventSource.CLOSED) return; // it connects anew by itself
      stream = null;
      slow = setInterval(() => { if (!document.hidden) document.querySelectorAll(".live").forEach(refresh); }, SLOW_MS);
      again = setTimeout(() => { clearInterval(slow); listen(); }, LISTEN_AGAIN_MS);
    };
  }

  function hush() {
    stream?.close();
    stream = null;
    clearTimeout(again);
    clearInterval(slow);
  }

  function observe(root) {
    root.querySelectorAll(".live").forEach((part) => watcher.observe(part));
  }

  // ---- keyboard

  const shortcuts = new Map();
  let pending = "", pendingUntil = 0;
  const keysOff = () => store.get("keys") === "off";

  // `keys`: one key, or two with a blank between
  function on(keys, what, act) {
    shortcuts.set(keys, { what, act });
  }

  function help() {
    const dialog = $("#help"), list = dialog.querySelector("dl");
    list.replaceChildren(...[...shortcuts].flatMap(([keys, { what }]) => {
      const term = document.createElement("dt"), text = document.createElement("dd");
      keys.split(" ").forEach((key) => {
        const kbd = document.createElement("kbd");
        kbd.textContent = key;
        term.append(kbd, " ");
      });
      text.textContent = what;
      return [term, text];
    }));
    dialog.querySelector("input").checked = !keysOff();
    dialog.showModal();
  }

  function pressed(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || keysOff()) return;
    if (event.target.closest?.("input, textarea, select, [contenteditable]") || $("dialog[open]")) return;
    const now = Date.now();
    const both = now < pendingUntil ? `${pending} ${event.key}` : "";
    const found = shortcuts.get(both) ?? shortcuts.get(event.key);
    pending = event.key;
    pendingUntil = found ? 0 : now + KEYS_MS;
    if (!found) return;
    event.preventDefault();
    found.act();
  }

  function step(by) {
    const rows = [...document.querySelectorAll("main table tbody a[href], main [data-row] a[href]")].filter((a) => a.offsetParent);
    const firsts = rows.filter((a, i) => a.closest("tr, [data-row]") !== rows[i - 1]?.closest("tr, [data-row]"));
    if (!firsts.length) return;
    const at = firsts.findIndex((a) => a.closest("tr, [data-row]")?.contains(document.activeElement));
    firsts[Math.max(0, Math.min(firsts.length - 1, at < 0 ? 0 : at + by))].focus();
  }

  function go(url) { location.assign(url); }

  // ---- theme

  const THEMES = ["auto", "light", "dark"];

  function theme(chosen) {
    if (chosen === "auto") delete document.documentElement.dataset.theme;
    else document.documentElement.dataset.theme = chosen;
    store.set("theme", chosen);
    const button = $("#theme");
    if (button) button.textContent = `theme: ${chosen}`;
    tell("theme", chosen);
  }

  function nextTheme() {
    theme(THEMES[(THEMES.indexOf(store.get("theme") ?? "auto") + 1) % THEMES.length]);
  }

  // a moment as one reads it here, in the words of the command line: 2026-11-21 22:30:48 UTC
  function moment(at) {
    const zone = new Intl.DateTimeFormat("en", { timeZoneName: "short" }).formatToParts(at).find((part) => part.type === "timeZoneName");
    return `${at.toLocaleString("sv-SE")} ${zone?.value ?? ""}`.trim();
  }

  // times of the visitor's own zone; the one of the server stays in `title`
  function times(root) {
    root.querySelectorAll("time[data-local]").forEach((time) => {
      const at = new Date(time.dateTime);
      if (Number.isNaN(at.valueOf())) return;
      time.title = time.title || time.textContent;
      time.textContent = moment(at);
    });
  }

  function start() {
    document.querySelectorAll("[data-key]").forEach((a) => on(a.dataset.key, `go to ${a.textContent.trim()}`, () => go(a.href)));
    on("/", "search", () => ($("[data-search]") ?? $('input[type="search"]'))?.focus());
    on("j", "next row", () => step(1));
    on("k", "row before", () => step(-1));
    on("t", "light, dark or as the system", nextTheme);
    on("?", "this help", help);
    document.addEventListener("keydown", pressed);
    $("#theme")?.addEventListener("click", nextTheme);
    $("#keys")?.addEventListener("click", help);
    $("#help input")?.addEventListener("change", (event) => store.set("keys", event.target.checked ? "on" : "off"));
    if ($("#theme")) $("#theme").textContent = `theme: ${store.get("theme") ?? "auto"}`;
    document.addEventListener("visibilitychange", () => (document.hidden ? hush() : listen()));
    addEventListener("pagehide", hush);
    addEventListener("pageshow", listen);
    if (window.htmx) {
      document.body.addEventListener("htmx:responseError", (event) => {
        if (event.detail.xhr.status === 401) { location.reload(); return; }
        toast(problem(event.detail.xhr.responseText) || "this did not work", "leak");
      });
      document.body.addEventListener("htmx:afterSettle", (event) => {
        const part = event.target.closest(".live");
        if (part) settled(part);
        observe(document);
        times(event.detail.elt);
      });
    }
    times(document);
    observe(document);
    listen();
  }

  document.addEventListener("DOMContentLoaded", start);
  return { moment, on, toast, json, csrf, store };
})();
