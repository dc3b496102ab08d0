// The fleet page: search, sort and pages without loading it anew; at each beat what is shown is brought up to date. The URL is the view.
"use strict";

(() => {
  const TYPING_MS = 120;
  const part = document.getElementById("services"), form = document.getElementById("find");
  let wanted = 0, timer = 0, running = null;

  // what the URL asks for; an answer that is overtaken by a later question is thrown away
  async function load() {
    const number = ++wanted;
    running?.abort();
    running = new AbortController();
    try {
      const answer = await fetch(location.href, { headers: { "HX-Request": "true" }, signal: running.signal });
      if (answer.status === 401) { location.reload(); return; }
      const html = await answer.text();
      if (number !== wanted) return;
      if (!answer.ok) throw new Error(`${answer.status}`);
      morph.into(part, morph.parsed(html));
    } catch (error) {
      if (error.name !== "AbortError" && !(error instanceof TypeError)) parkwarden.toast(`the fleet could not be loaded: ${error.message}`, "leak");
    }
  }

  function view(url, replace) {
    if (replace) history.replaceState(null, "", url); else history.pushState(null, "", url);
    agree();
    return load();
  }

  // the form says what the URL says
  function agree() {
    const asked = new URLSearchParams(location.search);
    if (document.activeElement !== form.q) form.q.value = asked.get("q") ?? "";
    form.sort.value = asked.get("sort") ?? "state";
    form.querySelectorAll('input[name="state"]').forEach((input) => input.remove());
    for (const state of asked.getAll("state")) {
      const input = Object.assign(document.createElement("input"), { type: "hidden", name: "state", value: state });
      form.append(input);
    }
  }

  function asked() {
    const query = new URLSearchParams(location.search);
    query.delete("page");
    for (const name of ["q", "sort"]) {
      const value = form.elements[name].value.trim();
      if (value && value !== "state") query.set(name, value); else query.delete(name);
    }
    return `/${query.size ? `?${query}` : ""}`;
  }

  form.addEventListener("submit", (event) => { event.preventDefault(); clearTimeout(timer); view(asked()); });
  form.q.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(() => view(asked(), true), TYPING_MS); });
  form.sort.addEventListener("change", () => view(asked()));
  part.addEventListener("click", (event) => {
    const link = event.target.closest("a[data-view]");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    view(link.href);
  });
  part.addEventListener("keydown", (event) => {
    if (event.key === " " && event.target.matches('a[role="button"]')) { event.preventDefault(); event.target.click(); }
  });
  part.addEventListener("live", load);
  addEventListener("popstate", () => { agree(); load(); });
})();
