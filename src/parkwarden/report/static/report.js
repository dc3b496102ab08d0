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

  if (!$("rows")) return;
  const data = JSON.parse($("data").textContent);
  const S = data.strings;
  const KINDS = ["yours", "other", "std", "mark"];

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
    if (stack.more) list.append(make("li", "mark", "… " + stack.more + " more frames"));
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

  parkwardenFlame({
    graph: $("graph"), info: $("finfo"), search: $("fsearch"), reset: $("freset"), turn: $("fturn"), diff: $("fdiff"), legend: $("legend"),
  }, data.flame, S);
})();
