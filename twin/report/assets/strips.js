"use strict";
// A run at a glance: one strip per variant, how much of its tightest limit the feeder uses over time.
// A column of the picture shows the worst of the intervals it stands for: one bad quarter-hour is seen in a year.
function paintStrip(canvas, k, n) {
  const columns = Math.max(1, Math.min(n, 1200)), w = Math.max(1, Math.floor(1200 / columns));
  canvas.width = columns * w;
  canvas.height = 20;
  const ink = canvas.getContext("2d"), use = twin.series(k, "use"), unsolved = twin.series(k, "unsolved");
  for (let c = 0; c < columns && n; c++) {
    const from = Math.floor((c * n) / columns), to = Math.max(from + 1, Math.floor(((c + 1) * n) / columns));
    const worst = Math.max(...use.slice(from, to).filter(Number.isFinite));
    ink.fillStyle = Number.isFinite(worst) ? twin.useColour(worst) : "#fff";
    ink.fillRect(c * w, 0, w, 20);
    if (unsolved.slice(from, to).some((x) => x > 0)) hatch(ink, c * w, w);
  }
}

function hatch(ink, left, width) {
  ink.save();
  ink.beginPath();
  ink.rect(left, 0, Math.max(width, 2), 20);
  ink.clip();
  ink.strokeStyle = "#7a4b00";
  ink.lineWidth = 2;
  ink.beginPath();
  for (let x = Math.floor((left - 20) / 6) * 6; x < left + width; x += 6) { ink.moveTo(x, 20); ink.lineTo(x + 20, 0); }
  ink.stroke();
  ink.restore();
}
