// The explorer: files dropped or chosen are sent and opened; the flame graph; rows open to their stacks.
// Texts come from inputs: they are set with textContent, or come escaped from the server.
"use strict";

(() => {
  const $ = (id) => document.getElementById(id);
  document.documentElement.classList.add("scripted");

  // ---- files

  const drop = $("drop");
  let sending = false;

  const told = (text) => { $("told").textContent = text; };
  const failed = (text) => {
    sending = false;
    $("dropping").classList.add("failed");
    $("sent").hidden = true;
    told(text);
  };
  const send = (files) => {
    if (sending || !files.length) return;
    const form = new FormData();
    let total = 0;
    for (const file of files) {
      form.append("file", file, file.webkitRelativePath || file.name);
      form.append("modified", String(file.lastModified));
      total += file.size;
    }
    $("dropping").hidden = false;
    $("dropping").classList.remove("failed");
    $("sent").hidden = false;
    if (total > Number(drop.dataset.max)) { failed("these are too many bytes at once"); return; }
    sending = true;
    const ask = new XMLHttpRequest(); // fetch does not tell how much was sent
    ask.upload.addEventListener("progress", (event) => {
      $("sent").value = event.loaded / Math.max(event.total, 1);
      told(event.loaded < event.total ? "sending …" : "reading …");
    });
    ask.addEventListener("load", () => {
      let answer = {};
      try { answer = JSON.parse(ask.responseText); } catch { /* told below */ }
      if (ask.status === 201) { location.assign("/explore/" + encodeURIComponent(answer.bags[0].id)); return; }
      const error = answer.error || { message: "the answer was " + ask.status, hint: "" };
      failed(error.message + (error.hint ? ": " + error.hint : ""));
    });
    ask.addEventListener("error", () => failed("the connection broke: is Parkwarden still there?"));
    ask.open("POST", "/api/v1/bags");
    ask.setRequestHeader("X-CSRF-Token", parkwarden.csrf());
    ask.send(form);
  };
  if (drop) {
    const over = (on) => drop.classList.toggle("over", on);
    // anywhere on the page: who misses the field would leave the page with the file
    addEventListener("dragover", (event) => { event.preventDefault(); over(true); });
    addEventListener("dragleave", (event) => { if (!event.relatedTarget) over(false); });
    addEventListener("drop", (event) => {
      event.preventDefault();
      over(false);
      send([...event.dataTransfer.files]);
    });
    $("pick").addEventListener("change", (event) => send([...event.target.files]));
    drop.addEventListener("submit", (event) => event.preventDefault());
  }

  // ---- flame graph

  if ($("graph-data")) {
    const data = JSON.parse($("graph-data").textContent);
    parkwardenFlame({
      graph: $("graph"), info: $("finfo"), search: $("fsearch"), reset: $("freset"), turn: $("fturn"),
      diff: $("fdiff"), scale: $("fscale"), legend: $("legend"),
    }, data.flame, data.strings);
  }

  // ---- a site's row opens to its stack below it; with a modifier, or without us, the link leads to the site's own page

  document.addEventListener("click", (event) => {
    const link = event.target.closest("a.open");
    if (!link || event.ctrlKey || event.metaKey || event.shiftKey || event.button) return;
    event.preventDefault();
    const row = link.closest("tr");
    const next = row.nextElementSibling;
    const open = Boolean(next) && next.classList.contains("stackrow");
    link.setAttribute("aria-expanded", String(!open));
    if (open) { next.remove(); return; }
    const tr = document.createElement("tr");
    const td = document.createElement("td");
    const own = document.createElement("a");
    const body = document.createElement("div");
    tr.className = "stackrow";
    td.colSpan = row.cells.length;
    own.href = link.href;
    own.className = "small";
    own.textContent = "this site's own page";
    body.textContent = "…";
    td.append(body, own);
    tr.append(td);
    row.after(tr);
    htmx.ajax("GET", link.getAttribute("href"), { target: body, swap: "innerHTML" });
  });
})();
