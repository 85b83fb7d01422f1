"use strict";
// The map of the feeder and the voltage over distance: drawn once, recoloured for every interval.
const feederView = (() => {
  const feeder = twin.data.feeder;
  const map = twin.byId("map"), profile = twin.byId("profile");
  const OVER = "#c51b7d";
  const nBus = feeder ? feeder.buses.length : 0, nBranch = feeder ? feeder.branches.length : 0;
  const nodes = [], edges = [], halos = [], dots = [], links = [];
  let scaleY = null, ring = null, glow = null;

  function add(parent, tag, attributes) {
    const element = document.createElementNS(map.namespaceURI, tag);
    for (const [name, value] of Object.entries(attributes)) element.setAttribute(name, value);
    parent.appendChild(element);
    return element;
  }

  function label(parent, x, y, text, more = {}) {
    const element = add(parent, "text", { x, y, ...more });
    element.textContent = text;
    return element;
  }

  function drawMap() {
    map.setAttribute("viewBox", `0 0 ${feeder.width} ${Math.max(feeder.height, 120)}`);
    glow = add(map, "line", { stroke: "#000", "stroke-linecap": "round", visibility: "hidden" });
    const under = add(map, "g", {}), lines = add(map, "g", {}), over = add(map, "g", {});
    feeder.branches.forEach((branch, i) => {
      const a = feeder.buses[branch.f], b = feeder.buses[branch.t];
      if (!a || !b) return edges.push(null);
      const at = { x1: a.x, y1: a.y, x2: b.x, y2: b.y };
      halos.push(add(under, "line", { ...at, stroke: OVER, "stroke-width": 0, "stroke-linecap": "round" }));
      edges.push(add(lines, "line", { ...at, "data-l": i, "stroke-linecap": "round" }));
      add(lines, "line", { ...at, "data-l": i, stroke: "transparent", "stroke-width": 14 });
      if (branch.k === "trafo") drawTransformer(over, a, b, i);
    });
    feeder.buses.forEach((bus, i) => {
      nodes.push(add(over, "circle", { cx: bus.x, cy: bus.y, r: bus.p.length ? 6.5 : 4.5, "data-b": i }));
    });
    ring = add(map, "circle", { r: 11, fill: "none", stroke: "#000", "stroke-width": 2.5, "pointer-events": "none", visibility: "hidden" });
  }

  // The chosen element is ringed or edged in black, beside and not instead of its own colours.
  function markPicked(picked) {
    const bus = picked?.kind === "b" ? feeder.buses[picked.index] : null, edge = picked?.kind === "l" ? edges[picked.index] : null;
    ring.setAttribute("visibility", bus ? "visible" : "hidden");
    if (bus) { ring.setAttribute("cx", bus.x); ring.setAttribute("cy", bus.y); }
    glow.setAttribute("visibility", edge ? "visible" : "hidden");
    if (edge) for (const name of ["x1", "y1", "x2", "y2"]) glow.setAttribute(name, edge.getAttribute(name));
    if (edge) glow.setAttribute("stroke-width", +edge.getAttribute("stroke-width") + 11);
  }

  function drawTransformer(parent, a, b, i) {
    const length = Math.hypot(b.x - a.x, b.y - a.y) || 1, dx = (b.x - a.x) / length, dy = (b.y - a.y) / length;
    const x = (a.x + b.x) / 2, y = (a.y + b.y) / 2;
    for (const s of [-4, 4]) {
      add(parent, "circle", { cx: x + s * dx, cy: y + s * dy, r: 7, fill: "none", stroke: "#16202b", "stroke-width": 2, "data-l": i });
    }
    const at = Math.min(Math.max(x, 46), feeder.width - 46);
    const crowd = (top) => feeder.buses.filter((bus) => Math.abs(bus.x - at) < 52 && Math.abs(bus.y - (y + top - 4)) < 14).length;
    const top = [-16, 28, -32, 44].reduce((best, t) => (crowd(t) < crowd(best) ? t : best));
    label(parent, at, y + top, "Transformer", { "text-anchor": "middle", "font-weight": 600, stroke: "#fff", "stroke-width": 4, "paint-order": "stroke", "stroke-linejoin": "round" });
  }

  function drawProfile() {
    const known = feeder.buses.filter((bus) => bus.d !== null);
    const far = Math.max(...known.map((bus) => bus.d), 1);
    const x = (d) => 56 + (d / far) * 530;
    scaleY = { x, axis: add(profile, "g", {}), body: add(profile, "g", {}) };
    feeder.branches.forEach((branch, i) => {
      const a = feeder.buses[branch.f], b = feeder.buses[branch.t];
      if (!a || !b || a.d === null || b.d === null) return;
      links.push([add(scaleY.body, "line", { x1: x(a.d), x2: x(b.d), stroke: "#9aa5b1", "stroke-width": 1.2 }), branch.f, branch.t]);
    });
    feeder.buses.forEach((bus, i) => {
      dots.push(bus.d === null ? null : add(scaleY.body, "circle", { cx: x(bus.d), r: 3.6, "data-b": i }));
    });
  }

  // One scale for all variants and intervals, so that moving the slider moves the dots and not the axis.
  function fitProfile() {
    let least = twin.low, most = twin.high;
    twin.data.variants.forEach((_, k) => {
      for (const v of twin.states(k).v) {
        if (v < least || Number.isNaN(least)) least = v;
        if (v > most || Number.isNaN(most)) most = v;
      }
    });
    const pad = (most - least) * 0.05 || 0.01, top = most + pad, bottom = least - pad;
    const y = (v) => 12 + ((top - v) / (top - bottom)) * 232;
    scaleY.y = y;
    const step = [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2].find((s) => (top - bottom) / s <= 7) || 0.5;
    for (let v = Math.ceil(bottom / step) * step; v <= top; v += step) {
      add(scaleY.axis, "line", { x1: 50, x2: 592, y1: y(v), y2: y(v), stroke: "#e6eaee" });
      label(scaleY.axis, 46, y(v) + 4, v.toFixed(step < 0.01 ? 3 : 2), { "text-anchor": "end" });
    }
    for (const limit of [twin.low, twin.high]) {
      if (!Number.isFinite(limit)) continue;
      add(scaleY.axis, "line", { x1: 50, x2: 592, y1: y(limit), y2: y(limit), stroke: OVER, "stroke-width": 1.6, "stroke-dasharray": "6 4" });
      label(scaleY.axis, 592, y(limit) - 4, `limit ${limit} pu`, { "text-anchor": "end" });
    }
    const unit = feeder.distance_unit === "m" ? "m of line from the transformer" : "branches from the top of the feeder";
    label(scaleY.axis, 592, 274, `distance in ${unit}`, { "text-anchor": "end" });
    const far = Math.max(...feeder.buses.map((bus) => bus.d ?? 0), 1);
    const every = [1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 2000, 5000].find((s) => far / s <= 10) || far;
    for (let d = 0; d <= far; d += every) label(scaleY.axis, scaleY.x(d), 260, String(d), { "text-anchor": "middle" });
  }

  function update(state, slot, picked) {
    for (let i = 0; i < nBus; i++) {
      const v = state.v[slot * nBus + i], bad = Number.isFinite(v) && twin.voltBad(v);
      const node = nodes[i], colour = twin.voltColour(v);
      node.setAttribute("fill", colour);
      node.setAttribute("stroke", bad ? OVER : "#37434f");
      node.setAttribute("stroke-width", bad ? 4 : 1);
      node.setAttribute("stroke-dasharray", Number.isFinite(v) ? "none" : "2 2");
      node.dataset.v = v;
      const dot = dots[i];
      if (!dot) continue;
      dot.setAttribute("visibility", Number.isFinite(v) ? "visible" : "hidden");
      if (Number.isFinite(v)) dot.setAttribute("cy", scaleY.y(v));
      dot.setAttribute("fill", bad ? OVER : colour);
      dot.setAttribute("stroke", picked && picked.kind === "b" && picked.index === i ? "#000" : "#37434f");
      dot.setAttribute("r", picked && picked.kind === "b" && picked.index === i ? 6 : 3.6);
    }
    for (const [line, a, b] of links) {
      const va = state.v[slot * nBus + a], vb = state.v[slot * nBus + b], seen = Number.isFinite(va) && Number.isFinite(vb);
      line.setAttribute("visibility", seen ? "visible" : "hidden");
      if (seen) { line.setAttribute("y1", scaleY.y(va)); line.setAttribute("y2", scaleY.y(vb)); }
    }
    paintBranches(state, slot);
    markPicked(picked);
  }

  function paintBranches(state, slot) {
    let drawn = 0;
    for (let i = 0; i < nBranch; i++) {
      const edge = edges[i];
      if (!edge) continue;
      const load = state.l[slot * nBranch + i], limit = twin.limitOf(feeder.branches[i]), bad = load > limit;
      const width = 2 + 4 * Math.min(Math.max(load / limit || 0, 0), 1.5);
      edge.setAttribute("stroke", twin.loadColour(load, limit));
      edge.setAttribute("stroke-width", width);
      halos[drawn++].setAttribute("stroke-width", bad ? width + 7 : 0);
    }
  }

  function describe(kind, index, state, slot) {
    if (kind === "l") {
      const branch = feeder.branches[index];
      return `${branch.n}\n${branch.k === "trafo" ? "transformer" : "line"}, ${twin.percent(state.l[slot * nBranch + index])} of ${twin.limitOf(branch)} %`;
    }
    const bus = feeder.buses[index], rows = [bus.n, twin.pu(state.v[slot * nBus + index])];
    for (const name of bus.p.slice(0, 6)) {
      const at = state.people.get(name);
      rows.push(at === undefined ? name : `${name}: ${flow(state.p[slot * state.nPeople + at])}`);
    }
    if (bus.p.length > 6) rows.push(`and ${bus.p.length - 6} more`);
    return rows.join("\n");
  }

  function flow(w) {
    if (!Number.isFinite(w)) return "no value";
    return `${w < 0 ? "draws" : "feeds in"} ${twin.kw(Math.abs(w) / 1000)}`;
  }

  function legend() {
    const box = twin.byId("legend");
    const item = (name, from, to, words) => {
      const span = document.createElement("span"), ramp = document.createElement("span");
      ramp.className = "ramp";
      ramp.style.background = `linear-gradient(90deg,${twin.ramp(name)})`;
      span.append(`${words}: ${from}`, ramp, to);
      box.append(span);
    };
    item("volts", `${twin.low} pu`, `${twin.high} pu`, "bus voltage");
    item("loads", "0", "at its limit", "branch loading");
    const over = document.createElement("span"), key = document.createElement("span");
    key.className = "key over";
    over.append(key, " ringed or edged: beyond its limit");
    box.append(over);
  }

  if (feeder) {
    drawMap();
    drawProfile();
    fitProfile();
    legend();
  }
  return { feeder, nBus, nBranch, map, profile, update, describe };
})();
