import { type Html, html } from "./html.js";

/** A linear axis from data to drawing. */
export interface Axis {
  readonly low: number;
  readonly high: number;
  readonly ticks: readonly number[];
  /** digits after the point that tell neighbouring ticks apart */
  readonly digits: number;
}

/** Steps of 1, 2 or 5 times a power of ten, about `wanted` of them, that cover low..high. */
export function axis(low: number, high: number, wanted = 4): Axis {
  const largest = Math.max(Math.abs(low), Math.abs(high));
  // Where all values are as good as equal, the axis shows their size instead of rounding noise.
  const apart = high - low > Math.max(1e-30, largest * 1e-9);
  const span = apart ? high - low : largest > 1e-30 ? largest : 1;
  const rough = span / wanted;
  const power = 10 ** Math.floor(Math.log10(rough));
  const step = [1, 2, 5, 10].find((factor) => factor * power >= rough * 0.999)! * power;
  const first = Math.floor(low / step + 1e-9);
  const last = Math.max(first + 1, Math.ceil(high / step - 1e-9));
  const ticks = Array.from({ length: last - first + 1 }, (_, i) => (first + i) * step);
  return {
    low: ticks[0]!,
    high: ticks.at(-1)!,
    ticks,
    digits: Math.max(0, -Math.floor(Math.log10(step) + 1e-9)),
  };
}

/** Where a value lies on the axis, 0..1. */
export function place(value: number, { low, high }: Axis): number {
  return (value - low) / (high - low);
}

/** A tick's label: `1,500`, `0.25`, `2e-4`. */
export function tickText(value: number, { digits, high, low }: Axis): string {
  const largest = Math.max(Math.abs(high), Math.abs(low));
  if (largest < 1e-2) return value === 0 ? "0" : value.toExponential(0).replace("e-", "e−");
  return value.toLocaleString("en-US", {
    minimumFractionDigits: digits,
    maximumFractionDigits: digits,
  });
}

