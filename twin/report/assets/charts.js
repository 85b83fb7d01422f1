"use strict";
// Charts over time. All share one cursor and one zoom; the black line is the interval of the feeder's slider.
const charts = (() => {
  const OVER = "#c51b7d", GREY = "#7b8794";
  const stepped = uPlot.paths.stepped({ align: 1 });
  let plots = [], onPick = () => {}, now = 0;

  // An interval lasts until the next one begins: the last value is held for one more step.
  function hold(values) {
    const out = Array.from(values, (v) => (Number.isFinite(v) ? v : null));
    out.push(out.length ? out[out.length - 1] : null);
    return out;
  }

  function times(variant) {
    const series = twin.data.variants[variant].series, out = [];
    for (let i = 0; i < series.n; i++) out.push(twin.seconds(i * series.stride));
    out.push(twin.seconds(twin.data.variants[variant].intervals));
    return out;
  }

  function limitLines(limits) {
    return (u) => {
      const { ctx, bbox } = u;
      ctx.save();
      ctx.strokeStyle = OVER;
      ctx.font = `${12 * devicePixelRatio}px system-ui, "DejaVu Sans", sans-serif`;
      ctx.textAlign = "right";
      ctx.lineWidth = 1.5 * devicePixelRatio;
      for (const [value, text, lower] of limits) {
        const y = u.valToPos(value, "y", true);
        if (!Number.isFinite(y)) continue;
        ctx.setLineDash([6 * devicePixelRatio, 4 * devicePixelRatio]);
        ctx.beginPath();
        ctx.moveTo(bbox.left, y);
        ctx.lineTo(bbox.left + bbox.width, y);
        ctx.stroke();
        const above = !lower && y - 16 * devicePixelRatio > bbox.top;
        const wide = ctx.measureText(text).width, base = above ? y - 5 * devicePixelRatio : y + 14 * devicePixelRatio;
        ctx.fillStyle = "rgba(255,255,255,.8)";
        ctx.fillRect(bbox.left + bbox.width - wide - 8, base - 12 * devicePixelRatio, wide + 8, 15 * devicePixelRatio);
        ctx.fillStyle = "#16202b";
        ctx.fillText(text, bbox.left + bbox.width - 4, base);
      }
      ctx.restore();
    };
  }

  function axes(unit, digits) {
    const line = { stroke: "#37434f", grid: { stroke: "#e6eaee", width: 1 }, ticks: { stroke: "#b8c2cc", width: 1 }, font: '12px system-ui, "DejaVu Sans", sans-serif' };
    return [
      { ...line, values: (u, splits) => splits.map((s, i) => twin.tick(s, splits.length > 1 ? splits[1] - splits[0] : 0)), space: 60 },
      { ...line, label: unit, labelSize: 18, labelFont: '12px system-ui, "DejaVu Sans", sans-serif', size: 58, ...(digits === undefined ? {} : { values: (u, splits) => splits.map((v) => v.toFixed(digits)) }) },
    ];
  }

  function plot(id, data, series, { unit, limits = [], range, height = 210, bands = [] }) {
    const box = twin.byId(id);
    const options = {
      width: Math.max(280, box.clientWidth), height,
      tzDate: (s) => uPlot.tzDate(new Date(s * 1000), "Etc/UTC"),
      cursor: { sync: { key: "twin" }, drag: { x: true, y: false }, points: { size: 6 } },
      scales: { x: { time: true }, y: range ? { range } : {} },
      axes: axes(unit, unit === "pu" ? 3 : undefined),
      series: [{ label: "Time", value: (u, s) => (s === null || s === undefined ? "–" : twin.time(s)) }, ...series],
      bands,
      hooks: { draw: limits.length ? [limitLines(limits)] : [], ready: [watch], setScale: [() => mark(now)] },
    };
    plots.push(new uPlot(options, data, box));
  }

  function watch(u) {
    const line = document.createElement("div");
    line.className = "now";
    u.over.appendChild(line);
    u.nowLine = line;
    let down = 0;
    u.over.addEventListener("mousedown", (event) => { down = event.clientX; });
    u.over.addEventListener("click", (event) => {
      if (Math.abs(event.clientX - down) < 4) onPick(u.posToVal(event.clientX - u.over.getBoundingClientRect().left, "x"));
    });
    place(u);
    point(u);
  }

  function point(u) {
    if (!(u.cursor.left >= 0)) u.setLegend({ idx: nearest(u.data[0], now) });
  }

  function place(u) {
    if (!u.nowLine) return;
    const x = u.valToPos(now, "x"), seen = x >= 0 && x <= u.over.clientWidth;
    u.nowLine.style.display = seen ? "block" : "none";
    if (seen) u.nowLine.style.left = `${x - 1}px`;
  }

  function mark(seconds) {
    now = seconds;
    for (const u of plots) {
      place(u);
      point(u);
    }
  }

  function nearest(xs, seconds) {
    let low = 0, high = xs.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (xs[middle] <= seconds) low = middle; else high = middle - 1;
    }
    return low;
  }

  const fromZero = (u, a, b) => [Math.min(0, a ?? 0), Math.max((b ?? 0) * 1.08, 1e-3)];
  const all = () => twin.data.variants.map((_, i) => i);
  const colour = (variant) => twin.colours[variant % twin.colours.length];

  // Chosen variant bold, the others thin, its baseline dashed.
  function compared(chosen, name, base, show) {
    const series = [], data = [];
    for (const k of [...all().filter((v) => v !== chosen), chosen]) {
      data.push(hold(twin.series(k, name)));
      series.push({ label: twin.data.variants[k].title, stroke: colour(k), width: k === chosen ? 2.4 : 1.2, paths: stepped, points: { show: false }, value: (u, v) => show(v ?? NaN) });
    }
    if (base) data.push(hold(twin.series(chosen, base)));
    if (base) series.push({ label: "without any trade", stroke: GREY, dash: [5, 4], width: 1.4, paths: stepped, points: { show: false }, value: (u, v) => show(v ?? NaN) });
    return { data, series };
  }

  function voltage(chosen) {
    const lowest = compared(chosen, "v_min", "base_v_min", twin.pu);
    const top = { label: "highest", stroke: colour(chosen), width: 1.4, paths: stepped, points: { show: false }, value: (u, v) => twin.pu(v ?? NaN) };
    const data = [times(chosen), ...lowest.data, hold(twin.series(chosen, "v_max"))];
    const series = [...lowest.series.map((s) => ({ ...s, label: s.label === "without any trade" ? "lowest without any trade" : `lowest: ${s.label}` })), top];
    const limits = [[twin.low, `limit ${twin.low} pu`, true], [twin.high, `limit ${twin.high} pu`]].filter(([v]) => Number.isFinite(v));
    const pad = (twin.high - twin.low) * 0.13 || 0.01;
    const range = (u, a, b) => [Math.min(a ?? twin.low, Number.isFinite(twin.low) ? twin.low : a) - pad, Math.max(b ?? twin.high, Number.isFinite(twin.high) ? twin.high : b) + pad];
    const last = series.length, own = last - 2;
    plot("chart-voltage", data, series, { unit: "pu", limits, range, height: 260, bands: [{ series: [last, own], fill: `${colour(chosen)}22` }] });
  }

  function loading(chosen, id, name, base, limit) {
    const { data, series } = compared(chosen, name, base, twin.percent);
    const box = document.getElementById(id);
    const empty = !data.some((values) => values.some((v) => v !== null && Number.isFinite(v))); // nothing has a rating
    box.hidden = box.previousElementSibling.hidden = empty;
    if (empty) return;
    const range = (u, a, b) => [0, Math.max(b ?? 0, Number.isFinite(limit) ? limit * 1.12 : 0)];
    plot(id, [times(chosen), ...data], series, { unit: "%", limits: Number.isFinite(limit) ? [[limit, `limit ${limit} %`]] : [], range });
  }

  function stack(parts, sign) {
    const rows = [];
    let sum = null;
    for (const part of parts) {
      sum = part.values.map((v, i) => (v === null && (!sum || sum[i] === null) ? null : sign * (v ?? 0) + (sum ? sum[i] ?? 0 : 0)));
      rows.push({ ...part, sum });
    }
    return rows.reverse(); // the tallest is drawn first, the others over it
  }

  function energy(chosen) {
    const s = (name) => hold(twin.series(chosen, name));
    const up = (values) => values.map((v) => (v === null ? null : Math.max(v, 0)));
    const down = (values) => values.map((v) => (v === null ? null : Math.max(-v, 0)));
    const slack = s("slack_kw"), battery = s("battery_kw"), warm = s("heat_kw");
    const heat = warm.some((v) => v !== null) ? [{ label: "heat pumps", fill: "#d55e00", values: warm }] : [];
    const rows = [
      ...stack([{ label: "import", fill: "#9aa5b1", values: up(slack) }, { label: "PV", fill: "#f0b429", values: s("pv_kw") }, { label: "batteries give", fill: "#009e73", values: up(battery) }], 1),
      ...stack([{ label: "houses", fill: "#56728f", values: s("load_kw") }, { label: "cars", fill: "#cc79a7", values: s("ev_kw") }, ...heat, { label: "batteries take", fill: "#66c2a5", values: down(battery) }, { label: "export", fill: "#c9d1d9", values: down(slack) }, { label: "losses", fill: "#3b3b3b", values: s("loss_kw") }], -1),
    ];
    const series = rows.map((row) => ({ label: row.label, stroke: row.fill, fill: row.fill, width: 0.5, paths: stepped, points: { show: false }, value: (u, v, k, i) => (i === null || i === undefined ? "–" : twin.kw(row.values[i] ?? NaN)) }));
    plot("chart-energy", [times(chosen), ...rows.map((row) => row.sum)], series, { unit: "kW, above: sources", height: 270 });
  }

  function market(chosen) {
    const s = (name) => hold(twin.series(chosen, name));
    const rows = stack([{ label: "local", fill: "#0072b2", values: s("local_kwh") }, { label: "with the supplier, beyond firm limits", fill: "#a9bfd2", values: s("supplier_kwh") }, { label: "cut by the gate", fill: "#e7a977", values: s("cut_kwh") }], 1);
    const series = rows.map((row) => ({ label: row.label, stroke: row.fill, fill: row.fill, width: 0.5, paths: stepped, points: { show: false }, value: (u, v, k, i) => (i === null || i === undefined ? "–" : twin.kwh(row.values[i] ?? NaN)) }));
    plot("chart-market", [times(chosen), ...rows.map((row) => row.sum)], series, { unit: "kWh an interval", height: 230, range: fromZero });
  }

  function price(chosen) {
    const { data, series } = compared(chosen, "price", null, twin.price);
    plot("chart-price", [times(chosen), ...data], series, { unit: `${twin.data.currency}/kWh`, height: 170, range: fromZero });
  }

  function show(chosen) {
    for (const u of plots) u.destroy();
    plots = [];
    voltage(chosen);
    loading(chosen, "chart-line", "line", "base_line", twin.lineLimit);
    loading(chosen, "chart-trafo", "trafo", "base_trafo", twin.trafoLimit);
    energy(chosen);
    market(chosen);
    price(chosen);
    if (twin.byId("chart-mechanisms")) mechanismPrices(plot, hold, stepped);
  }

  // One bus or branch over the slots of the slider, for every variant.
  function element(chosen, picked) {
    const old = plots.findIndex((u) => u.root.parentElement?.id === "chart-element");
    if (old >= 0) plots.splice(old, 1)[0].destroy();
    if (!picked) return;
    const bus = picked.kind === "b", width = bus ? feederView.nBus : feederView.nBranch;
    const show = bus ? twin.pu : twin.percent, limit = bus ? null : twin.limitOf(feederView.feeder.branches[picked.index]);
    const tables = [], series = [];
    for (const k of [...all().filter((v) => v !== chosen), chosen]) {
      const state = twin.states(k), values = bus ? state.v : state.l;
      const xs = state.slots.map((slot) => twin.seconds(slot));
      xs.push(twin.seconds(twin.data.variants[k].intervals));
      tables.push([xs, hold(state.slots.map((_, i) => values[i * width + picked.index]))]);
      series.push({ label: twin.data.variants[k].title, stroke: colour(k), width: k === chosen ? 2.4 : 1.2, paths: stepped, points: { show: false }, spanGaps: tables.length > 1 && state.slots.length < twin.data.variants[k].intervals, value: (u, v) => show(v ?? NaN) });
    }
    const pad = (twin.high - twin.low) * 0.18 || 0.01;
    const limits = (bus ? [twin.low, twin.high] : [limit]).filter(Number.isFinite);
    const range = bus
      ? (u, a, b) => [Math.min(a ?? 1, ...limits) - pad, Math.max(b ?? 1, ...limits) + pad]
      : (u, a, b) => [0, Math.max(b ?? 0, ...limits.map((x) => x * 1.12))];
    plot("chart-element", uPlot.join(tables), series, { unit: bus ? "pu" : "%", limits: limits.map((x) => [x, `limit ${x} ${bus ? "pu" : "%"}`, bus && x === twin.low]), range, height: 190 });
    mark(now);
  }

  function savings(rows) {
    const box = twin.byId("chart-savings");
    if (!box || !rows.length) return;
    const sorted = [...rows].sort((a, b) => b.value - a.value || (a.name < b.name ? -1 : 1));
    const bars = uPlot.paths.bars({ size: [0.8, 30], disp: { fill: { unit: 3, values: () => sorted.map((r) => (r.value < 0 ? "#c4500f" : "#2166ac")) } } });
    const money = (v) => `${v.toFixed(2).replace("-", "\u2212")}\u00a0${twin.data.currency}`;
    const xs = sorted.map((_, i) => i);
    new uPlot({
      width: Math.max(280, box.clientWidth), height: 190, scales: { x: { time: false, range: [-0.6, Math.max(sorted.length - 0.4, 0.6)] } }, cursor: { drag: { x: false, y: false } },
      axes: [{ show: false }, { ...axes(twin.data.currency)[1] }],
      series: [{ label: "Participant", value: (u, v, k, i) => (i === null || i === undefined ? "–" : sorted[i].name) }, { label: "saves", stroke: "#37434f", width: 0, fill: "#2166ac", paths: bars, points: { show: false }, value: (u, v) => (v === null || v === undefined ? "–" : money(v)) }],
    }, [xs, sorted.map((r) => r.value)], box);
  }

  function resize() {
    for (const u of plots) u.setSize({ width: Math.max(280, u.root.parentElement.clientWidth), height: u.height });
  }

  return { show, element, mark, savings, resize, onPick: (f) => { onPick = f; } };
})();
