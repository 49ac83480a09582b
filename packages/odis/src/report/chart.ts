import { extent, max, mean, min } from "d3-array";
import { precisionFixed } from "d3-format";
import { scaleLinear } from "d3-scale";
import { area, line } from "d3-shape";
import { type Html, html } from "./html.js";
import { count, tickText, valueText } from "./numbers.js";

/** A linear axis with round ticks. */
export interface Axis {
  readonly low: number;
  readonly high: number;
  readonly ticks: readonly number[];
  /** where a value lies in the drawing */
  readonly at: (value: number) => number;
  readonly text: (tick: number) => string;
}

/** What cannot be drawn, because no float32 computes with it: it is left out, as NaN is. */
const farthest = 1e30;

export function drawable(value: number): boolean {
  return Math.abs(value) <= farthest;
}

/**
 * An axis that covers some values, and ends on ticks.
 *
 * @param values at least one; those that cannot be drawn do not count
 * @param range where its ends lie in the drawing
 * @param wanted about how many ticks
 */
export function axis(values: Iterable<number>, range: readonly [number, number], wanted = 4): Axis {
  const [lowest = 0, highest = 0] = extent([...values].filter(drawable)) as [number?, number?];
  const largest = Math.max(Math.abs(lowest), Math.abs(highest));
  // Where all values are as good as equal, the axis shows their size instead of rounding noise.
  const apart = highest - lowest > Math.max(1e-30, largest * 1e-9);
  const size = largest > 1e-30 ? largest : 1;
  const domain = apart ? [lowest, highest] : lowest < 0 ? [-size, 0] : [0, size];
  const scale = scaleLinear(domain, range).nice(wanted);
  const ticks = scale.ticks(wanted);
  const [low = 0, high = 0] = scale.domain();
  const digits = precisionFixed((ticks[1] ?? 1) - (ticks[0] ?? 0));
  const end = Math.max(Math.abs(low), Math.abs(high));
  return {
    low,
    high,
    ticks,
    at: (value) => round(scale(value)),
    text: (tick) => tickText(tick, digits, end),
  };
}

/** One curve over the steps of a run. */
export interface Series {
  readonly name: string;
  /** NaN where there is none */
  readonly values: readonly number[];
}

export interface LineChart {
  readonly title: string;
  /** one sentence on how to read it */
  readonly note: string;
  readonly steps: readonly number[];
  readonly series: readonly Series[];
  /** a level to compare with */
  readonly reference?: { readonly value: number; readonly name: string } | undefined;
  /** the axis starts at 0 instead of near the lowest value */
  readonly fromZero?: boolean;
}

const width = 360;
const height = 210;
const frame = { left: 46, right: 10, top: 10, bottom: 30 };
const bottom = height - frame.bottom;
const rightEnd = width - frame.right;
/** Points along a curve; more could not be seen at this size. */
const mostBins = 120;
const strokes = ["", "6 3", "2 3", "8 3 2 3"];

/** Some steps of one curve; NaN where none of them has a value. */
interface Bin {
  readonly step: number;
  readonly mean: number;
  readonly low: number;
  readonly high: number;
}

/**
 * Curves as inline SVG. Neighbouring steps are averaged into bins; the tint round a curve reaches
 * from the lowest to the highest single step. Curves differ by dashes as well as by colour.
 */
export function lineChart(chart: LineChart): Html {
  const { steps, reference } = chart;
  const series = chart.series.filter(({ values }) => values.some(drawable));
  if (series.length === 0) return html``;
  const curves = series.map(({ values }) => binned(steps, values));
  const levels = reference ? [reference.value] : [];
  const ends = curves.flatMap((bins) => bins.flatMap(({ low, high }) => [low, high]));
  const zero = chart.fromZero ? [0] : [];
  const y = axis([...ends, ...levels, ...zero], [bottom, frame.top]);
  // The horizontal axis ends with the run, not at the next round number.
  const end = Math.max(1, steps.at(-1)!);
  const across = scaleLinear([0, end], [frame.left, rightEnd]);
  const toX = (step: number): number => round(across(step));
  const ticks = across.ticks(4).filter((tick) => tick <= end * 0.97);

  return html`<figure class="card chart">
<figcaption><b>${chart.title}</b> <span>${chart.note}</span></figcaption>
<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${spoken(chart.title, series)}">
<g class="grid">${y.ticks.map((tick) => html`<line x1="${frame.left}" x2="${rightEnd}" y1="${y.at(tick)}" y2="${y.at(tick)}"/>`)}</g>
<g class="tick end">${y.ticks.map((tick) => html`<text x="${frame.left - 6}" y="${y.at(tick) + 4}">${y.text(tick)}</text>`)}</g>
<g class="tick middle">${ticks.map((tick) => html`<text x="${toX(tick)}" y="${bottom + 15}">${tickText(tick, 0, end)}</text>`)}</g>
<text class="tick-name" x="${rightEnd}" y="${height - 3}">step</text>
${reference && referenceLine(y.at(reference.value), reference.name)}
${curves.map((bins, i) => curve(bins, i, toX, y.at))}
<g class="hover">${curves[0]!.map((_, bin) => hoverColumn(bin, series, curves, toX))}</g>
</svg>
${series.length > 1 && legend(series)}
</figure>`;
}