/** A value for reading: four significant digits. */
export function valueText(value: number): string {
  if (value !== 0 && Math.abs(value) < 1e-3) return value.toExponential(2);
  return value.toLocaleString("en-US", { maximumSignificantDigits: 4 });
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
const inner = {
  width: width - frame.left - frame.right,
  height: height - frame.top - frame.bottom,
};
/** Points along a curve; more could not be seen at this size. */
const mostBins = 120;
const strokes = ["", "6 3", "2 3", "8 3 2 3"];

interface Bin {
  readonly step: number;
  /** per series: mean and range of the bin's steps */
  readonly values: readonly {
    readonly mean: number;
    readonly low: number;
    readonly high: number;
  }[];
}

/**
 * Curves as inline SVG. Neighbouring steps are averaged into bins; the tint round a curve reaches
 * from the lowest to the highest single step. Curves differ by dashes as well as by colour.
 */
export function lineChart(chart: LineChart): Html {
  const series = chart.series.filter(({ values }) => values.some(Number.isFinite));
  const bins = binned(chart.steps, series);
  const all = bins.flatMap(({ values }) => values.flatMap(({ low, high }) => [low, high]));
  const finite = [...all, ...(chart.reference ? [chart.reference.value] : [])].filter(
    Number.isFinite,
  );
  if (finite.length === 0) return html``;
  const smallest = finite.reduce((a, b) => Math.min(a, b));
  const y = axis(
    chart.fromZero ? Math.min(0, smallest) : smallest,
    finite.reduce((a, b) => Math.max(a, b)),
  );
  const x = axis(0, Math.max(1, chart.steps.at(-1)!));
  // The horizontal axis ends with the run, not at the next round number.
  const end = Math.max(1, chart.steps.at(-1)!);
  const toX = (step: number): number => round(frame.left + (step / end) * inner.width);
  const toY = (value: number): number => round(frame.top + (1 - place(value, y)) * inner.height);
  const bottom = frame.top + inner.height;

  return html`<figure class="card chart">
<figcaption><b>${chart.title}</b> <span>${chart.note}</span></figcaption>
<svg viewBox="0 0 ${width} ${height}" role="img" aria-label="${spoken(chart.title, series)}">
<g class="grid">${y.ticks.map((tick) => html`<line x1="${frame.left}" x2="${width - frame.right}" y1="${toY(tick)}" y2="${toY(tick)}"/>`)}</g>
<g class="tick end">${y.ticks.map((tick) => html`<text x="${frame.left - 6}" y="${toY(tick) + 4}">${tickText(tick, y)}</text>`)}</g>
<g class="tick middle">${x.ticks
    .filter((tick) => tick <= end * 0.97)
    .map((tick) => html`<text x="${toX(tick)}" y="${bottom + 15}">${tickText(tick, x)}</text>`)}</g>
<text class="tick-name" x="${width - frame.right}" y="${height - 3}">step</text>
${chart.reference && referenceLine(toY(chart.reference.value), chart.reference.name)}
${series.map((_, i) => curve(bins, i, toX, toY))}
<g class="hover">${bins.map((bin, i) => hoverColumn(bin, series, toX, bins[i - 1], bins[i + 1]))}</g>
</svg>
${series.length > 1 && legend(series)}
</figure>`;
}

/** Consecutive steps averaged, at most `mostBins` of them. */
function binned(steps: readonly number[], series: readonly Series[]): Bin[] {
  const size = Math.ceil(steps.length / mostBins);
  return Array.from({ length: Math.ceil(steps.length / size) }, (_, bin) => {
    const [from, to] = [bin * size, Math.min(steps.length, (bin + 1) * size)];
    return {
      step: (steps[from]! + steps[to - 1]!) / 2,
      values: series.map(({ values }) => {
        const finite = values.slice(from, to).filter(Number.isFinite);
        return {
          mean: finite.reduce((sum, value) => sum + value, 0) / finite.length,
          low: Math.min(...finite),
          high: Math.max(...finite),
        };
      }),
    };
  });
}

function curve(
  bins: readonly Bin[],
  index: number,
  toX: (step: number) => number,
  toY: (value: number) => number,
): Html {
  const seen = bins.filter(({ values }) => Number.isFinite(values[index]!.mean));
  const points = (of: "mean" | "low" | "high"): string[] =>
    seen.map((bin) => `${toX(bin.step)},${toY(bin.values[index]![of])}`);
  const band = `M${[...points("high"), ...points("low").toReversed()].join("L")}Z`;
  const single = seen.length === 1 ? points("mean")[0]!.split(",") : undefined;
  return html`<g class="c${index}">
${seen.some(({ values }) => values[index]!.high > values[index]!.low) && html`<path class="band" d="${band}"/>`}
${single ? html`<circle cx="${single[0]}" cy="${single[1]}" r="3"/>` : html`<path class="line" stroke-dasharray="${strokes[index] ?? ""}" d="M${points("mean").join("L")}"/>`}
</g>`;
}

function referenceLine(y: number, name: string): Html {
  return html`<g class="reference"><line x1="${frame.left}" x2="${width - frame.right}" y1="${y}" y2="${y}"/>
<text x="${width - frame.right}" y="${y < frame.top + 14 ? y + 13 : y - 4}">${name}</text></g>`;
}

/** An invisible column over the bin that shows its numbers when pointed at. */
function hoverColumn(
  bin: Bin,
  series: readonly Series[],
  toX: (step: number) => number,
  before?: Bin,
  after?: Bin,
): Html {
  const left = before ? (toX(before.step) + toX(bin.step)) / 2 : frame.left;
  const right = after ? (toX(bin.step) + toX(after.step)) / 2 : width - frame.right;
  const numbers = series.map(({ name }, i) => `${name} ${valueText(bin.values[i]!.mean)}`);
  return html`<rect x="${round(left)}" y="${frame.top}" width="${round(Math.max(0, right - left))}" height="${inner.height}"><title>step ${Math.round(bin.step).toLocaleString("en-US")}: ${numbers.join(", ")}</title></rect>`;
}

function legend(series: readonly Series[]): Html {
  return html`<ul class="legend">${series.map(
    ({ name }, i) =>
      html`<li class="c${i}"><svg viewBox="0 0 28 8" aria-hidden="true"><path class="line" stroke-dasharray="${strokes[i] ?? ""}" d="M0,4L28,4"/></svg>${name}</li>`,
  )}</ul>`;
}

/** The chart for people who do not see it: where each curve starts and ends. */
function spoken(title: string, series: readonly Series[]): string {
  const ways = series.map(({ name, values }) => {
    const finite = values.filter(Number.isFinite);
    return `${name} from ${valueText(finite[0]!)} to ${valueText(finite.at(-1)!)}`;
  });
  return `${title}: ${ways.join("; ")}`;
}

function round(value: number): number {
  return Math.round(value * 10) / 10;
}
