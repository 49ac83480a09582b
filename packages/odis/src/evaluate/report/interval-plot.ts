import type { Measurement } from "../evaluate.js";
import { percent } from "../table.js";
import { axis, place } from "./axis.js";
import { type Html, html } from "./html.js";

export interface PlotRow {
  readonly name: string;
  /** in the order of the plot's series; undefined leaves the place empty */
  readonly cells: readonly (Pick<Measurement, "value" | "low" | "high"> | undefined)[];
}

const width = 360;
const left = 122;
const right = 14;

/**
 * Shares as dots with their intervals, one group of dots a row. Series, four at most, differ by
 * the shape of the dot as well as by colour.
 */
export function intervalPlot(
  title: string,
  rows: readonly PlotRow[],
  series: readonly string[],
  reference?: { readonly value: number; readonly name: string },
): Html {
  const highest = Math.max(
    reference?.value ?? 0,
    ...rows.flatMap(({ cells }) => cells.map((cell) => cell?.high ?? 0)),
  );
  const x = axis(0, Math.min(1, highest) * 100, 5);
  const toX = (share: number): number =>
    Math.round((left + place(share * 100, x) * (width - left - right)) * 10) / 10;
  const rowHeight = 13 + 11 * series.length;
  const bottom = rows.length * rowHeight + 14;
  return html`<figure class="card chart">
<figcaption><b>${title}</b> <span>with 95 % intervals</span></figcaption>
<svg viewBox="0 0 ${width} ${bottom + 24}" role="img" aria-label="The table's values as dots with intervals">
<g class="grid">${x.ticks.map((tick) => html`<line x1="${toX(tick / 100)}" x2="${toX(tick / 100)}" y1="8" y2="${bottom}"/>`)}</g>
<g class="tick middle">${x.ticks.map((tick) => html`<text x="${toX(tick / 100)}" y="${bottom + 15}">${tick}</text>`)}</g>
${reference && html`<g class="reference"><title>${reference.name}: ${percent(reference.value)}</title><line x1="${toX(reference.value)}" x2="${toX(reference.value)}" y1="8" y2="${bottom}"/></g>`}
${rows.map(
  (
    { name, cells },
    row,
  ) => html`<text class="row-name" x="0" y="${14 + row * rowHeight + rowHeight / 2}">${name}</text>
${cells.map((cell, at) => cell && dot(cell, at, toX, 20 + row * rowHeight + at * 11, `${name}, ${series[at]!}`))}`,
)}
</svg>
<ul class="legend">${series.map((name, i) => html`<li class="c${i}"><svg viewBox="0 0 16 12" aria-hidden="true">${shape(i, 8, 6)}</svg>${name}</li>`)}${reference && html`<li class="reference"><svg viewBox="0 0 16 12" aria-hidden="true"><line x1="8" x2="8" y1="0" y2="12"/></svg>${reference.name}</li>`}</ul>
</figure>`;
}

function dot(
  { value, low, high }: Pick<Measurement, "value" | "low" | "high">,
  series: number,
  toX: (share: number) => number,
  y: number,
  name: string,
): Html {
  return html`<g class="c${series}"><title>${name}: ${percent(value)} [${percent(low)}, ${percent(high)}]</title>
<line class="interval" x1="${toX(low)}" x2="${toX(high)}" y1="${y}" y2="${y}"/>${shape(series, toX(value), y)}</g>`;
}

/** Circle, square, diamond, triangle. */
function shape(series: number, x: number, y: number): Html {
  if (series === 0) return html`<circle cx="${x}" cy="${y}" r="4"/>`;
  if (series === 1) return html`<rect x="${x - 3.5}" y="${y - 3.5}" width="7" height="7"/>`;
  if (series === 2)
    return html`<path d="M${x - 5},${y}L${x},${y - 5}L${x + 5},${y}L${x},${y + 5}Z"/>`;
  return html`<path d="M${x - 4.5},${y + 4}L${x},${y - 4.5}L${x + 4.5},${y + 4}Z"/>`;
}
