import { percent, signed, terminalWidth, wrapped } from "../report/index.js";
import { type Column, type ColumnGroup, isShare } from "./measures.js";
import type { Comparison, DifferenceResult, RowResult } from "./results.js";
import type { SeedSummary } from "./statistics.js";
import { createColors } from "picocolors";

/** A table before it is drawn: the first column names the lines. */
export interface TextTable {
  readonly title: string;
  readonly columns: readonly string[];
  readonly lines: readonly { readonly name: string; readonly cells: readonly string[] }[];
}

/** `62.3 ±1.2`; with one seed `62.3 [60.1, 64.4]`; images/s and memory by their size. */
export function cellText(cell: SeedSummary | undefined, { unit }: Pick<Column, "unit">): string {
  if (!cell) return "–";
  const { value, low, high, deviation } = cell;
  if (unit === "bytes") return `${(value / 1e6).toFixed(0)} MB`;
  const show = unit === "share" ? percent : (rate: number) => rate.toPrecision(3);
  if (!Number.isNaN(deviation)) return `${show(value)} ±${show(deviation)}`;
  return Number.isNaN(low) ? show(value) : `${show(value)} [${show(low)}, ${show(high)}]`;
}

/** `+3.2 [+1.1, +5.2] *`: percentage points, a star where 0 is outside of the interval. */
export function differenceText(
  found: Pick<DifferenceResult, "value" | "low" | "high" | "differs"> | undefined,
): string {
  if (!found) return "–";
  const { value, low, high } = found;
  if (Number.isNaN(low)) return signed(value);
  return `${signed(value)} [${signed(low)}, ${signed(high)}]${found.differs ? " *" : ""}`;
}

/** Groups with the columns that any row has a figure of. */
export function filledGroups({
  groups,
  rows,
}: Pick<Comparison, "groups" | "rows">): readonly ColumnGroup[] {
  return groups
    .map((group) => ({
      ...group,
      columns: group.columns.filter(({ key }) => rows.some(({ cells }) => cells[key])),
    }))
    .filter(({ columns }) => columns.length > 0);
}

/** A column's name where its group does not stand over it. */
export function longTitle({ short }: ColumnGroup, { title }: Column): string {
  return `${short}, ${title}`;
}

/** All tables of a comparison that have numbers. */
export function textTables(comparison: Comparison): readonly TextTable[] {
  const { rows, baselines, differences, inference, reference } = comparison;
  const filled = filledGroups(comparison);
  const figures = ({ title, columns }: ColumnGroup): TextTable => {
    const all = [
      ...rows.map((row) => ({ name: rowName(row), cells: row.cells })),
      ...baselines.filter(({ cells }) => columns.some(({ key }) => cells[key])),
    ];
    return {
      title,
      columns: columns.map((column) => column.title),
      lines: all.map(({ name: line, cells }) => ({
        name: line,
        cells: columns.map((column) => cellText(cells[column.key], column)),
      })),
    };
  };
  const points = ", percentage points [95 % interval]";
  const table = (
    title: string,
    columns: readonly { readonly key: string; readonly title: string }[],
    found: readonly DifferenceResult[],
    names: readonly string[],
  ): TextTable => ({
    title,
    columns: columns.map((column) => column.title),
    lines: names.map((name) => ({
      name,
      cells: columns.map(({ key }) =>
        differenceText(found.find(({ of, measure }) => of === name && measure === key)),
      ),
    })),
  });
  const against = ({ short, columns }: ColumnGroup): TextTable =>
    table(
      `difference to ${reference}: ${short}${points}`,
      columns.filter(({ key }) => differences.some((d) => d.measure === key)),
      differences,
      rows.map(({ name }) => name).filter((name) => name !== reference),
    );
  const masks = ({ short, columns }: ColumnGroup): TextTable =>
    table(
      `what masks at inference change: ${short}${points}`,
      columns.filter(({ key }) => inference.some(({ measure }) => measure === key)),
      inference,
      rows.map(({ name }) => name),
    );
  return [
    ...filled.map(figures),
    ...linesTable(comparison),
    ...filled.filter(({ columns }) => columns.some(isShare)).map(against),
    ...filled.map(masks),
  ].filter(({ columns, lines }) => columns.length > 0 && lines.length > 0);
}

function linesTable(comparison: Comparison): readonly TextTable[] {
  const { lines } = comparison;
  const shown = lines.filter((line) => line.summary);
  const title = linesTitle(comparison);
  if (title === undefined) return [];
  return [
    {
      title: `as the paper’s table: ${title}; difference to ${lines[0]?.name ?? ""}`,
      columns: ["top-1", "difference"],
      lines: shown.map(({ name, summary, difference }) => ({
        name,
        cells: [cellText(summary, { unit: "share" }), difference ? differenceText(difference) : ""],
      })),
    },
  ];
}

