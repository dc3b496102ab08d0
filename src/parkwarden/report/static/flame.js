"use strict";
// A flame graph of goroutines over the data of report/view.py: flame. Texts come from inputs: they are only ever set with
// textContent, never parsed.
//
// `at` holds elements: graph, info, search, reset, turn, legend, and where two looks are compared diff (colour by change)
// and scale (both looks as if they had the same total); `F` the columns, `S` the texts they refer to.
const parkwardenFlame = (at, F, S) => {
  const KINDS = ["yours", "other", "std", "mark"];
  const ROW = 22, THIN = 0.0012;
  const graph = at.graph, info = at.info;
  const n = F.parent.length;
  const children = Array.from({ length: n }, () => []);
  const depth = new Array(n).fill(0);
  for (let i = 1; i < n; i++) { children[F.parent[i]].push(i); depth[i] = depth[F.parent[i]] + 1; }
  const make = (tag, cls) => {
    const e = document.createElement(tag);
    if (cls) e.className = cls;
    return e;
  };
  const num = (x) => Math.round(x).toLocaleString("en");
  const pressed = (button) => Boolean(button) && button.getAttribute("aria-pressed") === "true";
  let zoom = 0, focus = 0, timer = 0;
  let up = pressed(at.turn), diff = Boolean(F.before) && pressed(at.diff), scaled = false;
  let cells = new Map();

  const was = (i) => (scaled ? (F.before[i] * F.now[0]) / Math.max(F.before[0], 1) : F.before[i]);
  const weight = (i) => (diff ? Math.max(F.now[i], was(i)) : F.now[i]);
  const nameOf = (i) => S[F.names[F.name[i]]];
  const colour = (i) => {
    if (!diff) return KINDS[F.kinds[F.name[i]]];
    const change = F.now[i] - was(i);
    const part = Math.abs(change) / Math.max(F.now[i], was(i), 1);
    if (part < 0.02) return "d0";
    return (change > 0 ? "u" : "l") + (part < 0.2 ? 1 : part < 0.5 ? 2 : 3);
  };
  const describe = (i) => {
    const share = (100 * F.now[i]) / Math.max(F.now[0], 1);
    let text = nameOf(i) + ": " + num(F.now[i]) + " goroutines, " + share.toFixed(share < 10 ? 1 : 0) + " %";
    if (F.before && num(F.now[i]) !== num(was(i))) {
      const change = F.now[i] - was(i);
      text += ", " + (change > 0 ? "+" : "−") + num(Math.abs(change)) + " since the first look";
      if (scaled) text += " at the same total";
    }
    return text;
  };
  // without the package's directories; without the package too where even that does not fit
  const short = (name, room) => {
    const text = name.replace(/^(go )?[^([]*\//, "$1");
    return text.length <= room ? text : text.replace(/^(go )?[^.([]*\./, "$1");
  };
  const place = () => {
    const boxes = [];
    for (let i = F.parent[zoom]; i >= 0; i = F.parent[i]) boxes.push([i, 0, 1]);
    const todo = [[zoom, 0, 1]];
    while (todo.length) {
      const [i, left, width] = todo.pop();
      boxes.push([i, left, width]);
      const kids = children[i].slice().sort((a, b) => (nameOf(a) < nameOf(b) ? -1 : 1));
      const total = Math.max(weight(i), kids.reduce((sum, k) => sum + weight(k), 0), 1);
      let from = left;
      for (const kid of kids) {
        const share = (width * weight(kid)) / total;
        if (share >= THIN) todo.push([kid, from, share]);
        from += share;
      }
    }
    return boxes.sort((a, b) => depth[a[0]] - depth[b[0]] || a[1] - b[1]);
  };
  const draw = () => {
    const boxes = place();
    const deepest = depth[boxes[boxes.length - 1][0]];
    const room = graph.clientWidth;
    const fragment = document.createDocumentFragment();
    cells = new Map();
    graph.style.height = (deepest + 1) * ROW + "px";
    for (const [i, left, width] of boxes) {
      const cell = make("div", "cell " + colour(i) + (depth[i] < depth[zoom] ? " past" : "") + (width < 0.02 ? " thin" : ""));
      if (width >= 0.012) cell.textContent = short(nameOf(i), (width * room) / 7.3);
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
    graph.replaceChildren(fragment);
    if (!cells.has(focus)) focus = zoom;
    cells.get(focus).tabIndex = 0;
    at.reset.disabled = zoom === 0;
    highlight();
  };
  const highlight = () => {
    const term = at.search.value.trim().toLowerCase();
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
      : [["yours", "your code"], ["other", "other modules"], ["std", "standard library"], ["mark", "wait state"]];
    at.legend.replaceChildren(...keys.map(([cls, text]) => {
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
    if (cell && !at.search.value) info.textContent = describe(Number(cell.dataset.i));
  };
  graph.addEventListener("mouseover", tell);
  graph.addEventListener("focusin", tell);
  graph.addEventListener("keydown", (event) => {
    const deeper = up ? "ArrowUp" : "ArrowDown", outer = up ? "ArrowDown" : "ArrowUp";
    const level = [...cells].filter(([i]) => depth[i] === depth[focus]).map(([i]) => i);
    if (event.key === deeper) focusOn([...cells.keys()].find((i) => F.parent[i] === focus));
    else if (event.key === outer) focusOn(F.parent[focus]);
    else if (event.key === "ArrowRight") focusOn(level[level.indexOf(focus) + 1]);
    else if (event.key === "ArrowLeft") focusOn(level[level.indexOf(focus) - 1]);
    else if (event.key === "Enter" || event.key === " ") { zoomTo(focus); cells.get(focus).focus(); }
    else if (event.key === "Escape") { zoomTo(0); cells.get(0).focus(); }
    else return;
    event.preventDefault();
  });
  at.search.addEventListener("input", () => { clearTimeout(timer); timer = setTimeout(highlight, 120); });
  at.reset.addEventListener("click", () => zoomTo(0));
  const toggle = (button, change) => {
    if (!button) return;
    button.hidden = false;
    button.addEventListener("click", () => {
      const on = !pressed(button);
      button.setAttribute("aria-pressed", String(on));
      change(on);
      legend();
      draw();
    });
  };
  toggle(at.turn, (on) => { up = on; });
  if (F.before) {
    toggle(at.diff, (on) => { diff = on; });
    toggle(at.scale, (on) => { scaled = on; });
  }
  legend();
  draw();
};
