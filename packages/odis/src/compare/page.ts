import {
  axis,
  column,
  count,
  factList,
  type Html,
  html,
  htmlDocument,
  intervalPlot,
  lineChart,
  type NumberKey,
  place,
  section,
  tickText,
  valueText,
} from "../report/index.js";
import { duration } from "../run/index.js";
import type { ComparisonWithCurves, Comparison, DifferenceResult, RowResult } from "./results.js";
import {
  cellText,
  differenceText,
  filledGroups,
  legend,
  linesTitle,
  longTitle,
  remarks,
  rowName,
} from "./tables.js";
import { type Column, type ColumnGroup, isShare } from "./measures.js";
import type { SeedSummary } from "./statistics.js";

/** The whole comparison as one HTML file: no script, nothing loaded from elsewhere. */
export function reportPage(collected: ComparisonWithCurves): string {
  const { comparison } = collected;
  const { plan, lines, differences, inference } = comparison;
  const title = plan.title ?? plan.name;
  const measured = comparison.rows.some(({ cells }) => Object.keys(cells).length > 0);
  const said = remarks(comparison);
  const none = "No run is finished yet.";
  return htmlDocument(
    `${title} – odis comparison`,
    html`<header><h1>${title}</h1><p class="lead">Recipes of one trainer at equal compute${plan.note !== undefined && `. ${plan.note}`}</p>${facts(comparison)}</header>
${section("Side by side", measured ? rowsTable(comparison) : undefined, none)}
${lines.length > 0 && section("As the paper puts it", lines.some(({ summary }) => summary) ? linesTable(comparison) : undefined, none)}
${section(`Differences to ${comparison.reference}`, differences.length > 0 ? differencesToReference(comparison) : undefined, "Nothing to compare with yet: it takes a finished run of the reference and one of another row, with the same seed.")}
${section("What masks at inference change", inference.length > 0 ? whatMasksChange(comparison) : undefined, none)}
${section("What went wrong", said.length > 0 ? html`<ul class="plain">${said.map((remark) => html`<li>${remark}</li>`)}</ul>` : undefined, "Nothing: no run failed, and no run that trained this far has collapsed.")}
${section("Curves", curvesOfRows(collected), "No metrics yet.")}
${section("Rows, and how to run them again", commandsOfRows(comparison), none)}`,
  );
}

function facts({ plan, rows, compute }: Comparison): Html {
  const runs = rows.flatMap((row) => row.runs);
  const finished = runs.filter(({ status }) => status === "finished").length;
  const { steps, batch, views, network } = compute;
  return factList([
    ["runs finished", `${finished} of ${runs.length}`],
    ["rows", String(rows.length)],
    ["seeds", plan.seeds.join(", ")],
    ["steps", steps === undefined ? undefined : count(steps)],
    ["batch", count(batch)],
    ["views", views],
    ["network", network],
    ["training time", duration(runs.reduce((sum, { seconds }) => sum + seconds, 0))],
    ["trained on", plan.data.train],
    ["tested on", plan.data.test],
  ]);
}

/** Seeds that a chart shows: more lines could not be told apart. */
const shownSeeds = 3;

const charts = [
  { key: "loss", title: "loss", note: "what is optimised" },
  { key: "teacherEntropy", title: "entropy of a target", note: "nats; at ln K it says nothing" },
  {
    key: "marginalEntropy",
    title: "entropy of the mean target",
    note: "nats; at 0 one prototype takes every image",
  },
] as const satisfies readonly { key: NumberKey; title: string; note: string }[];

/** Loss and entropies of every row, one line a seed; undefined before the first step. */
export function curvesOfRows({ comparison, curves }: ComparisonWithCurves): Html | undefined {
  const shown = comparison.rows.filter(({ runs }) => runs.some((run) => run.steps > 0));
  if (shown.length === 0) return undefined;
  return html`<p class="note">One line a seed${comparison.rows.some(({ runs }) => runs.length > shownSeeds) && `, the first ${shownSeeds}`}. Neighbouring steps are averaged; the tint reaches from the lowest to the highest. Losses of different recipes have different terms: compare their course, not their height.</p>
${shown.map((row) => html`<h3>${row.name}</h3><div class="grid-cards">${chartsOfRow(row, curves)}</div>`)}`;
}

