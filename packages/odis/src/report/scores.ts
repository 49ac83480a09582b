import { counted } from "../core/index.js";
import { modeRules } from "../features/index.js";
import {
  type ChosenProbe,
  describeEvaluation,
  type DetailTable,
  type FigureTable,
  mainDataUse,
  type RepresentationName,
  type RunEvaluation,
} from "../evaluate/index.js";
import { dataTable } from "./data-table.js";
import { type Dot, dotPlot, type DotPlot, type DotRow } from "./dots.js";
import { type Html, html } from "./html.js";
import { count, percent, valueText } from "./numbers.js";
import {
  maskLines,
  measuredRepresentations,
  measuredTables,
  measurementOf,
  omissionLines,
  representationTitles,
} from "./table.js";

/** What was measured, with intervals, as tables and drawn beside them, and details below. */
export function scores(evaluation: RunEvaluation): Html {
  const { train, test, classes, step, settings } = evaluation;
  if (evaluation.measurements.length === 0) return unmeasured(evaluation);
  const use = mainDataUse(settings);
  const described = describeEvaluation(settings, train.objects);
  return html`<p>Frozen features after ${count(step)} steps.${
    use !== "none" &&
    html` ${use === "some" && "Main data: "}The bank has ${counted(train.objects, "object")} in
${count(train.images)} images; ${count(test.objects)} objects in ${count(test.images)} other images are tested;
${classes.length} classes.`
  }</p>
${measuredTables(evaluation).map((table) => scoreTable(table, evaluation))}
<p class="note">${described.map(({ meaning }) => `${meaning} `)}
${settings.modes.map((mode) => `${capital(modeRules[mode].name)}: ${modeRules[mode].meaning}. `)}Raw pixels attend to nothing:
with mask, they are the object’s box with a black background.
Image: each image has the class of its largest object, and that object’s feature. Untrained: the same network with its initial weights.
${use !== "none" && evaluation.data.test === undefined && "Test images were held out from the bank, but pretraining saw them (without their classes)."}</p>
${[...maskLines(evaluation), ...omissionLines(evaluation)].map((line) => html`<p class="note">${capital(line)}.</p>`)}
${described.flatMap(({ details = [] }) => details.map((table) => detailTable(table, evaluation)))}
${evaluation.probes.length > 0 && chosenProbes(evaluation)}`;
}

/** Without classes nobody can say what is right. */
function unmeasured(evaluation: RunEvaluation): Html {
  const { train, test, step } = evaluation;
  return html`<p>Frozen features after ${count(step)} steps: of ${counted(train.objects, "object")} in ${counted(train.images, "image")}, and of
${count(test.objects)} in ${count(test.images)} that were held out. Nothing has a class, so nobody can say what is right; the
neighbours below can be looked at.</p>
${omissionLines(evaluation).map((line) => html`<p class="note">${capital(line)}.</p>`)}`;
}

function scoreTable({ title, figures, classes }: FigureTable, evaluation: RunEvaluation): Html {
  const shown = measuredRepresentations(evaluation);
  const rows = figures.map(({ title: name, measure }) => ({
    name,
    cells: shown.map((by) => measurementOf(evaluation, by, measure)),
  }));
  return html`<div class="split">${dataTable({
    caption: `${title} [95 % interval, whole images resampled]`,
    columns: shown.map((by) => ({ title: representationTitles[by], ours: by === "trained" })),
    lines: rows.map(({ name, cells }) => ({
      name,
      cells: cells.map((found) => found && { text: interval(found) }),
    })),
  })}
${intervalPlot(
  title,
  rows,
  shown.map((by) => representationTitles[by]),
  classes ? { value: evaluation.majority, name: "most frequent class" } : undefined,
)}</div>`;
}

function interval({ value, low, high }: Dot): Html {
  return html`${percent(value)} <small>[${percent(low)}, ${percent(high)}]</small>`;
}

/** Shares with their intervals, one group of dots a row. */
export function intervalPlot(
  title: string,
  rows: readonly DotRow[],
  series: readonly string[],
  reference?: DotPlot["reference"],
): Html {
  return dotPlot({ title, note: "with 95 % intervals", rows, series, reference, text: percent });
}

function detailTable(
  { title, caption, columns, rows }: DetailTable,
  evaluation: RunEvaluation,
): Html {
  const value = (by: RepresentationName, measure: string): string =>
    percent(measurementOf(evaluation, by, measure)?.value ?? Number.NaN);
  return html`<details><summary>${title}</summary>${dataTable({
    caption,
    corner: "features",
    columns: columns.map((column) => ({ title: column })),
    lines: measuredRepresentations(evaluation).flatMap((by) =>
      rows.map((row) => ({
        name: `${representationTitles[by]}, ${row.title}`,
        cells: row.cells.map((measures) => ({
          text: measures.map((measure) => value(by, measure)).join(" / "),
        })),
      })),
    ),
  })}</details>`;
}

function chosenProbes({ probes }: RunEvaluation): Html {
  const feature = ({ blocks, average }: ChosenProbe): string => {
    if (blocks === 0) return "pixels";
    const summary = blocks === 1 ? "last block" : `last ${blocks} blocks`;
    return average ? `${summary} and mean of patches` : summary;
  };
  return html`<details><summary>Linear classifiers that were chosen</summary>${dataTable({
    caption: "per cent that they were chosen by, on images of the bank held out from training",
    corner: "measurement",
    wordy: true,
    columns: [{ title: "features" }, { title: "learning rate" }, { title: "validation" }],
    lines: probes.map((probe) => ({
      name: probe.name,
      cells: [
        { text: feature(probe) },
        { text: valueText(probe.learningRate) },
        { text: percent(probe.validation) },
      ],
    })),
  })}</details>`;
}

function capital(text: string): string {
  return text[0]!.toUpperCase() + text.slice(1);
}
