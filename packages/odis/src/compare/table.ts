import { createColors } from "picocolors";
import type { Comparison } from "./results.js";
import { legend, remarks, type TextTable, textTables } from "./tables.js";

const terminalWidth = 80;

/** The comparison for a terminal of 80 columns. */
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

/** Broken between words; later lines are set in. */
function wrapped(text: string): string {
  const lines: string[] = [""];
  for (const word of text.split(/\s+/)) {
    const line = lines.at(-1)!;
    const longer = line === "" ? word : `${line} ${word}`;
    if (longer.length <= terminalWidth || line === "") lines[lines.length - 1] = longer;
    else lines.push(`  ${word}`);
  }
  return lines.join("\n");
}

const widest = (texts: readonly string[]): number =>
  Math.max(0, ...texts.map(({ length }) => length));

/** Columns that do not fit beside each other go below each other. */
function chunks({ title, columns, lines }: TextTable): readonly TextTable[] {
  const name = widest(lines.map((line) => line.name)) + 2;
  const cell = widest([...columns, ...lines.flatMap(({ cells }) => cells)]) + 2;
  const fit = Math.max(1, Math.floor((terminalWidth + 2 - name) / cell));
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
