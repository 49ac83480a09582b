import { counted } from "../core/index.js";
import {
  column,
  count,
  dataTable,
  dotPlot,
  factList,
  type Html,
  html,
  htmlDocument,
  intervalPlot,
  lineChart,
  type NumberKey,
  section,
  signed,
  type TableLine,
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

/** Differences as dots with intervals round a line at 0; dots that differ are filled. */
export function differencePlot(
  title: string,
  rows: readonly (Pick<DifferenceResult, "value" | "low" | "high" | "differs"> & {
    readonly name: string;
  })[],
): Html {
  return dotPlot({
    title,
    note: "percentage points, with 95 % intervals",
    rows: rows.map(({ name, differs, ...dot }) => ({
      name,
      cells: [{ ...dot, hollow: differs !== true }],
    })),
    series: [title],
    text: signed,
  });
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
  return html`${dataTable({
    caption:
      "Percentage points [95 % interval]; * and bold: differs, 0 is outside of the interval; otherwise within noise",
    ...heads(groups),
    lines: names.map((name) => ({
      name,
      cells: columns.map(({ key }) => differenceCell(at(name, key))),
    })),
  })}
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

function differenceCell(found: DifferenceResult | undefined) {
  if (!found) return undefined;
  const [value, ...interval] = differenceText(found).split(" ");
  return {
    text: html`${value} <small>${interval.join(" ")}</small>`,
    bold: found.differs === true,
  };
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
  return html`${first}${others.length > 0 && html`<details><summary>${counted(others.length, "other seed")}</summary>${others}</details>`}`;
}

/** Every row with every column that has numbers. */
export function rowsTable(comparison: Comparison): Html {
  const { rows, baselines, reference } = comparison;
  const groups = filledGroups(comparison);
  const cells = (of: Readonly<Record<string, SeedSummary>>): TableLine["cells"] =>
    groups.flatMap(({ columns }) => columns.map((column) => cell(of[column.key], column)));
  return html`${dataTable({
    ...heads(groups),
    lines: [
      ...rows.map((row) => ({
        name: rowName(row),
        look: row.name === reference ? ("ours" as const) : undefined,
        cells: cells(row.cells),
      })),
      ...baselines.map(({ name, cells: of }) => ({
        name,
        look: "soft" as const,
        cells: cells(of),
      })),
    ],
  })}
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
function heads(groups: readonly ColumnGroup[]) {
  return {
    corner: "row",
    groups: groups.map(({ short, columns }) => ({ title: short, size: columns.length })),
    columns: groups.flatMap((group) =>
      group.columns.map((column) => ({ title: column.title, label: longTitle(group, column) })),
    ),
  };
}

function cell(
  of: SeedSummary | undefined,
  column: Pick<Column, "unit">,
): TableLine["cells"][number] {
  if (!of) return undefined;
  const [value, ...rest] = cellText(of, column).split(" ");
  if (column.unit === "bytes") return { text: [value, ...rest].join(" ") };
  return { text: html`${value}${rest.length > 0 && html` <small>${rest.join(" ")}</small>`}` };
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
  return html`${dataTable({
    columns: [
      { title: linesTitle(comparison) ?? "" },
      { title: `difference to ${lines[0]!.name}` },
    ],
    lines: lines.map(({ name, summary, difference }) => ({
      name,
      cells: [
        cell(summary, { unit: "share" }),
        difference && { text: differenceText(difference), bold: difference.differs === true },
      ],
    })),
  })}
<p class="note">“+ masks”: the same weights, asked with the object’s mask; one feature an object.</p>`;
}
