"use strict";
// What the reader does: choose a variant, move through time, pick an element, sort, copy.
(() => {
  const { data } = twin, { feeder, nBus, nBranch } = feederView;
  const slider = twin.byId("slot"), play = twin.byId("play"), select = twin.byId("element");
  let variant = data.judged, slot = 0, picked = null, timer = 0;
  const tip = document.createElement("div");
  tip.className = "tip";
  document.body.append(tip);

  const state = () => twin.states(variant);
  const interval = () => state().slots[slot] ?? 0;

  function slotAt(wanted) {
    const { slots } = state();
    let best = 0;
    slots.forEach((k, i) => { if (Math.abs(k - wanted) < Math.abs(slots[best] - wanted)) best = i; });
    return best;
  }

  function show() {
    const s = state();
    slider.max = Math.max(0, s.slots.length - 1);
    slider.value = slot;
    const when = s.slots.length ? twin.time(twin.seconds(interval())) : "no interval recorded";
    twin.byId("when").textContent = when;
    slider.setAttribute("aria-valuetext", when);
    if (feeder && s.slots.length) feederView.update(s, slot, picked);
    readout(s);
    markStrips(s);
    charts.mark(twin.seconds(interval()));
  }

  function extreme(values, n, better) {
    let best = -1;
    for (let i = 0; i < n; i++) {
      const v = values[slot * n + i];
      if (Number.isFinite(v) && (best < 0 || better(v, values[slot * n + best]))) best = i;
    }
    return best;
  }

  function readout(s) {
    const box = twin.byId("readout");
    box.replaceChildren();
    twin.byId("readout-title").textContent = `${data.variants[variant].title}, ${twin.byId("when").textContent}`;
    const row = (name, text, bad = false) => {
      const dt = document.createElement("dt"), dd = document.createElement("dd");
      dt.textContent = name;
      dd.textContent = text;
      dd.className = bad ? "beyond" : "";
      box.append(dt, dd);
    };
    const least = extreme(s.v, nBus, (a, b) => a < b), most = extreme(s.v, nBus, (a, b) => a > b);
    if (least < 0) row("Grid", "no power flow recorded for this interval", true);
    for (const [name, i] of [["Lowest voltage", least], ["Highest voltage", most]]) {
      if (i >= 0) row(name, `${twin.pu(s.v[slot * nBus + i])} at ${feeder.buses[i].n}`, twin.voltBad(s.v[slot * nBus + i]));
    }
    for (const kind of ["line", "trafo"]) {
      const values = s.l.map((x, i) => (feeder && feeder.branches[i % nBranch].k === kind ? x : NaN));
      const i = extreme(values, nBranch, (a, b) => a > b);
      if (i >= 0) row(kind === "line" ? "Line loading" : "Transformer", `${twin.percent(values[slot * nBranch + i])}, ${feeder.branches[i].n}`, values[slot * nBranch + i] > twin.limitOf(feeder.branches[i]));
    }
    row("Local price", twin.price(s.price[slot]));
    row("Traded locally", twin.kwh(s.local[slot] / 1000));
    const status = { off: "no gate in this variant", idle: "nothing to decide", accepted: "accepted all trades", cut: "cut trades", blocked: "blocked all trades", inconclusive: "inconclusive: blocked all trades" };
    row("Gate", (status[s.status[slot]] ?? s.status[slot] ?? "not recorded") + (s.binding[slot] ? `, bound by ${plain(s.binding[slot])}` : ""));
    if (s.cut[slot] > 0) row("Cut", twin.kwh(s.cut[slot] / 1000));
  }

  const KINDS = { voltage_min: "lowest voltage", voltage_max: "highest voltage", line_loading: "line loading", transformer_loading: "transformer loading" };
  const plain = (binding) => binding.replace(/^\w+(?= at )/, (kind) => KINDS[kind] ?? kind);

  function buildStrips() {
    const box = twin.byId("strips");
    data.variants.forEach((one, k) => {
      const row = document.createElement("div"), canvas = document.createElement("canvas"), name = document.createElement("span"), line = document.createElement("i");
      row.className = "row";
      name.textContent = one.title;
      row.append(canvas, name, line);
      row.addEventListener("click", (event) => {
        const box = row.getBoundingClientRect();
        choose(k);
        goTo(((event.clientX - box.left) / box.width) * one.intervals);
      });
      box.append(row);
      paintStrip(canvas, k, one.series.n);
    });
  }

  function markStrips() {
    [...twin.byId("strips").children].forEach((row, k) => {
      row.classList.toggle("on", k === variant);
      row.lastChild.style.left = `${(100 * (interval() + 0.5)) / Math.max(1, data.variants[k].intervals)}%`;
    });
  }

  function goTo(wanted) {
    slot = slotAt(Math.floor(wanted));
    show();
  }

  function choose(k) {
    if (k === variant) return;
    const at = interval();
    variant = k;
    document.querySelectorAll("#variants input").forEach((input, i) => { input.checked = i === k; });
    slot = slotAt(at);
    rebuild();
  }

  function rebuild() {
    document.querySelectorAll(".variant-name").forEach((e) => { e.textContent = data.variants.length > 1 ? `(${data.variants[variant].title})` : ""; });
    charts.show(variant);
    charts.element(variant, picked);
    show();
  }

  function pick(kind, index) {
    picked = { kind, index };
    select.value = `${kind}${index}`;
    charts.element(variant, picked);
    show();
  }

  function worst() {
    const use = twin.series(variant, "use"), { stride } = data.variants[variant].series;
    let best = 0;
    use.forEach((x, i) => { if (!Number.isFinite(x) || x > use[best]) best = Number.isFinite(use[best]) || Number.isFinite(x) ? i : best; });
    const from = best * stride, inside = state().slots.filter((k) => k >= from && k < from + stride);
    goTo(inside.length ? inside[0] : from);
    if (feeder) pickWorst();
  }

  // The element that is nearest to (or farthest beyond) its limit at this moment.
  function pickWorst() {
    const s = state();
    let best = null, most = -Infinity;
    const see = (kind, index, use) => { if (use > most) [best, most] = [{ kind, index }, use]; };
    for (let i = 0; i < nBus; i++) {
      const v = s.v[slot * nBus + i];
      see("b", i, v < twin.middle ? (twin.middle - v) / (twin.middle - twin.low) : (v - twin.middle) / (twin.high - twin.middle));
    }
    for (let i = 0; i < nBranch; i++) see("l", i, s.l[slot * nBranch + i] / twin.limitOf(feeder.branches[i]));
    if (best) pick(best.kind, best.index);
  }

  function stop() {
    clearInterval(timer);
    timer = 0;
    play.textContent = "▶ Play";
    play.setAttribute("aria-pressed", "false");
  }

  function togglePlay() {
    if (timer) return stop();
    if (slot >= +slider.max) slot = 0;
    play.textContent = "❚❚ Pause";
    play.setAttribute("aria-pressed", "true");
    timer = setInterval(() => {
      if (slot >= +slider.max) return stop();
      slot += 1;
      show();
    }, 120);
  }

  function hover(event) {
    const target = event.target.closest("[data-b],[data-l]");
    if (!target) { tip.style.display = "none"; return; }
    const kind = target.dataset.b !== undefined ? "b" : "l", index = +target.dataset[kind];
    tip.textContent = feederView.describe(kind, index, state(), slot);
    tip.style.display = "block";
    tip.style.left = `${Math.min(event.clientX + 14, innerWidth - tip.offsetWidth - 8)}px`;
    tip.style.top = `${Math.min(event.clientY + 14, innerHeight - tip.offsetHeight - 8)}px`;
  }

  function clicked(event) {
    const target = event.target.closest("[data-b],[data-l]");
    if (!target) return;
    if (target.dataset.b !== undefined) pick("b", +target.dataset.b); else pick("l", +target.dataset.l);
  }

  function fillSelect() {
    const group = (label, rows, kind) => {
      const part = document.createElement("optgroup");
      part.label = label;
      rows.forEach((row, i) => part.append(new Option(row.n, `${kind}${i}`)));
      select.append(part);
    };
    group("Buses", feeder.buses, "b");
    group("Lines and transformers", feeder.branches, "l");
    select.addEventListener("change", () => pick(select.value[0], +select.value.slice(1)));
  }

  function fillVariants() {
    const box = twin.byId("variants");
    if (data.variants.length < 2) return box.classList.add("hidden");
    data.variants.forEach((one, k) => {
      const label = document.createElement("label"), input = document.createElement("input");
      Object.assign(input, { type: "radio", name: "variant", checked: k === variant });
      input.addEventListener("change", () => choose(k));
      label.append(input, one.title);
      box.append(label);
    });
  }

  function jump(button) {
    const k = data.variants.findIndex((one) => one.name === button.dataset.variant), name = button.dataset.element;
    choose(Math.max(0, k));
    goTo(+button.dataset.interval);
    if (feeder) {
      const bus = feeder.buses.findIndex((b) => b.n === name), branch = feeder.branches.findIndex((b) => b.n === name);
      if (bus >= 0) pick("b", bus); else if (branch >= 0) pick("l", branch);
    }
    twin.byId("feeder").scrollIntoView();
  }

  function sortable(table) {
    const body = table.tBodies[0];
    table.querySelectorAll("th button").forEach((button, column) => {
      button.addEventListener("click", () => {
        const head = button.parentElement, down = head.getAttribute("aria-sort") !== "descending";
        table.querySelectorAll("th").forEach((th) => th.removeAttribute("aria-sort"));
        head.setAttribute("aria-sort", down ? "descending" : "ascending");
        const key = (tr) => +tr.cells[column].dataset.value;
        body.append(...[...body.rows].sort((a, b) => (down ? key(b) - key(a) : key(a) - key(b))));
      });
    });
  }

  async function copy() {
    const code = twin.byId("command"), button = twin.byId("copy");
    getSelection().selectAllChildren(code);
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
    } catch {
      button.textContent = "Selected";
    }
  }

  function notes() {
    const thinned = data.variants.filter((v) => v.states.slots.length < v.intervals);
    if (thinned.length) {
      const box = twin.byId("thinned"), every = Math.ceil(thinned[0].intervals / thinned[0].states.slots.length);
      box.textContent = `This run is long: the slider shows the worst of every ${every} intervals. All are in grid_states.parquet.`;
      box.classList.remove("hidden");
    }
    const { stride } = data.variants[0].series;
    if (stride > 1) twin.byId("bucketed").textContent = `Each point stands for ${stride} intervals: extremes are their extremes, powers their means, volumes their sums.`;
  }

  function start() {
    slider.addEventListener("input", () => { stop(); slot = +slider.value; show(); });
    play.addEventListener("click", togglePlay);
    twin.byId("worst").addEventListener("click", () => { stop(); worst(); });
    for (const svg of [feederView.map, feederView.profile]) {
      svg.addEventListener("pointermove", hover);
      svg.addEventListener("pointerleave", () => { tip.style.display = "none"; });
      svg.addEventListener("click", clicked);
    }
    document.querySelectorAll(".goto").forEach((button) => button.addEventListener("click", () => jump(button)));
    document.querySelectorAll("table.sortable").forEach(sortable);
    twin.byId("copy").addEventListener("click", copy);
    charts.onPick((seconds) => goTo((seconds - data.start_s) / data.interval_s));
    let width = innerWidth;
    addEventListener("resize", () => { if (innerWidth !== width) { width = innerWidth; charts.resize(); charts.mark(twin.seconds(interval())); } });
    fillVariants();
    if (feeder) fillSelect(); else twin.byId("feeder").classList.add("hidden");
    buildStrips();
    notes();
    rebuild();
    worst();
    const cells = [...document.querySelectorAll("table.sortable td.saving")];
    charts.savings(cells.map((td) => ({ name: td.parentElement.cells[0].textContent, value: +td.dataset.value / 1e6 })));
  }

  start();
})();
