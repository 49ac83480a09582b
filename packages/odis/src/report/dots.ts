import {
  symbol,
  symbolCircle,
  symbolCross,
  symbolDiamond,
  symbolSquare,
  symbolStar,
  symbolTriangle,
} from "d3-shape";
import { axis, drawable } from "./chart.js";
import { type Html, html } from "./html.js";

/** A share with its interval; NaN ends where there is none. */
export interface Dot {
  readonly value: number;
  readonly low: number;
  readonly high: number;
  /** drawn hollow: it says less than a filled one */
  readonly hollow?: boolean;
}

export interface DotRow {
  readonly name: string;
  /** in the order of the plot's series; undefined leaves the place empty */
  readonly cells: readonly (Dot | undefined)[];
}

export interface DotPlot {
  readonly title: string;
  /** one clause on what the numbers are */
  readonly note: string;
  readonly rows: readonly DotRow[];
  /** six at most; one alone needs no legend */
  readonly series: readonly string[];
  /** a share to compare with */
  readonly reference?: { readonly value: number; readonly name: string } | undefined;
  /** how a share is written beside the axis, and where it is pointed at */
  readonly text: (share: number) => string;
}

const width = 360;
const left = 122;
const right = 14;
const top = 8;
/** Between the dots of one row, and between two rows. */
const [dotHeight, gap] = [11, 13];

/** Shapes of about the same size: dots differ by them as well as by colour. */
const shapes = [
  symbol(symbolCircle, 50),
  symbol(symbolSquare, 46),
  symbol(symbolDiamond, 46),
  symbol(symbolTriangle, 42),
  symbol(symbolCross, 46),
  symbol(symbolStar, 36),
].map((shape) => shape.digits(1)() ?? "");

/** Shares as dots with their intervals, one group of dots a row; the axis holds 0. */
export function dotPlot({ title, note, rows, series, reference, text }: DotPlot): Html {
  const dots = rows.flatMap(({ cells }) => cells.filter((cell) => cell !== undefined));
  const ends = dots.flatMap(({ value, low, high }) => [value, low, high]).filter(drawable);
  const shares = [0, ...(reference ? [reference.value] : []), ...ends];
  const x = axis(
    shares.map((share) => 100 * share),
    [left, width - right],
    5,
  );
  const toX = (share: number): number => x.at(100 * share);
  const rowHeight = gap + dotHeight * series.length;
  const bottom = rows.length * rowHeight + top + 6;
  const level = toX(reference?.value ?? 0);
  const isMarked = reference !== undefined || x.low < 0;
  return html`<figure class="card chart">
<figcaption><b>${title}</b> <span>${note}</span></figcaption>
<svg viewBox="0 0 ${width} ${bottom + 24}" role="img" aria-label="${title}: the table's values as dots with intervals">
<g class="grid">${x.ticks.map((tick) => html`<line x1="${x.at(tick)}" x2="${x.at(tick)}" y1="${top}" y2="${bottom}"/>`)}</g>
<g class="tick middle">${x.ticks.map((tick) => html`<text x="${x.at(tick)}" y="${bottom + 15}">${tick === 0 ? "0" : text(tick / 100).replace(/\.0$/, "")}</text>`)}</g>
${isMarked && html`<g class="reference">${reference && html`<title>${reference.name}: ${text(reference.value)}</title>`}<line x1="${level}" x2="${level}" y1="${top}" y2="${bottom}"/></g>`}
${rows.map(({ name, cells }, row) => {
  const begin = top + 6 + row * rowHeight;
  const first = begin + (rowHeight - dotHeight * (series.length - 1)) / 2;
  return html`<text class="row-name" x="0" y="${begin + rowHeight / 2}">${name}</text>
${cells.map((cell, at) => cell && drawable(cell.value) && dot({ cell, at, toX, text, y: first + at * dotHeight, name: series.length > 1 ? `${name}, ${series[at]!}` : name }))}`;
})}
</svg>
${(series.length > 1 || reference) && legend(series, reference?.name)}
</figure>`;
}

function dot({
  cell: { value, low, high, hollow },
  at,
  toX,
  text,
  y,
  name,
}: {
  readonly cell: Dot;
  readonly at: number;
  readonly toX: (share: number) => number;
  readonly text: DotPlot["text"];
  readonly y: number;
  readonly name: string;
}): Html {
  const known = drawable(low) && drawable(high);
  return html`<g class="c${at}"><title>${name}: ${text(value)}${known && ` [${text(low)}, ${text(high)}]`}</title>
${known && html`<line class="interval" x1="${toX(low)}" x2="${toX(high)}" y1="${y}" y2="${y}"/>`}<path class="${hollow ? "dot hollow" : "dot"}" transform="translate(${toX(value)},${y})" d="${shapes[at] ?? shapes[0]!}"/></g>`;
}

function legend(series: readonly string[], reference: string | undefined): Html {
  return html`<ul class="legend">${series.map((name, at) => html`<li class="c${at}"><svg viewBox="0 0 16 12" aria-hidden="true"><path class="dot" transform="translate(8,6)" d="${shapes[at] ?? shapes[0]!}"/></svg>${name}</li>`)}${reference !== undefined && html`<li class="reference"><svg viewBox="0 0 16 12" aria-hidden="true"><line x1="8" x2="8" y1="0" y2="12"/></svg>${reference}</li>`}</ul>`;
}
