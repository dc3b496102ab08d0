// A trace over time: asks for the tiles of what is shown, never for events, and draws them on two canvases that share their time.
"use strict";

(() => {
  const PIXELS = 2; // of a bin, at least: half as many tiles, and areas rather than noise
  const MAX_TILES = 160; // kept; a screen at one zoom needs five
  const MIN_BINS = 16; // that are shown at least: closer there is nothing to see
  const STRIP = 12; // px at the bottom of the states: the collector and stops of the world
  const AXIS = 18; // px below, for the times
  const LINES = 7; // of the tip

  const data = JSON.parse(document.getElementById("trace-data").textContent);
  const range = document.getElementById("range");
  const tip = document.querySelector(".tip");
  const box = document.getElementById("over-time");
  const whole = Math.max(data.duration_s, 1e-9);
  const tiles = new Map([["0/0", data.first]]);
  const asked = new Set();
  const least = Math.min(whole, MIN_BINS * data.bin_s);
  let from = 0, to = whole, failed = "", pending = 0, said = 0;

  // ---- what is shown

  function show(a, b, keep = true) {
    const span = Math.min(Math.max(b - a, least), whole);
    const middle = (a + b) / 2;
    from = Math.min(Math.max(middle - span / 2, 0), whole - span);
    to = from + span;
    if (keep) {
      const url = new URL(location.href);
      const all = span >= whole;
      for (const [name, value] of [["from", from], ["to", to]]) {
        if (all) url.searchParams.delete(name); else url.searchParams.set(name, value.toPrecision(9));
      }
      history.replaceState(null, "", url);
    }
    draw();
  }

  const zoom = (factor, at = (from + to) / 2) => show(at - (at - from) * factor, at + (to - at) * factor);
  const move = (share) => {
    const by = Math.min(Math.max((to - from) * share, -from), whole - to);
    show(from + by, to + by);
  };
  const acts = {
    in: () => zoom(0.5),
    out: () => zoom(2),
    left: () => move(-0.3),
    right: () => move(0.3),
    all: () => show(0, whole),
  };

  // ---- tiles

  const binOf = (level) => data.bin_s * 2 ** (data.levels - 1 - level);

  function levelFor(width) {
    const want = ((to - from) / Math.max(width, 1)) * PIXELS;
    let level = 0;
    while (level < data.levels - 1 && binOf(level) > want) level++;
    return level;
  }

  function ask(level, index) {
    const key = `${level}/${index}`;
    if (asked.has(key)) return;
    asked.add(key);
    parkwarden.json(`${data.tiles}&level=${level}&index=${index}`).then(
      (tile) => {
        tiles.set(key, tile);
        if (tiles.size > MAX_TILES) {
          const oldest = [...tiles.keys()].find((one) => one !== "0/0");
          tiles.delete(oldest);
          asked.delete(oldest);
        }
        failed = "";
        draw();
      },
      (error) => {
        setTimeout(() => { asked.delete(key); draw(); }, 3000); // then it is asked for again
        failed = error.message;
        tell();
      },
    );
  }

  // bins of what is shown, finest that are here: {a, b: seconds, width: of the whole bin, tile, j}; and whether all are as fine as wanted
  function columns(width) {
    const level = levelFor(width);
    const long = binOf(level) * data.tile_bins;
    const last = Math.min(Math.floor(to / long), 2 ** level - 1);
    const found = [];
    let fine = true;
    for (let index = Math.floor(from / long); index <= last; index++) {
      let up = level, at = index;
      while (!tiles.has(`${up}/${at}`)) { up--; at >>= 1; }
      if (up !== level) { fine = false; ask(level, index); }
      const key = `${up}/${at}`, tile = tiles.get(key);
      tiles.delete(key); // to the end: the one not used for longest goes first
      tiles.set(key, tile);
      const low = Math.max(from, index * long), high = Math.min(to, (index + 1) * long, tile.to_s);
      for (let j = Math.max(0, Math.floor((low - tile.from_s) / tile.bin_s)); j < tile.bins; j++) {
        const begin = tile.from_s + j * tile.bin_s, end = Math.min(begin + tile.bin_s, tile.to_s);
        if (begin >= high) break;
        if (end > low) found.push({ a: Math.max(begin, low), b: Math.min(end, high), begin, width: end - begin, tile, j });
      }
    }
    return { found, fine };
  }

  // ---- pictures

  const charts = [
    { id: "made", unit: "/s", strip: 0, value: (c, row) => (c.tile.created[row]?.[c.j] ?? 0) / c.width },
    { id: "states", unit: "", strip: STRIP, value: (c, row) => c.tile.states[row]?.[c.j] ?? 0 },
  ].map((chart) => {
    const element = document.getElementById(chart.id);
    const rows = [...document.querySelectorAll(`.legend[data-for="${chart.id}"] input`)].map((input) => ({
      input,
      row: input.dataset.row,
      name: input.closest("label").querySelector("span").textContent.replace(/\s+/g, " ").trim(),
      paint: input.closest("label").querySelector(".paint"),
    }));
    return { ...chart, element, rows, canvas: element.querySelector("canvas"), shown: [] };
  });
  const paints = {};

  function readPaints() {
    const style = (element) => getComputedStyle(element).backgroundColor;
    for (const chart of charts) for (const row of chart.rows) row.colour = style(row.paint);
    paints.gc = style(document.querySelector(".paint.gc"));
    paints.stop = style(document.querySelector(".paint.stop"));
    paints.text = getComputedStyle(document.querySelector(".dim")).color;
    paints.line = getComputedStyle(document.body).color;
    paints.card = style(charts[0].element);
  }

  // 1, 2 or 5 times a power of ten, so that about `parts` of it fill `span`
  function round(span, parts) {
    const raw = span / parts, unit = 10 ** Math.floor(Math.log10(raw));
    return [1, 2, 5, 10].find((n) => n * unit >= raw) * unit;
  }

  const number = (n) => n > 0 && n < 0.1 ? "under 0.1" : n >= 100 || Number.isInteger(n) ? Math.round(n).toLocaleString("en") : n.toPrecision(2).replace(/\.0$/, "");

  function time(s, step) {
    const [unit, times] = step >= 0.1 ? ["s", 1] : step >= 1e-4 ? ["ms", 1e3] : ["µs", 1e6];
    const digits = Math.min(Math.max(0, -Math.floor(Math.log10(step * times) + 1e-9)), 6);
    return `${(s * times).toLocaleString("en", { minimumFractionDigits: digits, maximumFractionDigits: digits })} ${unit}`;
  }

  function paint(chart) {
    const width = chart.element.clientWidth, height = chart.element.clientHeight;
    const ratio = window.devicePixelRatio || 1;
    const canvas = chart.canvas;
    if (canvas.width !== Math.round(width * ratio) || canvas.height !== Math.round(height * ratio)) {
      canvas.width = Math.round(width * ratio);
      canvas.height = Math.round(height * ratio);
    }
    const pen = canvas.getContext("2d");
    pen.setTransform(1, 0, 0, 1, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    const { found, fine } = columns(width);
    chart.shown = found;
    const rows = chart.rows.filter((row) => row.input.checked);
    const floor = height - AXIS - chart.strip, room = floor - 6;
    const x = (s) => Math.round(((s - from) / (to - from)) * width * ratio);
    const sums = found.map((c) => rows.reduce((sum, row) => sum + chart.value(c, row.row), 0));
    const top = Math.max(...sums, 0) || 1;
    const y = (v) => Math.round((floor - (v / top) * room) * ratio);
    const base = new Float64Array(found.length);
    for (const row of rows) {
      pen.fillStyle = row.colour;
      pen.beginPath();
      found.forEach((c, i) => {
        const v = chart.value(c, row.row);
        if (!v) return;
        const left = x(c.a), low = y(base[i]);
        base[i] += v;
        const high = y(base[i]);
        if (low > high) pen.rect(left, high, Math.max(x(c.b) - left, 1), low - high);
      });
      pen.fill();
    }
    if (chart.strip) {
      for (const [name, share] of [["gc", (c) => c.tile.gc[c.j]], ["stop", (c) => (c.tile.stopped_s[c.j] > 0 ? 1 : 0)]]) {
        pen.fillStyle = paints[name];
        for (const c of found) {
          const part = share(c);
          if (!part) continue;
          pen.globalAlpha = name === "gc" ? 0.25 + 0.75 * part : 1;
          const half = ((STRIP - 2) / 2) * ratio;
          pen.fillRect(x(c.a), floor * ratio + 2 + (name === "gc" ? 0 : half), Math.max(x(c.b) - x(c.a), 1), half);
        }
        pen.globalAlpha = 1;
      }
    }
    axes(pen, chart, { width, height, ratio, floor, room, top });
    return fine;
  }

  function axes(pen, chart, { width, height, ratio, floor, room, top }) {
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.font = "12px system-ui, sans-serif";
    const up = round(top, 3);
    for (let v = up; v <= top; v += up) {
      const at = Math.round(floor - (v / top) * room) + 0.5;
      pen.lineWidth = 1;
      pen.strokeStyle = paints.line;
      pen.globalAlpha = 0.16;
      pen.beginPath();
      pen.moveTo(0, at);
      pen.lineTo(width, at);
      pen.stroke();
      pen.globalAlpha = 1;
      label(pen, `${v < 0.1 ? v.toPrecision(1) : number(v)}${chart.unit}`, 6, at - 3, "left");
    }
    const step = round(to - from, Math.max(2, width / 130));
    for (let s = Math.ceil(from / step) * step; s <= to; s += step) {
      const at = ((s - from) / (to - from)) * width;
      label(pen, time(s, step), Math.min(Math.max(at, 24), width - 26), height - 5, "center");
    }
  }

  function label(pen, text, x, y, align) {
    pen.textAlign = align;
    pen.lineWidth = 3;
    pen.strokeStyle = paints.card;
    pen.strokeText(text, x, y);
    pen.fillStyle = paints.text;
    pen.fillText(text, x, y);
  }

  function draw() {
    if (pending) return;
    pending = requestAnimationFrame(() => {
      pending = 0;
      const fine = charts.map(paint).every(Boolean);
      tell();
      box.dataset.fine = fine ? "1" : "";
      if (fine && !box.dataset.usable) {
        box.dataset.usable = "1";
        performance.mark("trace-usable");
      }
    });
  }

  // what is shown, in words; said to who listens when it stands still
  function tell() {
    const found = charts[0].shown;
    if (!found.length) return;
    const made = charts[0].rows.reduce((sum, row) => sum + found.reduce((n, c) => n + charts[0].value(c, row.row) * (c.b - c.a), 0), 0);
    const mean = (rows) => rows.reduce((sum, row) => sum + found.reduce((n, c) => n + charts[1].value(c, row.row) * (c.b - c.a), 0), 0) / (to - from);
    const last = found[found.length - 1], step = (to - from) / 100;
    const [running, runnable, syscall, ...waiting] = charts[1].rows;
    const text = failed || `${time(from, step)} to ${time(to, step)}: about ${number(Math.round(made))} created (${number(made / (to - from))}/s), `
      + `${number(last.tile.alive[last.j + 1])} goroutines at the end; on average ${number(mean([running]))} run, ${number(mean([runnable]))} wait for a processor, `
      + `${number(mean([syscall]))} are in system calls, ${number(mean(waiting))} wait`;
    clearTimeout(said);
    said = setTimeout(() => { if (range.textContent !== text) range.textContent = text; }, 120);
  }

  // ---- pointer and keyboard

  const timeAt = (chart, event) => {
    const place = chart.element.getBoundingClientRect();
    return from + (Math.min(Math.max(event.clientX - place.left, 0), place.width) / place.width) * (to - from);
  };

  function hover(chart, event) {
    const s = timeAt(chart, event);
    const c = chart.shown.find((one) => s < one.b);
    if (!c) return;
    const rows = chart.rows.map((row) => ({ ...row, v: chart.value(c, row.row) })).filter((row) => row.v > 0);
    rows.sort((one, other) => other.v - one.v);
    const head = document.createElement("p");
    head.textContent = `${time(c.begin, c.width / 10)}, ${time(c.width, c.width / 10)} wide: ${number(c.tile.alive[c.j + 1])} goroutines`;
    const lines = rows.slice(0, LINES).map((row) => {
      const line = document.createElement("p"), dot = document.createElement("i"), text = document.createElement("span");
      dot.className = row.paint.className;
      text.textContent = `${number(row.v)}${chart.unit} ${row.name}`;
      line.append(dot, text);
      return line;
    });
    if (rows.length > LINES) {
      const rest = document.createElement("p");
      rest.textContent = `and ${rows.length - LINES} more`;
      lines.push(rest);
    }
    tip.replaceChildren(head, ...lines);
    tip.hidden = false;
    const left = event.pageX + 14;
    tip.style.left = `${left + tip.offsetWidth > document.documentElement.clientWidth - 8 ? Math.max(8, event.pageX - tip.offsetWidth - 14) : left}px`;
    tip.style.top = `${event.pageY + 14}px`;
  }

  for (const chart of charts) {
    let begun = null, picked = null;
    const done = () => {
      picked?.remove();
      chart.element.classList.remove("moving");
      begun = picked = null;
    };
    chart.element.addEventListener("pointerdown", (event) => {
      if (event.button !== 0) return;
      begun = { at: timeAt(chart, event), x: event.clientX, moves: event.shiftKey, from, to };
      chart.element.setPointerCapture(event.pointerId);
      chart.element.classList.toggle("moving", begun.moves);
    });
    chart.element.addEventListener("pointermove", (event) => {
      if (!begun) { hover(chart, event); return; }
      tip.hidden = true;
      const place = chart.element.getBoundingClientRect();
      if (begun.moves) {
        const by = Math.min(Math.max(((begun.x - event.clientX) / place.width) * (begun.to - begun.from), -begun.from), whole - begun.to);
        show(begun.from + by, begun.to + by);
        return;
      }
      if (!picked) {
        picked = document.createElement("div");
        picked.className = "picked";
        chart.element.append(picked);
      }
      const [a, b] = [begun.x, event.clientX].map((one) => Math.min(Math.max(one - place.left, 0), place.width)).sort((m, n) => m - n);
      picked.style.left = `${a}px`;
      picked.style.width = `${b - a}px`;
    });
    chart.element.addEventListener("pointerup", (event) => {
      if (begun && !begun.moves && Math.abs(event.clientX - begun.x) > 4) {
        const other = timeAt(chart, event);
        show(Math.min(begun.at, other), Math.max(begun.at, other));
      }
      done();
    });
    chart.element.addEventListener("pointercancel", done);
    chart.element.addEventListener("pointerleave", () => { tip.hidden = true; });
    chart.element.addEventListener("dblclick", (event) => zoom(2, timeAt(chart, event)));
    chart.element.addEventListener("wheel", (event) => {
      if (event.ctrlKey || event.metaKey) {
        event.preventDefault();
        zoom(1.0015 ** Math.min(Math.max(event.deltaY, -400), 400), timeAt(chart, event));
      } else if (event.shiftKey || Math.abs(event.deltaX) > Math.abs(event.deltaY)) {
        event.preventDefault();
        move((event.deltaX || event.deltaY) / chart.element.clientWidth);
      }
    }, { passive: false });
    chart.element.addEventListener("keydown", (event) => {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const act = { ArrowLeft: "left", ArrowRight: "right", "+": "in", "=": "in", "-": "out", 0: "all" }[event.key];
      if (act) acts[act]();
      else if (event.key === "Home") show(0, to - from);
      else if (event.key === "End") show(whole - (to - from), whole);
      else return;
      event.preventDefault();
      event.stopPropagation();
    });
    for (const row of chart.rows) row.input.addEventListener("change", draw);
  }

  document.querySelectorAll("[data-do]").forEach((button) => button.addEventListener("click", acts[button.dataset.do]));
  document.querySelectorAll("[data-from]").forEach((button) => button.addEventListener("click", () => {
    const [a, b] = [Number(button.dataset.from), Number(button.dataset.to)], edge = Math.max((b - a) * 0.05, least / 2);
    show(a - edge, b + edge);
    charts[0].element.scrollIntoView({ block: "center" });
    charts[0].element.focus({ preventScroll: true });
  }));
  parkwarden.on("+", "zoom in", acts.in);
  parkwarden.on("-", "zoom out", acts.out);
  parkwarden.on("0", "the whole trace", acts.all);

  const repaint = () => { readPaints(); draw(); };
  document.addEventListener("parkwarden:theme", repaint);
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", repaint);
  new ResizeObserver(draw).observe(box);

  readPaints();
  const told = new URLSearchParams(location.search);
  const [a, b] = ["from", "to"].map((name) => parseFloat(told.get(name) ?? ""));
  if (a < b) show(a, b, false); else draw();
})();
