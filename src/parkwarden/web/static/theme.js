// Before the first paint: the scheme somebody chose on this browser, if they did.
"use strict";
(() => {
  try {
    const chosen = localStorage.getItem("parkwarden-theme");
    if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
  } catch {
    // no storage (private window): the system's scheme it is
  }
})();
