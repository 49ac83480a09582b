import { type Html, html } from "../../evaluate/report/html.js";
import { intervalPlot } from "../../evaluate/report/interval-plot.js";
import { type Group, groupNames, groups, type Measure, measures, shares } from "../measures.js";
import type { Comparison } from "../results.js";
import type { Spread } from "../statistics.js";
import { cellText, differenceText, groupTitle, legend, rowName } from "../tables.js";

/** Every row with every column that has numbers. */
export function rowsTable(comparison: Comparison): Html {
  const { rows, baselines, k, reference } = comparison;
  const shown = measures.filter(({ key }) => rows.some(({ cells }) => cells[key]));
  const cells = (of: Readonly<Record<string, Spread>>): readonly Html[] =>
    shown.map((measure) => cell(of[measure.key], measure));
  return html`<div class="card scroll"><table class="wide">
${columnHeads(shown)}
<tbody>${rows.map((row) => html`<tr${row.name === reference && html` class="ours"`}><th scope="row">${rowName(row)}</th>${cells(row.cells)}</tr>`)}
${baselines.map(({ name, cells: of }) => html`<tr class="soft"><th scope="row">${name}</th>${cells(of)}</tr>`)}</tbody></table></div>
<p class="note">${groupsOf(shown)
    .filter((group) => group !== "cost")
    .map((group) => groupTitle(group, k))
    .join(
      "; ",
    )}. ${legend(comparison)} The tinted row is the reference. Images: each image has the class of its largest
object. Images/s: of the median step, waiting for data included. Memory: the most that the process of a training ever had.</p>
${plots(comparison)}`;
}

const groupsOf = (columns: readonly Measure[]): readonly Group[] =>
  groupNames.filter((name) => columns.some(({ group }) => group === name));

/** Two lines over a table: groups of columns, and the columns. */
export function columnHeads(columns: readonly Measure[]): Html {
  const size = (name: Group): number => columns.filter(({ group }) => group === name).length;
  return html`<thead><tr><td></td>${groupsOf(columns).map((name) => html`<th scope="colgroup" colspan="${size(name)}">${groups[name].short}</th>`)}</tr>
<tr><th scope="col">row</th>${columns.map(({ title }) => html`<th scope="col">${title}</th>`)}</tr></thead>`;
}

function cell(of: Spread | undefined, measure: Measure): Html {
  const [value, ...rest] = cellText(of, measure).split(" ");
  const unit = measure.unit === "bytes" ? ` ${rest.join(" ")}` : "";
  return html`<td>${value}${unit}${unit === "" && rest.length > 0 && html` <small>${rest.join(" ")}</small>`}</td>`;
}

/** Columns of shares as dots with intervals, a card for each group. */
function plots({ rows, baselines, k }: Comparison): Html {
  const lines = [...rows, ...baselines].filter(({ cells }) => Object.keys(cells).length > 0);
  const cards = groupNames.flatMap((group) => {
    const columns = shares.filter(
      (measure) => measure.group === group && rows.some(({ cells }) => cells[measure.key]),
    );
    if (columns.length === 0) return [];
    const dots = lines.map(({ name, cells }) => ({
      name,
      cells: columns.map(({ key }) => cells[key]),
    }));
    return [
      intervalPlot(
        groupTitle(group, k),
        dots.filter(({ cells }) => cells.some((dot) => dot)),
        columns.map(({ title }) => title),
      ),
    ];
  });
  return html`<div class="grid-cards">${cards}</div>`;
}

/** Rows together with a way of inference, as the paper's tables have them. */
export function linesTable({ lines, k }: Comparison): Html {
  const first = lines[0]!.name;
  return html`<div class="card scroll"><table>
<thead><tr><th scope="col"></th><th scope="col">${groupTitle("object", k)}</th><th scope="col">difference to ${first}</th></tr></thead>
<tbody>${lines.map(({ name, spread, difference }) => html`<tr><th scope="row">${name}</th>${cell(spread, measures[0]!)}<td${difference?.differs === true && html` class="differs"`}>${difference && differenceText(difference)}</td></tr>`)}</tbody></table></div>
<p class="note">“+ masks”: the same weights, asked with the object’s mask; one feature an object.</p>`;
}
