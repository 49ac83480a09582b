import { modeRules } from "../features/index.js";
import {
  type ChosenProbe,
  describeEvaluation,
  type DetailTable,
  type FigureTable,
  type Measurement,
  type RunEvaluation,
} from "../evaluate/index.js";
import {
  count,
  maskLines,
  measuredRepresentations,
  measuredTables,
  measurementOf,
  omissionLines,
  percent,
  representationTitles,
} from "./table.js";
import { axis, place, valueText } from "./chart.js";
import { type Html, html } from "./html.js";

/** What was measured, with intervals, as tables and drawn beside them, and details below. */
export function scores(evaluation: RunEvaluation): Html {
  const { train, test, classes, step, settings } = evaluation;
  const described = describeEvaluation(settings, train.objects);
  return html`<p>Frozen features after ${count(step)} steps. The bank has ${count(train.objects)} objects in
${count(train.images)} images; ${count(test.objects)} objects in ${count(test.images)} other images are tested;
${classes.length} classes.</p>
${measuredTables(evaluation).map((table) => scoreTable(table, evaluation))}
<p class="note">${described.map(({ meaning }) => `${meaning} `)}
${settings.modes.map((mode) => `${capital(modeRules[mode].name)}: ${modeRules[mode].meaning}. `)}Raw pixels attend to nothing:
with mask, they are the object’s box with a black background.
Image: each image has the class of its largest object, and that object’s feature. Untrained: the same network with its initial weights.
${evaluation.data.test === undefined && "Test images were held out from the bank, but pretraining saw them (without their classes)."}</p>
${[...maskLines(evaluation), ...omissionLines(evaluation)].map((line) => html`<p class="note">${capital(line)}.</p>`)}
${described.flatMap(({ details = [] }) => details.map((table) => detailTable(table, evaluation)))}
${evaluation.probes.length > 0 && chosenProbes(evaluation)}`;
}

function scoreTable({ title, figures, classes }: FigureTable, evaluation: RunEvaluation): Html {
  const shown = measuredRepresentations(evaluation);
  const { majority } = evaluation;
  const rows = figures.map(({ title: name, measure }) => ({
    name,
    cells: shown.map((by) => measurementOf(evaluation, by, measure)),
  }));
  return html`<div class="split"><div class="card scroll"><table>
<caption class="note">${title} [95 % interval, whole images resampled]</caption>
<thead><tr><th scope="col"></th>${shown.map((by) => html`<th scope="col"${by === "trained" && html` class="ours"`}>${representationTitles[by]}</th>`)}</tr></thead>
<tbody>${rows.map(
    ({ name, cells }) =>
      html`<tr><th scope="row">${name}</th>${shown.map((by, at) => {
        const found = cells[at];
        if (!found) return html`<td>–</td>`;
        return html`<td${by === "trained" && html` class="ours"`}>${percent(found.value)} <small>[${percent(found.low)}, ${percent(found.high)}]</small></td>`;
      })}</tr>`,
  )}</tbody></table></div>
${intervalPlot(
  title,
  rows,
  shown.map((by) => representationTitles[by]),
  classes ? { value: majority, name: "most frequent class" } : undefined,
)}</div>`;
}

function detailTable(
  { title, caption, columns, rows }: DetailTable,
  evaluation: RunEvaluation,
): Html {
  const value = (by: (typeof shown)[number], measure: string): string => {
    const found = measurementOf(evaluation, by, measure);
    return found ? percent(found.value) : "–";
  };
  const shown = measuredRepresentations(evaluation);
  return html`<details><summary>${title}</summary><div class="card scroll"><table>
<caption class="note">${caption}</caption>
<thead><tr><th scope="col">features</th>${columns.map((column) => html`<th scope="col">${column}</th>`)}</tr></thead>
<tbody>${shown.flatMap((by) =>
    rows.map(
      (row) =>
        html`<tr><th scope="row">${representationTitles[by]}, ${row.title}</th>${row.cells.map((measures) => html`<td>${measures.map((measure) => value(by, measure)).join(" / ")}</td>`)}</tr>`,
    ),
  )}</tbody></table></div></details>`;
}

function chosenProbes({ probes }: RunEvaluation): Html {
  const feature = ({ blocks, average }: ChosenProbe): string => {
    if (blocks === 0) return "pixels";
    const summary = blocks === 1 ? "last block" : `last ${blocks} blocks`;
    return average ? `${summary} and mean of patches` : summary;
  };
  return html`<details><summary>Linear classifiers that were chosen</summary><div class="card scroll"><table>
<caption class="note">per cent that they were chosen by, on images of the bank held out from training</caption>
<thead><tr><th scope="col">measurement</th><th scope="col">features</th><th scope="col">learning rate</th><th scope="col">validation</th></tr></thead>
<tbody>${probes.map((probe) => html`<tr><th scope="row">${probe.name}</th><td>${feature(probe)}</td><td>${valueText(probe.learningRate)}</td><td>${percent(probe.validation)}</td></tr>`)}</tbody></table></div></details>`;
}

function capital(text: string): string {
  return text[0]!.toUpperCase() + text.slice(1);
}

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