function chartsOfRow(
  { runs, prototypes }: RowResult,
  curves: ComparisonWithCurves["curves"],
): Html[] {
  const seeds = runs.filter(({ steps }) => steps > 0).slice(0, shownSeeds);
  const rows = seeds.map(({ seed, name }) => ({ seed, rows: curves.get(name) ?? [] }));
  const longest = rows.map((one) => one.rows).reduce((a, b) => (b.length > a.length ? b : a));
  const uniform = Math.log(prototypes);
  return charts.map(({ key, title, note }) =>
    lineChart({
      title,
      note,
      steps: longest.map(({ step }) => step),
      series: rows.map((one) => column(one.rows, key, `seed ${one.seed}`)),
      ...(key === "loss"
        ? {}
        : { reference: { value: uniform, name: `ln K = ${valueText(uniform)}` }, fromZero: true }),
    }),
  );
}

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

/** Every row against the reference: the numbers, and drawn. */
export function differencesToReference(comparison: Comparison): Html {
  const { reference, differences } = comparison;
  return matrix(comparison, differences, (title) => `${title}, against ${reference}`);
}

/** Every row against itself without masks at inference. */
export function whatMasksChange(comparison: Comparison): Html {
  return matrix(comparison, comparison.inference, (title) => `${title}, against no mask`);
}

function matrix(
  comparison: Comparison,
  found: readonly DifferenceResult[],
  caption: (title: string) => string,
): Html {
  const { rows } = comparison;
  const names = rows.map(({ name }) => name).filter((name) => found.some(({ of }) => of === name));
  const groups = filledGroups(comparison)
    .map((group) => ({
      ...group,
      columns: group.columns.filter(({ key }) => found.some(({ measure }) => measure === key)),
    }))
    .filter(({ columns }) => columns.length > 0);
  const columns = groups.flatMap((group) => group.columns);
  const at = (name: string, key: string): DifferenceResult | undefined =>
    found.find(({ of, measure }) => of === name && measure === key);
  return html`<div class="card scroll"><table class="wide">
<caption class="note">Percentage points [95 % interval]; * and bold: differs, 0 is outside of the interval; otherwise within noise</caption>
${columnHeads(groups)}
<tbody>${names.map((name) => html`<tr><th scope="row">${name}</th>${columns.map(({ key }) => differenceCell(at(name, key)))}</tr>`)}</tbody></table></div>
<p class="note">Paired: the same seed and the same test images on both sides. Images are resampled as wholes; seeds enter by
Student’s t, because few seeds cannot be resampled. Of twenty comparisons of equal things, one is marked by chance.</p>
<div class="grid-cards">${groups.flatMap((group) =>
    group.columns.map((column) =>
      differencePlot(
        caption(longTitle(group, column)),
        names.flatMap((name) => {
          const difference = at(name, column.key);
          return difference ? [{ name, ...difference }] : [];
        }),
      ),
    ),
  )}</div>`;
}

function differenceCell(found: DifferenceResult | undefined): Html {
  const [value, ...interval] = differenceText(found).split(" ");
  return html`<td${found?.differs === true && html` class="differs"`}>${value} <small>${interval.join(" ")}</small></td>`;
}

/** What each row is, and the commands of each of its runs. */
export function commandsOfRows({ rows }: Comparison): Html {
  return html`${rows.map(
    (row) =>
      html`<h3>${row.name}</h3><p>Recipe <b>${row.recipe}</b>${row.note !== undefined && `: ${row.note}`}.${row.unequal !== undefined && ` Not at equal compute: ${row.unequal}.`}</p>
${commands(row)}`,
  )}`;
}

