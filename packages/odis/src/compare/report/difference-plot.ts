import { axis, place, tickText } from "../../evaluate/report/axis.js";
import { type Html, html } from "../../evaluate/report/html.js";
import type { DifferenceResult } from "../results.js";
import { differenceText } from "../tables.js";

interface PlotRow extends Pick<DifferenceResult, "value" | "low" | "high" | "differs"> {
  readonly name: string;
}

const width = 360;
const left = 122;
const right = 14;
const rowHeight = 24;

/** Differences as dots with intervals round a line at 0; dots that differ are filled. */
export function differencePlot(title: string, rows: readonly PlotRow[]): Html {
  const ends = rows.flatMap(({ value, low, high }) => [value, low, high]).filter(Number.isFinite);
  const x = axis(100 * Math.min(0, ...ends), 100 * Math.max(0, ...ends), 5);
  const toX = (share: number): number =>
    Math.round((left + place(100 * share, x) * (width - left - right)) * 10) / 10;
  const bottom = rows.length * rowHeight + 14;
  return html`<figure class="card chart">
<figcaption><b>${title}</b> <span>percentage points, with 95 % intervals</span></figcaption>
<svg viewBox="0 0 ${width} ${bottom + 24}" role="img" aria-label="${title}: the table's values as dots with intervals">
<g class="grid">${x.ticks.map((tick) => html`<line x1="${toX(tick / 100)}" x2="${toX(tick / 100)}" y1="8" y2="${bottom}"/>`)}</g>
<g class="tick middle">${x.ticks.map((tick) => html`<text x="${toX(tick / 100)}" y="${bottom + 15}">${tick === 0 ? "0" : `${tick < 0 ? "−" : "+"}${tickText(Math.abs(tick), x)}`}</text>`)}</g>
<g class="reference"><line x1="${toX(0)}" x2="${toX(0)}" y1="8" y2="${bottom}"/></g>
${rows.map((row, at) => dot(row, toX, 14 + at * rowHeight + rowHeight / 2))}
</svg></figure>`;
}

function dot(row: PlotRow, toX: (share: number) => number, y: number): Html {
  const { name, value, low, high, differs } = row;
  const interval = Number.isFinite(low);
  return html`<text class="row-name" x="0" y="${y}">${name}</text>
<g class="c0"><title>${name}: ${differenceText(row)}</title>
${interval && html`<line class="interval" x1="${toX(low)}" x2="${toX(high)}" y1="${y}" y2="${y}"/>`}<circle${differs !== true && html` class="hollow"`} cx="${toX(value)}" cy="${y}" r="4"/></g>`;
}
