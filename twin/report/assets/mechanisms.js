"use strict";
// Prices of all mechanisms that cleared the same orders, within the band of the supplier's prices.
function mechanismPrices(plot, hold, stepped) {
  const { prices, retail, feed_in: feedIn, n, stride, intervals } = twin.data.mechanisms;
  const COLOURS = ["#0072b2", "#d55e00", "#00805c", "#a0479b", "#8a6d00", "#2f9bd6", "#b5651d", "#3bab85", "#c06090", "#6b6fd7"];
  const xs = Array.from({ length: n }, (_, i) => twin.seconds(i * stride)).concat(twin.seconds(intervals));
  const line = (label, more) => ({ label, width: 1.4, paths: stepped, points: { show: false }, value: (u, v) => twin.price(v ?? NaN), ...more });
  const shadows = prices.filter((p) => !p.settles), settles = prices.filter((p) => p.settles);
  const series = [
    line("retail", { stroke: "#7b8794", width: 1 }),
    line("feed-in", { stroke: "#7b8794", width: 1 }),
    ...shadows.map((p, i) => line(p.label, { stroke: COLOURS[i % COLOURS.length], dash: i % 2 ? [7, 3] : undefined })),
    ...settles.map((p) => line(`${p.label} (settles)`, { stroke: "#16202b", width: 2.6 })),
  ];
  const data = [retail, feedIn, ...[...shadows, ...settles].map((p) => p.price)].map((p) => hold(twin.unpack(p)));
  const range = (u, a, b) => [Math.min(0, a ?? 0), Math.max((b ?? 0) * 1.06, 1e-3)];
  plot("chart-mechanisms", [xs, ...data], series, { unit: `${twin.data.currency}/kWh`, height: 280, range, bands: [{ series: [1, 2], fill: "rgba(123,135,148,.12)" }] });
}