function commands({ runs }: RowResult): Html {
  const [first, ...others] = runs.map(
    ({ commands: { pretrain, evaluate } }) => html`<pre class="wrap">${pretrain}
${evaluate}</pre>`,
  );
  return html`${first}${others.length > 0 && html`<details><summary>${others.length} other ${others.length === 1 ? "seed" : "seeds"}</summary>${others}</details>`}`;
}

/** Every row with every column that has numbers. */
export function rowsTable(comparison: Comparison): Html {
  const { rows, baselines, reference } = comparison;
  const groups = filledGroups(comparison);
  const cells = (of: Readonly<Record<string, SeedSummary>>): readonly Html[] =>
    groups.flatMap(({ columns }) => columns.map((column) => cell(of[column.key], column)));
  return html`<div class="card scroll"><table class="wide">
${columnHeads(groups)}
<tbody>${rows.map((row) => html`<tr${row.name === reference && html` class="ours"`}><th scope="row">${rowName(row)}</th>${cells(row.cells)}</tr>`)}
${baselines.map(({ name, cells: of }) => html`<tr class="soft"><th scope="row">${name}</th>${cells(of)}</tr>`)}</tbody></table></div>
<p class="note">${groups
    .filter(({ columns }) => columns.some(isShare))
    .map(({ title }) => title)
    .join(
      "; ",
    )}. ${legend(comparison)} The tinted row is the reference. Images: each image has the class of its largest
object. Images/s: of the median step, waiting for data included. Memory: the most that the process of a training ever had.</p>
${plots(comparison)}`;
}

/** Two lines over a table: groups of columns, and the columns. */
export function columnHeads(groups: readonly ColumnGroup[]): Html {
  return html`<thead><tr><td></td>${groups.map(({ short, columns }) => html`<th scope="colgroup" colspan="${columns.length}">${short}</th>`)}</tr>
<tr><th scope="col">row</th>${groups.flatMap(({ columns }) => columns.map(({ title }) => html`<th scope="col">${title}</th>`))}</tr></thead>`;
}

function cell(of: SeedSummary | undefined, column: Pick<Column, "unit">): Html {
  const [value, ...rest] = cellText(of, column).split(" ");
  const unit = column.unit === "bytes" ? ` ${rest.join(" ")}` : "";
  return html`<td>${value}${unit}${unit === "" && rest.length > 0 && html` <small>${rest.join(" ")}</small>`}</td>`;
}

/** Columns of shares as dots with intervals, a card for each group. */
function plots(comparison: Comparison): Html {
  const { rows, baselines } = comparison;
  const lines = [...rows, ...baselines].filter(({ cells }) => Object.keys(cells).length > 0);
  const cards = filledGroups(comparison)
    .filter(({ columns }) => columns.some(isShare))
    .map(({ title, columns }) => {
      const dots = lines.map(({ name, cells }) => ({
        name,
        cells: columns.map(({ key }) => cells[key]),
      }));
      return intervalPlot(
        title,
        dots.filter(({ cells }) => cells.some((dot) => dot)),
        columns.map((column) => column.title),
      );
    });
  return html`<div class="grid-cards">${cards}</div>`;
}

/** Rows together with a way of inference, as the paper's tables have them. */
export function linesTable(comparison: Comparison): Html {
  const { lines } = comparison;
  const first = lines[0]!.name;
  return html`<div class="card scroll"><table>
<thead><tr><th scope="col"></th><th scope="col">${linesTitle(comparison)}</th><th scope="col">difference to ${first}</th></tr></thead>
<tbody>${lines.map(({ name, summary, difference }) => html`<tr><th scope="row">${name}</th>${cell(summary, { unit: "share" })}<td${difference?.differs === true && html` class="differs"`}>${difference && differenceText(difference)}</td></tr>`)}</tbody></table></div>
<p class="note">“+ masks”: the same weights, asked with the object’s mask; one feature an object.</p>`;
}
