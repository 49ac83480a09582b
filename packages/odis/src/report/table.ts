import { createColors } from "picocolors";
import {
  attributes,
  type Contender,
  contenders,
  type Evaluation,
  type Level,
  levels,
  type Measurement,
} from "../evaluate/index.js";
import { type InferenceMode, modeRules } from "../features/index.js";

export const contenderNames: Readonly<Record<Contender, string>> = {
  pixels: "raw pixels",
  untrained: "untrained network",
  trained: "trained teacher",
};

/** One line of a table: a way to measure, and its measurement of each contender. */
export interface TableRow {
  readonly name: string;
  readonly cells: Readonly<Record<Contender, Measurement | undefined>>;
}

/** Some rows under one heading. */
export interface TableSection {
  readonly title: string;
  readonly rows: readonly TableRow[];
  /** what the bank's most frequent class alone would reach, where that is the measure */
  readonly majority?: number | undefined;
}

type Measured = Pick<Evaluation, "measurements" | "settings" | "train" | "majority">;

/** Contenders that were measured, in order. */
export function measuredContenders({
  measurements,
}: Pick<Evaluation, "measurements">): Contender[] {
  return contenders.filter((name) => measurements.some((m) => m.name.startsWith(`${name}/`)));
}

/** What is shown of an evaluation: top-1 by k-NN of the first k and by linear classifiers; mIoU. */
export function tableSections(evaluation: Measured): TableSection[] {
  const { settings, train, majority } = evaluation;
  const k = settings.k[0]!;
  const voting = k > train.objects ? `${train.objects}, the whole bank` : String(k);
  const byObject = (measure: string): TableRow[] =>
    levels.flatMap((level) =>
      settings.modes.map((mode) => objectRow(evaluation, level, mode, measure)),
    );
  const sections: TableSection[] = [
    { title: `k-NN top-1, per cent, k = ${voting}`, rows: byObject(`knn${k}/top1`), majority },
    { title: "linear top-1, per cent", rows: byObject("linear/top1"), majority },
    {
      title: "segmentation by patches, mIoU, per cent",
      rows: [
        tableRow(evaluation, "k-NN", "dense/knn/miou"),
        tableRow(evaluation, "linear", "dense/linear/miou"),
      ],
    },
    ...settings.modes.map((mode) => ({
      title: `beside the class, ${modeRules[mode].name}: R², per cent`,
      rows: attributes.map((name) =>
        tableRow(evaluation, name, `object/${mode}/attributes/${name}`),
      ),
    })),
  ];
  return sections
    .map((section) => ({ ...section, rows: section.rows.filter(isMeasured) }))
    .filter(({ rows }) => rows.length > 0);
}

function isMeasured({ cells }: TableRow): boolean {
  return Object.values(cells).some((cell) => cell);
}

/** Measurements of objects or images in a mode. */
export function objectRow(
  evaluation: Pick<Evaluation, "measurements">,
  level: Level,
  mode: InferenceMode,
  measure: string,
): TableRow {
  const name = `${level === "image" ? "image, " : ""}${modeRules[mode].name}`;
  return tableRow(evaluation, name, `${level}/${mode}/${measure}`);
}

/** The measurement of one name by every contender. */
function tableRow(
  { measurements }: Pick<Evaluation, "measurements">,
  name: string,
  measure: string,
): TableRow {
  const cell = (contender: Contender): Measurement | undefined =>
    measurements.find((found) => found.name === `${contender}/${measure}`);
  return {
    name,
    cells: { pixels: cell("pixels"), untrained: cell("untrained"), trained: cell("trained") },
  };
}

/** Per cent with one digit: 0.7349 -> `73.5`, -0.012 -> `−1.2`. */
export function percent(share: number): string {
  return (100 * share).toFixed(1).replace("-", "−");
}

/** Three contenders at `100.0 [100.0, 100.0]` still fit 80 columns. */
const [nameWidth, cellWidth] = [18, 20];

/**
 * The tables for a terminal of 80 columns.
 *
 * @param color default: what the terminal and NO_COLOR say
 */
export function formatTable(evaluation: Evaluation, color?: boolean): string {
  const { bold, dim } = createColors(color);
  const { train, test } = evaluation;
  const shown = measuredContenders(evaluation);
  const cell = (measurement: Measurement | undefined, best: number): string => {
    if (!measurement) return pad("–", "–");
    const { value, low, high } = measurement;
    const number = percent(value).padStart(5);
    const interval = ` [${percent(low)}, ${percent(high)}]`;
    return pad(number + interval, (value === best ? bold(number) : number) + dim(interval));
  };
  const tables = tableSections(evaluation).map(({ title, rows }) => {
    const lines = rows.map(({ name, cells }) => {
      const best = Math.max(...shown.map((contender) => cells[contender]?.value ?? 0));
      const numbers = shown.map((contender) => cell(cells[contender], best));
      return (name.padEnd(nameWidth) + numbers.join("")).trimEnd();
    });
    const names = shown.map((contender) => pad(contenderNames[contender])).join("");
    const head = dim((" ".repeat(nameWidth) + names).trimEnd());
    return [bold(`${title} [95 % interval over images]`), head, ...lines].join("\n");
  });
  const sizes = dim(
    `bank: ${count(train.objects)} objects in ${count(train.images)} images; ` +
      `tested: ${count(test.objects)} in ${count(test.images)}; ${evaluation.classes.length} classes`,
  );
  const remarks = [sizes, ...[...maskLines(evaluation), ...omissionLines(evaluation)].map(dim)];
  return [...tables, remarks.join("\n")].join("\n\n");
}

/** @param shown what is printed; its own codes for colour have no width */
function pad(text: string, shown = text): string {
  return shown + " ".repeat(Math.max(1, cellWidth - text.length));
}

/** What was wrong with the masks on purpose, one sentence; empty when nothing was. */
export function maskLines({ settings }: Pick<Evaluation, "settings">): string[] {
  const { kind, iou, missing } = settings.masks;
  const parts = [
    kind === "none" && "none",
    kind === "box" && (iou < 1 ? `boxes at IoU ${iou}` : "boxes"),
    missing > 0 && `${percent(missing)} per cent missing`,
  ].filter((part) => part !== false);
  return parts.length > 0 ? [`masks: ${parts.join(", ")}`] : [];
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