/** Consecutive steps averaged, at most `mostBins` of them. */
function binned(steps: readonly number[], values: readonly number[]): Bin[] {
  const size = Math.ceil(steps.length / mostBins);
  return Array.from({ length: Math.ceil(steps.length / size) }, (_, bin) => {
    const [from, to] = [bin * size, Math.min(steps.length, (bin + 1) * size)];
    const known = values.slice(from, to).filter(drawable);
    return {
      step: (steps[from]! + steps[to - 1]!) / 2,
      mean: mean(known) ?? Number.NaN,
      low: min(known) ?? Number.NaN,
      high: max(known) ?? Number.NaN,
    };
  });
}

function curve(
  bins: readonly Bin[],
  index: number,
  toX: (step: number) => number,
  toY: (value: number) => number,
): Html {
  const seen = bins.filter((bin) => Number.isFinite(bin.mean));
  const x = ({ step }: Bin): number => toX(step);
  const path = line<Bin>(x, (bin) => toY(bin.mean)).digits(1)(seen) ?? "";
  const band = area<Bin>(
    x,
    (bin) => toY(bin.low),
    (bin) => toY(bin.high),
  ).digits(1);
  const [only] = seen;
  return html`<g class="c${index}">
${seen.some(({ low, high }) => high > low) && html`<path class="band" d="${band(seen) ?? ""}"/>`}
${seen.length === 1 ? html`<circle cx="${x(only!)}" cy="${toY(only!.mean)}" r="3"/>` : html`<path class="line" stroke-dasharray="${strokes[index] ?? ""}" d="${path}"/>`}
</g>`;
}

function referenceLine(y: number, name: string): Html {
  return html`<g class="reference"><line x1="${frame.left}" x2="${rightEnd}" y1="${y}" y2="${y}"/>
<text x="${rightEnd}" y="${y < frame.top + 14 ? y + 13 : y - 4}">${name}</text></g>`;
}

/** An invisible column over a bin that shows its numbers when pointed at. */
function hoverColumn(
  bin: number,
  series: readonly Series[],
  curves: readonly (readonly Bin[])[],
  toX: (step: number) => number,
): Html {
  const [first] = curves;
  const { step } = first![bin]!;
  const middle = (other: number): number | undefined =>
    first![other] && (toX(first![other].step) + toX(step)) / 2;
  const left = middle(bin - 1) ?? frame.left;
  const right = middle(bin + 1) ?? rightEnd;
  const numbers = series.map(({ name }, i) => `${name} ${valueText(curves[i]![bin]!.mean)}`);
  return html`<rect x="${round(left)}" y="${frame.top}" width="${round(Math.max(0, right - left))}" height="${bottom - frame.top}"><title>step ${count(step)}: ${numbers.join(", ")}</title></rect>`;
}

function legend(series: readonly Series[]): Html {
  return html`<ul class="legend">${series.map(
    ({ name, values }, i) =>
      html`<li class="c${i}"><svg viewBox="0 0 28 8" aria-hidden="true">${
        values.filter(drawable).length === 1
          ? html`<circle cx="14" cy="4" r="3"/>`
          : html`<path class="line" stroke-dasharray="${strokes[i] ?? ""}" d="M0,4L28,4"/>`
      }</svg>${name}</li>`,
  )}</ul>`;
}

/** The chart for people who do not see it: where each curve starts and ends. */
function spoken(title: string, series: readonly Series[]): string {
  const ways = series.map(({ name, values }) => {
    const known = values.filter(drawable);
    return `${name} from ${valueText(known[0]!)} to ${valueText(known.at(-1)!)}`;
  });
  return `${title}: ${ways.join("; ")}`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
