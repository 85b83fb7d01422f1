"use strict";
// The data of the page, unpacked when first asked for, and how numbers, times and colours are shown.
const twin = (() => {
  const data = JSON.parse(document.getElementById("data").textContent);
  const MISSING = 65535;

  function unpack(packed) {
    const out = new Float64Array(packed.n);
    if (packed.q === undefined) return out.fill(packed.c === null ? NaN : packed.c);
    const text = atob(packed.q);
    for (let i = 0; i < packed.n; i++) {
      const code = text.charCodeAt(2 * i) | (text.charCodeAt(2 * i + 1) << 8);
      out[i] = code === MISSING ? NaN : packed.o + packed.s * code;
    }
    return out;
  }

  function lazily(make) {
    const made = new Map();
    return (key) => {
      if (!made.has(key)) made.set(key, make(key));
      return made.get(key);
    };
  }

  const states = lazily((variant) => {
    const raw = data.variants[variant].states;
    const words = (w) => w.at.map((i) => (i < 0 ? null : w.words[i]));
    const power = data.variants[variant].power;
    return {
      slots: raw.slots, v: unpack(raw.v), l: unpack(raw.l), price: unpack(raw.price), local: unpack(raw.local),
      cut: unpack(raw.cut), status: words(raw.gate_status), binding: words(raw.binding),
      people: power ? new Map(power.names.map((name, i) => [name, i])) : new Map(),
      nPeople: power ? power.names.length : 0,
      p: power ? unpack(power.p) : new Float64Array(0),
    };
  });

  const series = lazily((key) => {
    const [variant, name] = key.split("|");
    return unpack(data.variants[+variant].series[name]);
  });

  const limits = data.limits;
  const low = limits.voltage_min_pu ?? NaN, high = limits.voltage_max_pu ?? NaN;
  const middle = low < 1 && 1 < high ? 1 : (low + high) / 2;

  function mix(stops, t) {
    const x = Math.min(Math.max(t, 0), 1) * (stops.length - 1), i = Math.min(Math.floor(x), stops.length - 2);
    const c = stops[i].map((a, k) => Math.round(a + (stops[i + 1][k] - a) * (x - i)));
    return `rgb(${c.join(",")})`;
  }
  const VOLTS = [[20, 70, 140], [92, 153, 205], [200, 221, 240], [250, 250, 246], [253, 219, 176], [236, 150, 60], [179, 88, 6]];
  const LOADS = [[200, 207, 214], [160, 160, 190], [112, 96, 160], [66, 26, 110]];
  const USES = [[238, 241, 244], [188, 198, 209], [112, 126, 143], [44, 58, 74]];

  const day = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];
  const month = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
  const two = (n) => String(n).padStart(2, "0");
  const fixed = (x, digits) => x.toFixed(digits).replace("-", "\u2212");
  const shown = (x, digits, unit) => (Number.isFinite(x) ? `${fixed(x, digits)}\u00a0${unit}` : "no value");

  return {
    data, unpack, states, low, high, middle,
    series: (variant, name) => series(`${variant}|${name}`),
    lineLimit: limits.line_loading_percent ?? NaN,
    trafoLimit: limits.transformer_loading_percent ?? NaN,
    limitOf: (branch) => (branch.k === "trafo" ? limits.transformer_loading_percent : limits.line_loading_percent) ?? NaN,
    seconds: (interval) => data.start_s + interval * data.interval_s,
    time(seconds) {
      const d = new Date(seconds * 1000);
      return `${day[d.getUTCDay()]} ${d.getUTCDate()} ${month[d.getUTCMonth()]} ${d.getUTCFullYear()}, ${two(d.getUTCHours())}:${two(d.getUTCMinutes())}`;
    },
    tick(seconds, step) {
      const d = new Date(seconds * 1000), midnight = d.getUTCHours() === 0 && d.getUTCMinutes() === 0;
      const date = `${d.getUTCDate()} ${month[d.getUTCMonth()]}`;
      return midnight || step >= 86400 ? date : `${two(d.getUTCHours())}:${two(d.getUTCMinutes())}`;
    },
    pu: (v) => shown(v, 4, "pu"),
    percent: (x) => shown(x, 1, "%"),
    kw: (x) => shown(x, Math.abs(x) < 10 ? 2 : 1, "kW"),
    kwh: (x) => shown(x, Math.abs(x) < 10 ? 2 : 1, "kWh"),
    price: (x) => (Number.isFinite(x) ? shown(x, 4, `${data.currency}/kWh`) : "no local trade"),
    voltBad: (v) => !(v >= low && v <= high),
    voltColour(v) {
      if (!Number.isFinite(v)) return "#fff";
      return mix(VOLTS, v < middle ? 0.5 * (v - low) / (middle - low) : 0.5 + 0.5 * (v - middle) / (high - middle));
    },
    loadColour: (percent, limit) => (Number.isFinite(percent) ? mix(LOADS, percent / limit) : "#b8c2cc"),
    useColour: (use) => (use > 100 ? "#c51b7d" : mix(USES, (use / 100) ** 2)),
    ramp: (name) => ({ volts: VOLTS, loads: LOADS })[name].map((c) => `rgb(${c.join(",")})`).join(","),
    colours: ["#0072b2", "#d55e00", "#00805c", "#a0479b", "#7a6000", "#3b3b3b"],
    byId: (id) => document.getElementById(id),
  };
})();
