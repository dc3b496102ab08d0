// One service: draws the series with their marks and the replicas by age, walks the heat map, and keeps what is in view up to date.
"use strict";

(() => {
  const HEIGHT = 220, MARK_NEAR_PX = 6;
  const plots = new Map(); // id of a chart -> uPlot

  // colours as the page has them now (custom properties may hold light-dark())
  const probe = document.createElement("span");
  probe.hidden = true;
  document.body.append(probe);
  function colour(name) {
    probe.style.color = `var(--${name})`;
    return getComputedStyle(probe).color;
  }

  const short = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
  const whole = (n) => (n == null ? "–" : Math.round(n).toLocaleString("en"));
  function bytes(n) {
    if (n == null) return "–";
    for (const unit of ["B", "KiB", "MiB", "GiB"]) {
      if (Math.abs(n) < 1024) return `${n.toFixed(unit === "B" || n >= 100 ? 0 : 1)} ${unit}`;
      n /= 1024;
    }
    return `${n.toFixed(1)} TiB`;
  }
  function span(s) {
    if (s == null) return "–";
    if (s < 100) return `${Math.round(s)} s`;
    if (s < 6000) return `${Math.round(s / 60)} min`;
    if (s < 172_800) return `${(s / 3600).toFixed(1)} h`;
    return `${(s / 86_400).toFixed(1)} d`;
  }

  const SPANS = [1, 5, 10, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600, 43_200, 86_400, 172_800, 604_800, 2_592_000]; // steps of an axis of durations
  const UNITS = [["d", 86_400], ["h", 3600], ["min", 60], ["s", 1]];
  function exactly(s) { // a tick: no two of an axis are the same
    const said = [];
    for (const [unit, size] of UNITS) {
      const n = Math.floor(s / size);
      s -= n * size;
      if (n && said.length < 2) said.push(`${n} ${unit}`);
    }
    return said.join(" ") || "0";
  }
  const durations = () => axis((_, ticks) => ticks.map(exactly), { incrs: SPANS, space: 80 });

  function data(id) {
    const block = document.getElementById(id);
    return block ? JSON.parse(block.textContent) : null;
  }

  // ---- charts

  function axis(values, more = {}) {
    const line = { stroke: colour("line"), width: 1 };
    return { stroke: colour("dim"), grid: line, ticks: line, font: "12px system-ui, sans-serif", ...(values && { values }), ...more };
  }

  const WHOLE_BYTES = Array.from({ length: 45 }, (_, i) => 2 ** i); // steps of an axis of bytes

  const MARKS = { deploy: "go", restart: "suspect", capture: "unknown", incident: "leak", resolved: "ok" };

  function marked(shown) {
    return {
      hooks: {
        draw: (plot) => {
          const { ctx, bbox } = plot;
          ctx.save();
          ctx.lineWidth = devicePixelRatio;
          ctx.setLineDash([4 * devicePixelRatio, 3 * devicePixelRatio]);
          for (const { at, kind } of shown.marks) {
            const x = Math.round(plot.valToPos(at, "x", true));
            if (x < bbox.left || x > bbox.left + bbox.width) continue;
            ctx.strokeStyle = colour(MARKS[kind] ?? "dim");
            ctx.beginPath(); // captures are many: ticks at the foot
            ctx.moveTo(x, kind === "capture" ? bbox.top + bbox.height - 9 * devicePixelRatio : bbox.top);
            ctx.lineTo(x, bbox.top + bbox.height);
            ctx.stroke();
          }
          ctx.restore();
        },
        setCursor: (plot) => {
          const near = plot.cursor.left < 0 ? undefined : shown.marks
            .map((mark) => ({ mark, far: Math.abs(plot.valToPos(mark.at, "x") - plot.cursor.left) }))
            .filter(({ far }) => far < MARK_NEAR_PX).sort((a, b) => a.far - b.far)[0];
          const text = near ? `${near.mark.kind}: ${near.mark.text}` : "";
          if (plot.over.title !== text) plot.over.title = text;
        },
      },
    };
  }

  function draw(id, options, values) {
    const box = document.getElementById(id);
    if (!box) { plots.get(id)?.destroy(); plots.delete(id); return; }
    plots.get(id)?.destroy();
    const plot = new uPlot({ width: Math.max(box.clientWidth, 200), height: HEIGHT, legend: { live: true }, ...options }, values, box);
    plot.root.querySelectorAll("canvas").forEach((canvas) => canvas.setAttribute("aria-hidden", "true"));
    plots.set(id, plot);
    sizes.observe(box);
  }

  const two = (n) => String(n).padStart(2, "0");
  function clock(_plot, ticks, _axis, _space, step) {
    return ticks.map((tick) => {
      const at = new Date(tick * 1000), [h, m] = [at.getHours(), at.getMinutes()];
      if (step >= 86_400 || (h === 0 && m === 0 && step >= 60)) return `${two(at.getMonth() + 1)}-${two(at.getDate())}`;
      return `${two(h)}:${two(m)}${step < 60 ? `:${two(at.getSeconds())}` : ""}`;
    });
  }

  const sizes = new ResizeObserver((entries) => {
    for (const { target } of entries) {
      const plot = plots.get(target.id);
      if (plot && Math.abs(plot.width - target.clientWidth) > 1 && target.clientWidth > 0) plot.setSize({ width: target.clientWidth, height: HEIGHT });
    }
  });

  let shown = null, lines = null;

  function seriesValues(now) {
    return { "chart-goroutines": [now.t, now.goroutines, now.largest], "chart-memory": [now.t, now.heap_inuse, now.rss] };
  }

  function drawSeries() {
    const now = data("data-series");
    if (!now?.t?.length) { shown = null; draw("chart-goroutines"); draw("chart-memory"); return; }
    const same = shown && plots.has("chart-goroutines") && document.getElementById("chart-goroutines")?.firstChild;
    const values = seriesValues(now);
    if (same) { // the plots read `shown`
      Object.assign(shown, now);
      for (const [id, columns] of Object.entries(values)) plots.get(id)?.setData(columns);
      return;
    }
    shown = now;
    const x = { time: now.real, range: () => [Math.max(shown.since, shown.t[0]), shown.until] };
    const base = (stroke, said, labels) => ({
      scales: { x, y: { range: (_, low, high) => [0, Math.max(high, 1) * 1.05] } },
      cursor: { sync: { key: "service" } },
      plugins: [marked(shown)],
      axes: [now.real ? axis(clock, { space: 72 }) : durations(), axis((_, ticks) => ticks.map(said), { size: said === bytes ? 80 : 64, ...(said === bytes && { incrs: WHOLE_BYTES }) })],
      series: [
        { label: "at", value: (_, v) => (v == null ? "–" : now.real ? parkwarden.moment(new Date(v * 1000)) : span(v)) },
        { label: labels[0], stroke: colour(stroke), width: 2, fill: `color-mix(in srgb, ${colour(stroke)} 10%, transparent)`, value: (_, v) => (said === bytes ? bytes(v) : whole(v)), spanGaps: false },
        { label: labels[1], stroke: colour("dim"), width: 1.3, dash: [5, 3], value: (_, v) => (said === bytes ? bytes(v) : whole(v)), spanGaps: false },
      ],
    });
    draw("chart-goroutines", base("accent", (n) => short.format(n), ["all instances", "the largest"]), values["chart-goroutines"]);
    draw("chart-memory", base("go", bytes, ["heap in use", "resident"]), values["chart-memory"]);
  }

  function drawReplicas() {
    const now = data("data-replicas") ?? [];
    if (!now.length) { lines = null; draw("chart-replicas"); return; }
    const columns = now.length > 1 ? uPlot.join(now.map(({ age, n }) => [age, n])) : [now[0].age, now[0].n];
    const names = JSON.stringify(now.map(({ id, found }) => [id, found]));
    if (lines === names && document.getElementById("chart-replicas")?.firstChild) { plots.get("chart-replicas").setData(columns); return; }
    lines = names;
    draw("chart-replicas", {
      legend: { show: now.length <= 8, live: true },
      focus: { alpha: 0.25 },
      cursor: { focus: { prox: 24 } },
      scales: { x: { time: false }, y: { range: (_, low, high) => [0, Math.max(high, 1) * 1.05] } },
      axes: [durations(), axis((_, ticks) => ticks.map((n) => short.format(n)), { size: 56 })],
      series: [
        { label: "age", value: (_, v) => span(v) },
        ...now.map(({ id, found }) => ({ label: id, stroke: colour(found ? "leak" : "unknown"), width: found ? 2 : 1, points: { show: false }, value: (_, v) => whole(v), spanGaps: false })),
      ],
      hooks: { setSeries: [(plot, at) => { plot.over.title = at ? now[at - 1]?.id ?? "" : ""; }] },
    }, columns);
  }

  // ---- heat map: hover, and a cursor that walks

  function hours() {
    document.querySelectorAll("time[data-hm]").forEach((time) => {
      const at = new Date(time.dateTime);
      const [hour, minute] = [two(at.getHours()), two(at.getMinutes())];
      const text = time.textContent.trim().includes(":") || time.dataset.hm ? `${hour}:${minute}` : `${two(at.getDate())} ${hour}`;
      time.dataset.hm = "1";
      time.textContent = text;
    });
  }

  function heat() {
    const table = document.getElementById("heat");
    if (table && !table.querySelector("td[tabindex]")) table.querySelector("tbody td:not(.r)")?.setAttribute("tabindex", "0");
    hours();
  }

  function read(cell) {
    const row = cell.parentElement, at = [...row.children].indexOf(cell);
    const time = cell.closest("table").tHead.rows[0].cells[at]?.querySelector("time");
    const when = time ? parkwarden.moment(new Date(time.dateTime)) : cell.closest("table").tHead.rows[0].cells[at]?.textContent ?? "";
    const n = cell.title || cell.textContent.trim();
    const what = row.querySelector("code")?.title ?? "";
    document.getElementById("heat-read").textContent = `${n === "·" ? "nobody looked" : `${n || 0} goroutines`} · ${when} · ${what}`;
  }

  function walk(event) {
    const cell = event.target.closest("#heat td:not(.r)");
    if (!cell) return;
    const row = cell.parentElement, at = [...row.children].indexOf(cell), last = row.children.length - 2;
    const to = {
      ArrowLeft: [row, at - 1], ArrowRight: [row, at + 1], Home: [row, 1], End: [row, last],
      ArrowUp: [row.previousElementSibling, at], ArrowDown: [row.nextElementSibling, at],
    }[event.key];
    if (!to) return;
    event.preventDefault();
    const next = to[0]?.children[Math.min(Math.max(to[1], 1), last)];
    if (!next) return;
    cell.removeAttribute("tabindex");
    next.setAttribute("tabindex", "0");
    next.focus();
  }

  document.addEventListener("mouseover", (event) => { const cell = event.target.closest?.("#heat td:not(.r)"); if (cell) read(cell); });
  document.addEventListener("focusin", (event) => { const cell = event.target.closest?.("#heat td:not(.r)"); if (cell) read(cell); });
  document.addEventListener("keydown", walk);

  // ---- live: the parts that are in view, in one question

  let asked = new Set(), running = false;

  async function load() {
    if (running || !asked.size) return;
    running = true;
    const parts = [...asked];
    asked = new Set();
    try {
      const url = new URL(location.href);
      url.hash = "";
      url.searchParams.set("range", document.querySelector(".ranges [aria-current]").textContent); // what is usual changes with time
      url.searchParams.set("parts", parts.join(","));
      const answer = await fetch(url, { headers: { "HX-Request": "true" } });
      if (answer.status === 401) { location.reload(); return; }
      if (!answer.ok) throw new Error(answer.status === 404 ? "this service is gone" : `${answer.status}`);
      const fresh = morph.parsed(await answer.text());
      for (const part of parts) {
        const there = document.getElementById(`part-${part}`), wanted = fresh.querySelector(`#part-${part}`);
        if (there && wanted) morph.into(there, wanted);
      }
      if (parts.includes("series")) drawSeries();
      if (parts.includes("replicas")) drawReplicas();
      heat();
    } catch (error) {
      if (!(error instanceof TypeError)) parkwarden.toast(`what is new could not be loaded: ${error.message}`, "leak");
    } finally {
      running = false;
    }
  }

  document.querySelectorAll(".live[data-part]").forEach((part) => part.addEventListener("live", () => {
    asked.add(part.dataset.part);
    queueMicrotask(load);
  }));

  function redraw() {
    shown = lines = null;
    drawSeries();
    drawReplicas();
  }

  document.addEventListener("parkwarden:theme", redraw);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", redraw);
  redraw();
  heat();
})();
