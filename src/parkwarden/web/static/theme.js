// Before the first paint: what needs scripts may be shown, in the scheme somebody chose on this browser, if they did.
"use strict";
(() => {
  document.documentElement.classList.add("scripted");
  try {
    const chosen = localStorage.getItem("parkwarden-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // no storage (private window): the system's scheme it is
  }
})();
