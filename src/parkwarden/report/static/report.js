"use strict";
// Texts come from inputs: they are only ever set with textContent, never parsed.
(() => {
  const $ = (id) => document.getElementById(id);
  document.documentElement.classList.add("scripted");
  const make = (tag, cls, text) => {
    const e = document.createElement(tag);
    if (cls) e.className = cls;
    if (text !== undefined) e.textContent = text;
    return e;
  };
  const later = (fn, ms) => {
    let timer = 0;
    return () => { clearTimeout(timer); timer = setTimeout(fn, ms); };
  };
  const num = (n) => n.toLocaleString("en");

  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      const from = $(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(from.textContent);
        button.textContent = "Copied";
      } catch {
        getSelection().selectAllChildren(from);
        button.textContent = "Selected";
      }
      setTimeout(() => { button.textContent = "Copy"; }, 1500);
    });
  }
  if (!$("rows")) return;
  const data = JSON.parse($("data").textContent);
  const S = data.strings;
  const KINDS = ["yours", "other", "std", "note"];

  // ---- cluster table
  const PAGE = 20;
  const body = $("rows").tBodies[0];
  let rows = [...body.querySelectorAll("tr.row")];
  const hay = rows.map((row) => {
    const stack = data.stacks[row.dataset.i];
    const more = stack.f.map((f) => S[f[0]] + " " + S[f[1]] + ":" + f[2]).concat(stack.l);
    if (stack.go) more.push(S[stack.go[0]]);
    return (row.textContent + " " + row.dataset.blocked + " " + more.join(" ")).toLowerCase();
  });
  let all = false;

  const stackOf = (i) => {
    const stack = data.stacks[i];
    const tr = make("tr", "stackrow");
    const td = make("td");
    td.colSpan = 9;
    if (stack.t.length) td.append(make("p", "traits", stack.t.join(" · ")));
    if (stack.l.length) td.append(make("p", "traits", "labels: " + stack.l.join(", ")));
    const list = make("ol", "stack");
    const item = (f, cls, lead) => {
      const li = make("li", cls);
      li.append(make("span", "fn", lead + S[f[0]]));
      if (S[f[1]]) li.append(make("span", "at", S[f[1]] + (f[2] ? ":" + f[2] : "")));
      list.append(li);
    };
    for (const f of stack.f) item(f, KINDS[f[3]], "");
    if (stack.more) list.append(make("li", "note", "… " + stack.more + " more frames"));
    if (stack.go) item(stack.go, "started", "go statement in ");
    td.append(list);
    tr.append(td);
    return tr;
  };
  const toggle = (row) => {
    const open = row.classList.toggle("opened");
    row.querySelector(".fnbtn").setAttribute("aria-expanded", String(open));
    if (open) row.after(stackOf(row.dataset.i));
    else if (row.nextElementSibling && row.nextElementSibling.classList.contains("stackrow")) row.nextElementSibling.remove();
  };
  for (const row of rows) {
    const open = row.querySelector(".open");
    const button = make("button", "fnbtn");
    button.type = "button";
    button.setAttribute("aria-expanded", "false");
    button.append(...open.childNodes);
    open.replaceWith(button);
  }
  body.addEventListener("click", (event) => {
    const row = event.target.closest("tr.row");
    if (row && !String(getSelection())) toggle(row);
  });

  const filter = () => {
    const terms = $("search").value.toLowerCase().split(/\s+/).filter(Boolean);
    const mine = $("mine").checked;
    let found = 0, goroutines = 0, shown = 0;
    for (const row of rows) {
      const text = hay[row.dataset.i];
      const hit = (!mine || row.dataset.mine) && terms.every((term) => text.includes(term));
      if (hit) { found++; goroutines += Number(row.dataset.n); }
      const show = hit && (all || found <= PAGE);
      if (show) shown++;
      row.hidden = !show;
      if (!show && row.classList.contains("opened")) toggle(row);
    }
    $("found").textContent = found + " of " + rows.length + " clusters, " + num(goroutines) + " goroutines";
    $("none").hidden = found > 0;
    $("all").hidden = shown >= found;
    $("all").textContent = "Show all " + found;
  };
  $("search").addEventListener("input", later(filter, 120));
  $("mine").addEventListener("change", filter);
  $("all").addEventListener("click", () => { all = true; filter(); });

  for (const th of $("rows").tHead.querySelectorAll("th")) {
    const button = make("button", "", th.textContent);
    button.type = "button";
    th.replaceChildren(button);
    button.addEventListener("click", () => {
      const key = th.dataset.sort;
      const text = key === "state" || key === "blocked";
      const now = th.getAttribute("aria-sort");
      const down = now ? now === "ascending" : !text;
      for (const other of $("rows").tHead.querySelectorAll("th")) other.removeAttribute("aria-sort");
      th.setAttribute("aria-sort", down ? "descending" : "ascending");
      for (const row of rows) if (row.classList.contains("opened")) toggle(row);
      const of = (row) => (text ? row.dataset[key] : Number(row.dataset[key]));
      rows.sort((a, b) => {
        const x = of(a), y = of(b);
        const order = x < y ? -1 : x > y ? 1 : 0;
        return (down ? -order : order) || a.dataset.i - b.dataset.i;
      });
      body.append(...rows);
      filter();
    });
  }
  addEventListener("beforeprint", () => { for (const row of rows) row.hidden = Number(row.dataset.i) >= PAGE; });
  addEventListener("afterprint", filter);
  filter();

  // ---- flame graph
  const F = data.flame;
  const graph = $("graph");
  const info = $("finfo");
  const n = F.parent.length;
  const children = Array.from({ length: n }, () => []);
  const depth = new Array(n).fill(0);
  for (let i = 1; i < n; i++) { children[F.parent[i]].push(i); depth[i] = depth[F.parent[i]] + 1; }
  const weight = (i) => (F.before ? Math.max(F.now[i], diff ? F.before[i] : 0) : F.now[i]);
  const nameOf = (i) => S[F.names[F.name[i]]];
  const ROW = 22, THIN = 0.0012;
  let zoom = 0, up = false, diff = false, focus = 0;
  let cells = new Map();

  const colour = (i) => {
    if (!diff) return KINDS[F.kinds[F.name[i]]];
    const change = F.now[i] - F.before[i];
    const part = Math.abs(change) / Math.max(F.now[i], F.before[i], 1);
    if (part < 0.02) return "d0";
    return (change > 0 ? "u" : "l") + (part < 0.2 ? 1 : part < 0.5 ? 2 : 3);
  };
  const describe = (i) => {
    const share = (100 * F.now[i]) / Math.max(F.now[0], 1);
    let text = nameOf(i) + ": " + num(F.now[i]) + " goroutines, " + share.toFixed(share < 10 ? 1 : 0) + " %";
    if (F.before && F.now[i] !== F.before[i]) {
      const change = F.now[i] - F.before[i];
      text += ", " + (change > 0 ? "+" : "−") + num(Math.abs(change)) + " since the first look";
    }
    return text;
  };
  // without the package's directories; without the package too where even that does not fit
  const short = (name, room) => {
    const text = name.replace(/^(go )?[^([]*\//, "$1");
    return text.length <= room ? text : text.replace(/^(go )?[^.([]*\./, "$1");
  };
  const draw = () => {
    graph.replaceChildren();
    cells = new Map();
    const boxes = [];
    const path = [];
    for (let i = zoom; i >= 0; i = F.parent[i]) path.push(i);
    for (const i of path) if (i !== zoom) boxes.push([i, 0, 1]);
    const todo = [[zoom, 0, 1]];
    let deepest = depth[zoom];
    while (todo.length) {
      const [i, left, width] = todo.pop();
      boxes.push([i, left, width]);
      deepest = Math.max(deepest, depth[i]);
      const kids = children[i].slice().sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
      const total = Math.max(weight(i), kids.reduce((sum, k) => sum + weight(k), 0), 1);
      let at = left;
      for (const kid of kids) {
        const share = (width * weight(kid)) / total;
        if (share >= THIN) todo.push([kid, at, share]);
        at += share;
      }
    }
    graph.style.height = (deepest + 1) * ROW + "px";
    const fragment = document.createDocumentFragment();
    boxes.sort((a, b) => depth[a[0]] - depth[b[0]] || a[1] - b[1]);
    for (const [i, left, width] of boxes) {
      const cell = make("div", "cell " + colour(i) + (depth[i] < depth[zoom] ? " past" : "") + (width < 0.02 ? " thin" : ""));
      if (width >= 0.012) cell.textContent = short(nameOf(i), (width * graph.clientWidth) / 7.3);
      cell.style.left = left * 100 + "%";
      cell.style.width = width * 100 + "%";
      cell.style.top = (up ? deepest - depth[i] : depth[i]) * ROW + "px";
      cell.dataset.i = i;
      cell.tabIndex = -1;
      cell.setAttribute("role", "treeitem");
      cell.setAttribute("aria-level", depth[i] + 1);
      cell.setAttribute("aria-label", describe(i));
      cell.title = describe(i);
      cells.set(i, cell);
      fragment.append(cell);
    }
    graph.append(fragment);
    if (!cells.has(focus)) focus = zoom;
    cells.get(focus).tabIndex = 0;
    $("freset").disabled = zoom === 0;
    highlight();
  };
  const highlight = () => {
    const term = $("fsearch").value.trim().toLowerCase();
    graph.classList.toggle("searching", term !== "");
    if (!term) { info.textContent = describe(focus); return; }
    const hit = new Array(n).fill(false);
    const inside = new Array(n).fill(false);
    let sum = 0;
    for (let i = 0; i < n; i++) {
      hit[i] = i > 0 && nameOf(i).toLowerCase().includes(term);
      inside[i] = hit[i] || (i > 0 && inside[F.parent[i]]);
      if (hit[i] && !inside[F.parent[i]]) sum += F.now[i];
    }
    for (const [i, cell] of cells) cell.classList.toggle("found", hit[i]);
    info.textContent = num(sum) + " goroutines (" + ((100 * sum) / Math.max(F.now[0], 1)).toFixed(1) + " %) go through “" + term + "”";
  };
  const legend = () => {
    const keys = diff
      ? [["u3", "many more"], ["u1", "more"], ["d0", "unchanged"], ["l1", "fewer"], ["l3", "many fewer"]]
      : [["yours", "your code"], ["other", "other modules"], ["std", "standard library"], ["note", "wait state"]];
    $("legend").replaceChildren(...keys.map(([cls, text]) => {
      const span = make("span");
      span.append(make("i", "key " + cls), text);
      return span;
    }));
  };
  const zoomTo = (i) => { zoom = i; focus = i; draw(); };
  const focusOn = (i) => {
    if (i === undefined || !cells.has(i)) return;
    cells.get(focus).tabIndex = -1;
    focus = i;
    cells.get(i).tabIndex = 0;
    cells.get(i).focus({ preventScroll: false });
  };
  graph.addEventListener("click", (event) => {
    const cell = event.target.closest(".cell");
    if (cell) { zoomTo(Number(cell.dataset.i)); cells.get(zoom).focus({ preventScroll: true }); }
  });
  const tell = (event) => {
    const cell = event.target.closest(".cell");
    if (cell && !$("fsearch").value) info.textContent = describe(Number(cell.dataset.i));
  };
  graph.addEventListener("mouseover", tell);
  graph.addEventListener("focusin", tell);
  graph.addEventListener("keydown", (event) => {
    const here = cells.get(focus);
    const deeper = up ? "ArrowUp" : "ArrowDown", outer = up ? "ArrowDown" : "ArrowUp";
    const level = [...cells].filter(([i]) => depth[i] === depth[focus]).map(([i]) => i);
    if (event.key === deeper) focusOn([...cells.keys()].find((i) => F.parent[i] === focus));
    else if (event.key === outer) focusOn(F.parent[focus]);
    else if (event.key === "ArrowRight") focusOn(level[level.indexOf(focus) + 1]);
    else if (event.key === "ArrowLeft") focusOn(level[level.indexOf(focus) - 1]);
    else if (event.key === "Enter" || event.key === " ") { zoomTo(focus); cells.get(focus).focus(); }
    else if (event.key === "Escape" && here) { zoomTo(0); cells.get(0).focus(); }
    else return;
    event.preventDefault();
  });
  $("fsearch").addEventListener("input", later(highlight, 120));
  $("freset").addEventListener("click", () => zoomTo(0));
  $("fturn").addEventListener("click", (event) => {
    up = !up;
    event.currentTarget.setAttribute("aria-pressed", String(up));
    draw();
  });
  if (F.before) {
    $("fdiff").hidden = false;
    $("fdiff").addEventListener("click", (event) => {
      diff = !diff;
      event.currentTarget.setAttribute("aria-pressed", String(diff));
      legend();
      draw();
    });
  }
  legend();
  draw();
})();