/** What the lines of a comparison are figures of; undefined before there are any. */
export function linesTitle({ lines, groups }: Comparison): string | undefined {
  const shown = lines.find((line) => line.summary);
  return groups.find(({ columns }) => columns.some(({ key }) => key === shown?.inference))?.title;
}

/** `odis`, or `odis (2 of 3)` where runs are missing. */
export function rowName({ name, runs }: RowResult): string {
  const finished = runs.filter(({ status }) => status === "finished").length;
  return finished === runs.length ? name : `${name} (${finished} of ${runs.length})`;
}

/** What is not in the numbers: runs that failed or collapsed, one sentence each. */
export function remarks({ rows }: Comparison): readonly string[] {
  return rows.flatMap(({ name, runs, unequal }) => [
    ...(unequal === undefined ? [] : [`${name} costs more or less than the others: ${unequal}`]),
    ...runs.flatMap(({ seed, message, collapse }) => [
      ...(message === undefined ? [] : [`${name} seed ${seed} failed: ${message}`]),
      ...(collapse === undefined ? [] : [`${name} seed ${seed}: ${collapse}`]),
    ]),
  ]);
}

/** How to read the numbers. */
export function legend({ rows }: Comparison): string {
  const most = Math.max(...rows.map(({ runs }) => runs.length));
  return most > 1
    ? "a ±b: mean and standard deviation over seeds. [a, b]: 95 % interval over seeds and test images. *: 0 is outside of it."
    : "One seed: [a, b] is the 95 % interval over test images; what other seeds would give is unknown. *: 0 is outside of it.";
}

/** The comparison for a terminal. */
export function formatComparison(comparison: Comparison, color?: boolean): string {
  const { bold, dim } = createColors(color);
  const tables = textTables(comparison).map((table) =>
    [bold(wrapped(table.title)), ...chunks(table).map((part) => drawn(part, dim))].join("\n"),
  );
  const notes = remarks(comparison).map((remark) => wrapped(`! ${remark}`));
  return [
    ...tables,
    dim(wrapped(legend(comparison))),
    ...(notes.length > 0 ? [notes.join("\n")] : []),
  ].join("\n\n");
}

const widest = (texts: readonly string[]): number =>
  Math.max(0, ...texts.map(({ length }) => length));

/** Columns that do not fit beside each other go below each other. */
function chunks({ title, columns, lines }: TextTable): readonly TextTable[] {
  const name = widest(lines.map((line) => line.name)) + 2;
  const cell = widest([...columns, ...lines.flatMap(({ cells }) => cells)]) + 2;
  const fit = Math.max(1, Math.floor((terminalWidth() + 2 - name) / cell));
  return Array.from({ length: Math.ceil(columns.length / fit) }, (_, i) => {
    const part = <T>(all: readonly T[]): readonly T[] => all.slice(i * fit, (i + 1) * fit);
    return {
      title,
      columns: part(columns),
      lines: lines.map((line) => ({ name: line.name, cells: part(line.cells) })),
    };
  });
}

function drawn({ columns, lines }: TextTable, dim: (text: string) => string): string {
  const name = widest(lines.map((line) => line.name)) + 2;
  const cell = widest([...columns, ...lines.flatMap(({ cells }) => cells)]) + 2;
  const row = (first: string, cells: readonly string[]): string =>
    (first.padEnd(name) + cells.map((text) => text.padEnd(cell)).join("")).trimEnd();
  return [dim(row("", columns)), ...lines.map((line) => row(line.name, line.cells))].join("\n");
}

/** The comparison as Markdown, for EXPERIMENTS.md. */
export function markdown(comparison: Comparison): string {
  const { plan, rows } = comparison;
  const tables = textTables(comparison).map(({ title, columns, lines }) =>
    [
      `**${title}**`,
      "",
      `| |${columns.map((column) => ` ${column} |`).join("")}`,
      `|---|${columns.map(() => "---:|").join("")}`,
      ...lines.map(({ name, cells }) => `| ${name} |${cells.map((cell) => ` ${cell} |`).join("")}`),
    ].join("\n"),
  );
  const commands = rows.flatMap(({ runs }) =>
    runs.slice(0, 1).flatMap((run) => [run.commands.pretrain, run.commands.evaluate]),
  );
  return [
    `### ${plan.title ?? plan.name}`,
    ...(plan.note === undefined ? [] : [plan.note]),
    ...tables,
    legend(comparison),
    ...(remarks(comparison).length > 0
      ? [
          remarks(comparison)
            .map((remark) => `- ${remark.replaceAll("\n", " ")}`)
            .join("\n"),
        ]
      : []),
    `Commands of the first seed; others differ in \`--seed\` and \`--out\`:`,
    ["```sh", ...commands, "```"].join("\n"),
    "",
  ].join("\n\n");
}
