import { createColors } from "picocolors";
import { counted, plain } from "../core/index.js";
import {
  describeEvaluation,
  type Evaluation,
  type Figure,
  type FigureTable,
  mainDataUse,
  type Measurement,
  type OtherData,
  type RepresentationName,
  representationNames,
} from "../evaluate/index.js";
import type { Repetition } from "../features/index.js";
import { count, percent } from "./numbers.js";

export const representationTitles: Readonly<Record<RepresentationName, string>> = {
  pixels: "raw pixels",
  untrained: "untrained network",
  trained: "trained teacher",
};

type Measured = Pick<Evaluation, "measurements" | "settings" | "train" | "majority">;

/** Representations that were measured, in order. */
export function measuredRepresentations({
  measurements,
}: Pick<Evaluation, "measurements">): RepresentationName[] {
  return representationNames.filter((name) =>
    measurements.some((m) => m.name.startsWith(`${name}/`)),
  );
}

/** The measurement of a representation; undefined where it was not measured. */
export function measurementOf(
  { measurements }: Pick<Evaluation, "measurements">,
  by: RepresentationName,
  measure: string,
): Measurement | undefined {
  return measurements.find(({ name }) => name === `${by}/${measure}`);
}

/** The tables of an evaluation, figures and tables without a measurement left out. */
export function measuredTables(evaluation: Measured): readonly FigureTable[] {
  const { settings, train } = evaluation;
  const shown = measuredRepresentations(evaluation);
  const isMeasured = ({ measure }: Figure): boolean =>
    shown.some((by) => measurementOf(evaluation, by, measure));
  return describeEvaluation(settings, train.objects)
    .flatMap(({ tables }) => tables)
    .map((table) => ({ ...table, figures: table.figures.filter(isMeasured) }))
    .filter(({ figures }) => figures.length > 0);
}

/** Of lines for a terminal, letters: 80, or what a narrower one has. */
export const terminalWidth = (): number => Math.min(80, process.stdout.columns || 80);

/** Broken between words to fit a terminal; later lines are set in. */
export function wrapped(text: string): string {
  const lines: string[] = [""];
  const width = terminalWidth();
  for (const word of text.split(/\s+/)) {
    const line = lines.at(-1)!;
    const longer = line === "" ? word : `${line} ${word}`;
    if (longer.length <= width || line === "") lines[lines.length - 1] = longer;
    else lines.push(`  ${word}`);
  }
  return lines.join("\n");
}

/** What a run has come to, for a terminal; its ability stands out. */
export function formatVerdict(sentences: readonly string[], color?: boolean): string {
  const { bold } = createColors(color);
  return sentences
    .map((sentence, at) => (at === 1 ? bold(wrapped(sentence)) : wrapped(sentence)))
    .join("\n");
}

/** Three representations at `100.0 [100.0, 100.0]` still fit 80 columns, unless a name is longer. */
const [nameWidth, cellWidth] = [18, 20];

/**
 * The tables for a terminal of 80 columns.
 *
 * @param color default: what the terminal and NO_COLOR say
 */
export function formatTable(evaluation: Evaluation, color?: boolean): string {
  const { bold, dim } = createColors(color);
  const { train, test } = evaluation;
  const shown = measuredRepresentations(evaluation);
  const cell = (measurement: Measurement | undefined, best: number): string => {
    if (!measurement) return pad("–", "–");
    const { value, low, high } = measurement;
    const number = percent(value).padStart(5);
    const interval = ` [${percent(low)}, ${percent(high)}]`;
    return pad(number + interval, (value === best ? bold(number) : number) + dim(interval));
  };
  const tables = measuredTables(evaluation).map(({ title, figures }) => {
    const names = figures.map((figure) => figure.title.length);
    const width = Math.max(nameWidth, ...names.map((name) => (name > nameWidth ? name + 1 : name)));
    const lines = figures.map((figure) => {
      const cells = shown.map((by) => measurementOf(evaluation, by, figure.measure));
      const best = Math.max(...cells.map((found) => found?.value ?? 0));
      return (
        figure.title.padEnd(width) + cells.map((found) => cell(found, best)).join("")
      ).trimEnd();
    });
    const titles = shown.map((by) => pad(representationTitles[by])).join("");
    const head = dim((" ".repeat(width) + titles).trimEnd());
    return [bold(`${title} [95 % interval over images]`), head, ...lines].join("\n");
  });
  const use = mainDataUse(evaluation.settings);
  const sizes = dim(
    `${use === "some" ? "main data: " : ""}bank: ${counted(train.objects, "object")} in ${counted(train.images, "image")}; ` +
      `tested: ${count(test.objects)} in ${count(test.images)}; ${evaluation.classes.length || "no"} classes`,
  );
  const remarks = [
    ...(use === "none" ? [] : [sizes]),
    ...[...maskLines(evaluation), ...omissionLines(evaluation)].map(dim),
  ];
  return [...tables, ...(remarks.length > 0 ? [remarks.join("\n")] : [])].join("\n\n");
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
export function omissionLines({
  train,
  test,
  settings,
  unknownClasses,
  others,
}: Pick<Evaluation, "train" | "test" | "settings" | "unknownClasses" | "others">): string[] {
  const lostWhy =
    settings.frame === "whole"
      ? `too small to cover a pixel at ${settings.size} px`
      : `too small to cover a pixel at ${settings.size} px, or outside the central square`;
  const main = { name: "", train, test, unknownClasses };
  return [main, ...others].flatMap((data) => omissionsOf(data, lostWhy));
}

/** Of one data set; the evaluation's own has no name. */
function omissionsOf(
  { name: set, train, test, unknownClasses }: OtherData,
  lostWhy: string,
): string[] {
  const partOf = (part: string): string => (set === "" ? part : `${plain(set)}, ${part}`);
  const parts = [
    { name: partOf("train"), ...train },
    { name: partOf("test"), ...test },
  ];
  const lines = parts.flatMap(
    ({ name, repeated, omitted: { skipped, shared, lost, small, unlabelled } }) => {
      const left = [
        skipped.length > 0 && counted(skipped.length, "unreadable image"),
        shared.length > 0 &&
          `${counted(shared.length, "image")} whose picture is in the other data, too (${pairs(shared)})`,
        lost > 0 && `${counted(lost, "object")} ${lostWhy}`,
        small > 0 && `${counted(small, "object")} below the least area`,
        unlabelled > 0 && `${counted(unlabelled, "object")} without a class`,
      ].filter((part) => part !== false);
      return [
        ...(left.length > 0 ? [`left out of ${name}: ${left.join(", ")}`] : []),
        ...(repeated.length > 0
          ? [
              `${name}: ${counted(repeated.length, "image")} with the picture of another one (${pairs(repeated)}); kept, always on the same side`,
            ]
          : []),
      ];
    },
  );
  if (unknownClasses.length === 0) return lines;
  const names = unknownClasses.slice(0, 5).map(plain).join(", ");
  return [
    ...lines,
    `classes of ${partOf("test")} that ${partOf("train")} does not have: ${names}${unknownClasses.length > 5 ? ", …" : ""}; their objects are left out, as without a class`,
  ];
}

/** The first of them by their names. */
function pairs(all: readonly Repetition[]): string {
  const first = all.slice(0, 3).map(({ key, as }) => `${plain(key)} = ${plain(as)}`);
  return first.join(", ") + (all.length > 3 ? ", …" : "");
}
