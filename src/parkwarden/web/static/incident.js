// Incidents: what is shown is brought up to date at each beat; one's own name is remembered; the page prints itself.
"use strict";

(() => {
  const part = document.querySelector("[data-morph]");
  let number = 0;

  async function load() {
    const mine = ++number;
    try {
      const answer = await fetch(location.pathname + location.search, { headers: { "HX-Request": "true" } });
      if (answer.status === 401) { location.reload(); return; }
      const html = await answer.text();
      if (!answer.ok || mine !== number) return;
      morph.into(part, morph.parsed(html));
      htmx.process(part); // forms that came with it
    } catch (error) {
      if (!(error instanceof TypeError)) throw error; // the watch is away: the pulse says so
    }
  }

  const names = () => {
    for (const input of document.querySelectorAll("[data-remember]")) input.value ||= parkwarden.store.get(input.dataset.remember) ?? "";
  };

  part.addEventListener("live", load);
  part.addEventListener("htmx:afterSettle", names);
  document.addEventListener("change", ({ target }) => {
    if (target.dataset?.remember) parkwarden.store.set(target.dataset.remember, target.value);
  });
  document.addEventListener("click", ({ target }) => { if (target.closest?.("[data-print]")) print(); });
  document.addEventListener("DOMContentLoaded", names);
})();
