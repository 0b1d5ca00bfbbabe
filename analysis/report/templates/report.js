"use strict";
(() => {
  const NS = "http://www.w3.org/2000/svg";
  const make = (name, attributes = {}, text) => {
    const element = document.createElementNS(NS, name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    if (text !== undefined) element.textContent = text;
    return element;
  };
  const html = (name, attributes = {}, ...children) => {
    const element = document.createElement(name);
    for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
    element.append(...children);
    return element;
  };
  const percent = (value, signed) => {
    const rounded = +(100 * value).toFixed(1) || 0; // no -0
    return (signed && rounded >= 0 ? "+" : "") + rounded.toFixed(1).replace("-", "−");
  };

  const MOST_BANDS = 8;
  const SHAPES = {
    o: "M-3.5 0a3.5 3.5 0 1 0 7 0a3.5 3.5 0 1 0 -7 0", s: "M-3-3h6v6h-6z", D: "M0-4.3L4.3 0L0 4.3L-4.3 0z",
    "^": "M0-4L4 3.4H-4z", v: "M0 4L4-3.4H-4z", "<": "M-4 0L3.4-4V4z", ">": "M4 0L-3.4-4V4z",
    h: "M0-4.2L3.7-2.1V2.1L0 4.2L-3.7 2.1V-2.1z",
  };

  function ticks(low, high, count, least = 0) {
    const raw = (high - low) / count, power = 10 ** Math.floor(Math.log10(raw));
    const step = Math.max(least, [1, 2, 5, 10].map((f) => f * power).find((s) => s >= raw));
    const found = [];
    for (let i = Math.ceil(low / step - 1e-9); i * step <= high + step * 1e-9; i++) found.push(i * step);
    return found;
  }

  function logTicks(low, high) {
    const found = [];
    for (let power = 10 ** Math.floor(Math.log10(low)); power <= high; power *= 10)
      for (const factor of [1, 2, 5]) if (factor * power >= low * 0.999 && factor * power <= high * 1.001) found.push(factor * power);
    return found;
  }

  function chart(section) {
    const data = JSON.parse(document.getElementById(section.dataset.chart).textContent);
    const hasGain = data.series.some((s) => s.points.some((p) => p.gain));
    const state = { value: "accuracy", log: data.log, shown: new Set(data.series.map((s) => s.name)), at: null };
    const plot = html("div", { class: "plot" });
    const legend = html("div", { class: "legend", role: "group", "aria-label": "Configurations shown" });
    const controls = html("div", { class: "controls" });

    function choice(title, options, current, choose) {
      const name = section.dataset.chart + "-" + title;
      const set = html("fieldset", {}, html("legend", {}, title));
      for (const [text, value] of options) {
        const input = html("input", { type: "radio", name, value: String(value) });
        input.checked = value === current;
        input.addEventListener("change", () => { choose(value); draw(); });
        set.append(html("label", {}, input, " " + text));
      }
      controls.append(set);
    }
    if (hasGain) choice("Show", [[data.metric, "accuracy"], ["gain over the baseline", "gain"]], "accuracy", (v) => { state.value = v; });
    choice("Label axis", [["linear", false], ["logarithmic", true]], data.log, (v) => { state.log = v; });

    const seeds = (s) => Math.min(...s.points.map((p) => p.n)), most = Math.max(...data.series.map(seeds));
    const buttons = data.series.map((s) => {
      const sample = make("svg", { width: 30, height: 12, "aria-hidden": "true" });
      sample.append(make("path", { d: "M0 6H30", stroke: s.colour, "stroke-width": 2, "stroke-dasharray": s.dash }));
      sample.append(make("path", { d: (SHAPES[s.marker] || ""), fill: s.colour, transform: "translate(15 6)" }));
      const button = html("button", { type: "button", "aria-pressed": "true", "data-series": s.name },
        sample, s.name + (seeds(s) < most ? ` (n = ${seeds(s)})` : ""));
      button.addEventListener("click", () => {
        if (!state.shown.delete(s.name)) state.shown.add(s.name);
        draw();
      });
      return button;
    });
    const all = html("button", { type: "button" }, "all / none");
    all.addEventListener("click", () => {
      state.shown = new Set(state.shown.size ? [] : data.series.map((s) => s.name));
      draw();
    });
    legend.append(...buttons, ...(data.series.length > 3 ? [all] : []));
    section.append(controls, legend, plot);

    let scale = null;
    function draw() {
      for (const button of buttons) button.setAttribute("aria-pressed", String(state.shown.has(button.dataset.series)));
      const width = Math.max(300, plot.clientWidth || 900), height = Math.min(460, Math.max(290, width * 0.5));
      const box = { left: 48, right: width - 12, top: 12, bottom: height - 44 };
      const series = data.series.filter((s) => state.shown.has(s.name))
        .map((s) => ({ ...s, points: s.points.filter((p) => p[state.value]) })).filter((s) => s.points.length);
      const every = data.series.flatMap((s) => s.points.filter((p) => p[state.value]));
      const xs = [...new Set(every.map((p) => p.x))].sort((a, b) => a - b);
      const seen = (series.length ? series : []).flatMap((s) => s.points.flatMap((p) => p[state.value])).filter((v) => v !== null);
      if (state.value === "gain") seen.push(0);
      let low = seen.length ? Math.min(...seen) : 0, high = seen.length ? Math.max(...seen) : 1;
      const pad = 0.04 * (high - low || 0.1);
      low -= pad; high += pad;
      if (state.value === "accuracy") { low = Math.max(0, low); high = Math.min(1, high); }
      const first = xs[0], last = xs[xs.length - 1];
      const log = state.log && first > 0;
      const along = (x) => (first === last ? 0.5 : log ? Math.log(x / first) / Math.log(last / first) : (x - first) / (last - first));
      const px = (x) => box.left + 8 + along(x) * (box.right - box.left - 16);
      const py = (y) => box.bottom - ((y - low) / (high - low)) * (box.bottom - box.top);
      const what = state.value === "gain" ? "Gain (percentage points)" : `${data.name} (%)`;
      const svg = make("svg", { viewBox: `0 0 ${width} ${height}`, tabindex: "0", role: "img",
        "aria-label": `${what} by labels bought, ${series.length} curves; left and right arrow keys read values` });
      for (const y of ticks(low, high, 5)) {
        svg.append(make("line", { x1: box.left, x2: box.right, y1: py(y), y2: py(y), stroke: "#e3e3e3" }));
        svg.append(make("text", { x: box.left - 7, y: py(y) + 4, "text-anchor": "end" }, String(+(100 * y).toFixed(2)).replace("-", "−")));
      }
      if (state.value === "gain") svg.append(make("line", { x1: box.left, x2: box.right, y1: py(0), y2: py(0), stroke: "#333", "stroke-width": 1.2 }));
      let free = -Infinity;
      let marks = first === last ? xs : log ? logTicks(first, last) : ticks(first, last, width / 90, 1);
      if (marks.length < 2) marks = xs;
      for (const x of marks) {
        svg.append(make("line", { x1: px(x), x2: px(x), y1: box.bottom, y2: box.bottom + 5, stroke: "#777" }));
        if (px(x) - free < 34) continue;
        free = px(x);
        svg.append(make("text", { x: px(x), y: box.bottom + 19, "text-anchor": "middle" }, String(x)));
      }
      svg.append(make("line", { x1: box.left, x2: box.right, y1: box.bottom, y2: box.bottom, stroke: "#777" }));
      svg.append(make("text", { x: (box.left + box.right) / 2, y: height - 6, "text-anchor": "middle" }, "Labels bought" + (log ? " (log scale)" : "")));
      svg.append(make("text", { transform: `translate(14 ${(box.top + box.bottom) / 2}) rotate(-90)`, "text-anchor": "middle" }, what));
      for (const s of series) {
        const group = make("g", { "data-curve": s.name });
        const banded = s.points.filter((p) => p[state.value][1] !== null);
        if (banded.length > 1 && series.length <= MOST_BANDS) {
          const edge = (index) => banded.map((p) => `${px(p.x)} ${py(p[state.value][index])}`);
          group.append(make("path", { d: `M${edge(1).join("L")}L${edge(2).reverse().join("L")}Z`, fill: s.colour, opacity: 0.1 }));
        }
        group.append(make("path", { d: "M" + s.points.map((p) => `${px(p.x)} ${py(p[state.value][0])}`).join("L"), fill: "none",
          stroke: s.colour, "stroke-width": 1.8, "stroke-dasharray": s.dash, "stroke-linejoin": "round" }));
        const step = Math.max(1, Math.ceil(s.points.length / 25));
        s.points.forEach((p, i) => {
          if (i % step === 0) group.append(make("path", { d: (SHAPES[s.marker] || ""), fill: s.colour, stroke: "#fff", "stroke-width": 0.6,
            transform: `translate(${px(p.x)} ${py(p[state.value][0])})` }));
        });
        svg.append(group);
      }
      const cursor = make("line", { y1: box.top, y2: box.bottom, stroke: "#333", "stroke-dasharray": "3 3", visibility: "hidden" });
      svg.append(cursor);
      const tip = html("div", { class: "tip", hidden: "" });
      plot.replaceChildren(svg, tip);
      scale = { xs, px, width, series, cursor, tip };
      svg.addEventListener("pointermove", (event) => {
        const x = ((event.clientX - svg.getBoundingClientRect().left) / svg.clientWidth) * width;
        point(xs.reduce((best, each) => (Math.abs(px(each) - x) < Math.abs(px(best) - x) ? each : best), xs[0]));
      });
      svg.addEventListener("pointerleave", () => point(null));
      svg.addEventListener("blur", () => point(null));
      svg.addEventListener("keydown", (event) => {
        const move = { ArrowRight: 1, ArrowLeft: -1, Home: -Infinity, End: Infinity }[event.key];
        if (event.key === "Escape") return point(null);
        if (!move) return;
        event.preventDefault();
        const now = state.at === null ? (move > 0 ? -1 : xs.length) : xs.indexOf(state.at);
        point(xs[Math.min(xs.length - 1, Math.max(0, now + move))], true);
      });
    }

    function point(x, aloud) {
      const { px, width, series, cursor, tip } = scale;
      state.at = x;
      tip.hidden = x === null || !series.length;
      cursor.setAttribute("visibility", tip.hidden ? "hidden" : "visible");
      if (tip.hidden) return;
      cursor.setAttribute("x1", px(x));
      cursor.setAttribute("x2", px(x));
      const signed = state.value === "gain";
      const rows = series.map((s) => [s, s.points.find((p) => p.x === x)]).filter(([, p]) => p)
        .sort(([, a], [, b]) => b[state.value][0] - a[state.value][0]);
      const table = html("table", {}, html("caption", {}, `${x} labels`));
      for (const [s, p] of rows) {
        const [mean, lower, upper] = p[state.value];
        const spread = lower === null ? "" : signed ? `[${percent(lower, true)}, ${percent(upper, true)}]` : `± ${percent(upper - mean)}`;
        const swatch = html("span", { style: `color:${s.colour}`, "aria-hidden": "true" }, "■");
        table.append(html("tr", {}, html("td", {}, swatch, " " + s.name), html("td", {}, percent(mean, signed)), html("td", {}, spread)));
      }
      tip.replaceChildren(table);
      const shift = plot.clientWidth / width;
      if (px(x) * shift < plot.clientWidth / 2) Object.assign(tip.style, { left: px(x) * shift + 12 + "px", right: "auto" });
      else Object.assign(tip.style, { right: plot.clientWidth - px(x) * shift + 12 + "px", left: "auto" });
      if (aloud) document.getElementById("live").textContent =
        `${x} labels: ` + rows.map(([s, p]) => `${s.name} ${percent(p[state.value][0], signed)}`).join(", ");
    }

    draw();
    let wide = plot.clientWidth;
    new ResizeObserver(() => {
      if (plot.clientWidth === wide) return;
      wide = plot.clientWidth;
      draw();
    }).observe(plot);
  }

  function sortable(table) {
    const heads = [...table.tHead.rows[0].cells];
    heads.forEach((head, column) => head.firstElementChild.addEventListener("click", () => {
      const descending = head.getAttribute("aria-sort") === "ascending";
      heads.forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", descending ? "descending" : "ascending");
      const key = (row) => row.cells[column].dataset.value;
      const order = [...table.tBodies[0].rows].sort((a, b) => {
        const [x, y] = [key(a), key(b)];
        if (x === undefined || y === undefined) return (x === undefined) - (y === undefined);
        const [p, q] = [Number(x), Number(y)];
        const compared = Number.isNaN(p) || Number.isNaN(q) ? x.localeCompare(y, "en", { numeric: true }) : p - q;
        return descending ? -compared : compared;
      });
      table.tBodies[0].append(...order);
    }));
  }

  // A page that loads itself again comes back as its reader left it.
  const KEPT = "ntkcpl " + location.pathname;
  const controls = () => [...document.querySelectorAll("a, summary, input, button, [tabindex]")];
  const parts = () => [...document.querySelectorAll("header, article, section")];
  const title = (part) => [part.closest("article"), part].map((each) => each?.querySelector("h1, h2, h3")?.textContent).join("\n");
  const key = (control) => [title(control.closest("header, article, section")), control.parentElement.cellIndex,
    control.getAttribute("aria-label") || (control.matches("input") ? control.parentElement : control).textContent].join("\n");
  const presses = (control) => control.matches("details[open] > summary, input:checked, [aria-pressed=false]") ? 1
    : { ascending: 1, descending: 2 }[control.parentElement.getAttribute("aria-sort")] || 0;

  function keep() {
    const part = parts().findLast((each) => each.getBoundingClientRect().top <= 0) || document.body;
    const focused = controls().find((each) => each === document.activeElement);
    sessionStorage.setItem(KEPT, JSON.stringify({
      pressed: controls().flatMap((each) => Array(presses(each)).fill(key(each))), focus: focused && key(focused),
      part: part !== document.body && title(part), top: part.getBoundingClientRect().top,
    }));
  }

  function restore({ pressed, focus, part, top }) {
    const control = (own) => controls().find((each) => key(each) === own);
    for (const own of pressed) control(own)?.click();
    control(focus)?.focus({ preventScroll: true });
    const place = parts().find((each) => title(each) === part) || document.body;
    scrollBy({ top: place.getBoundingClientRect().top - top, behavior: "instant" });
  }

  document.querySelectorAll("table.sortable").forEach(sortable);
  document.querySelectorAll("[data-chart]").forEach(chart);
  if (document.querySelector("meta[http-equiv=refresh]")) addEventListener("pagehide", keep);
  const kept = sessionStorage.getItem(KEPT);
  if (kept) addEventListener("load", () => {
    sessionStorage.removeItem(KEPT);
    restore(JSON.parse(kept));
  });
})();
