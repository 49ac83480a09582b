import { createColors } from "picocolors";
import {
  type Contender,
  contenders,
  type Evaluation,
  type Level,
  levels,
  type Measurement,
} from "./evaluate.js";

export const contenderNames: Readonly<Record<Contender, string>> = {
  pixels: "raw pixels",
  untrained: "untrained network",
  trained: "trained teacher",
};

export const levelNames: Readonly<Record<Level, string>> = {
  mask: "with mask",
  none: "without mask",
  image: "image level",
};

/** One line of the table: a contender, and its measurement at each level. */
export interface TableRow {
  readonly contender: Contender;
  readonly cells: Readonly<Record<Level, Measurement | undefined>>;
}

/** k-NN top-1 by contender and level, for the first k of the evaluation or for the one given. */
export function tableRows(evaluation: Pick<Evaluation, "measurements">, k?: number): TableRow[] {
  const first = /knn(\d+)\/top1$/.exec(evaluation.measurements[0]?.name ?? "")?.[1];
  const named = new Map(evaluation.measurements.map((m) => [m.name, m]));
  const cell = (contender: Contender, level: Level): Measurement | undefined =>
    named.get(`${contender}/${level}/knn${k ?? first}/top1`);
  return contenders
    .map((contender) => ({
      contender,
      cells: {
        mask: cell(contender, "mask"),
        none: cell(contender, "none"),
        image: cell(contender, "image"),
      },
    }))
    .filter(({ cells }) => levels.some((level) => cells[level]));
}

/** Per cent with one digit: 0.7349 -> `73.5`. */
export function percent(share: number): string {
  return (100 * share).toFixed(1);
}

/**
 * The table for a terminal of 80 columns.
 *
 * @param color default: what the terminal and NO_COLOR say
 */
export function formatTable(evaluation: Evaluation, color?: boolean): string {
  const { bold, dim } = createColors(color);
  const rows = tableRows(evaluation);
  const { train, test, settings } = evaluation;
  const cellWidth = 20;
  const nameWidth = Math.max(...Object.values(contenderNames).map((name) => name.length)) + 1;
  const bestMask = Math.max(...rows.map(({ cells }) => cells.mask?.value ?? 0));
  const header = levels.map((level) => levelNames[level].padEnd(cellWidth)).join("");
  const lines = rows.map(({ contender, cells }) => {
    const numbers = levels.map((level) => {
      const cell = cells[level];
      if (!cell) return "–".padEnd(cellWidth);
      const value = percent(cell.value).padStart(5);
      const interval = ` [${percent(cell.low)}, ${percent(cell.high)}]`;
      const shown = level === "mask" && cell.value === bestMask ? bold(value) : value;
      return (
        shown + dim(interval) + " ".repeat(Math.max(1, cellWidth - value.length - interval.length))
      );
    });
    return (contenderNames[contender].padEnd(nameWidth) + numbers.join("")).trimEnd();
  });
  return [
    bold(`k-NN top-1, per cent, k = ${settings.k[0]} [95 % interval over images]`),
    dim(
      `bank: ${count(train.objects)} objects in ${count(train.images)} images; ` +
        `tested: ${count(test.objects)} in ${count(test.images)}; ${evaluation.classes.length} classes`,
    ),
    "",
    dim((" ".repeat(nameWidth) + header).trimEnd()),
    ...lines,
    ...omissionLines(evaluation).map(dim),
  ].join("\n");
}

/** What was left out, one sentence a part; empty when nothing was. */
export function omissionLines({ train, test }: Pick<Evaluation, "train" | "test">): string[] {
  return [
    { name: "train", omitted: train.omitted },
    { name: "test", omitted: test.omitted },
  ].flatMap(({ name, omitted: { skipped, lost, small, unlabelled } }) => {
    const parts = [
      skipped.length > 0 && some(skipped.length, "unreadable image"),
      lost > 0 && `${some(lost, "object")} outside the frame`,
      small > 0 && `${some(small, "object")} below the least area`,
      unlabelled > 0 && `${some(unlabelled, "object")} without a class`,
    ].filter((part) => part !== false);
    return parts.length > 0 ? [`left out of ${name}: ${parts.join(", ")}`] : [];
  });
}

function some(n: number, thing: string): string {
  return `${count(n)} ${thing}${n === 1 ? "" : "s"}`;
}

/** 12345 -> `12,345` */
export function count(n: number): string {
  return n.toLocaleString("en-US");
}
