import type { Level, Measurement } from "../evaluate.js";
import { levels } from "../evaluate.js";
import type { RunEvaluation } from "../run.js";
import { contenderNames, count, levelNames, omissionLines, percent, tableRows } from "../table.js";
import { type Html, html } from "./html.js";
import { intervalPlot } from "./interval-plot.js";

/** The k-NN table with its intervals, drawn beside it, and all other k below. */
export function scores(evaluation: RunEvaluation): Html {
  const { settings, train, test, classes, step, majority } = evaluation;
  const rows = tableRows(evaluation);
  const plotted = rows.map(({ contender, cells }) => ({
    name: contenderNames[contender],
    cells: levels.map((level) => cells[level]),
  }));
  return html`<p>Frozen features after ${count(step)} steps: each test object takes the class that its
${settings.k[0]} most similar objects of the bank vote for. The bank has ${count(train.objects)} objects in
${count(train.images)} images; ${count(test.objects)} objects in ${count(test.images)} other images are tested;
${classes.length} classes.</p>
<div class="split"><div class="card scroll"><table>
<caption class="note">k-NN top-1, per cent [95 % interval, whole images resampled]</caption>
<thead><tr><th scope="col">features</th>${levels.map((level) => html`<th scope="col">${levelNames[level]}</th>`)}</tr></thead>
<tbody>${rows.map(
    ({ contender, cells }) =>
      html`<tr${contender === "trained" && html` class="ours"`}><th scope="row">${contenderNames[contender]}</th>${levels.map((level) => cell(cells[level]))}</tr>`,
  )}</tbody></table></div>
${intervalPlot(
  plotted,
  levels.map((level) => levelNames[level]),
  { value: majority, name: "most frequent class" },
)}</div>
<p class="note">With mask: [OBJ] sees the object’s patches; raw pixels have their background blacked out.
Without mask: [OBJ] sees the whole image, so objects of one image share a feature; raw pixels are the object’s box as it is.
Image level: the whole image, its class that of its largest object. Untrained: the same network with its initial weights.
${evaluation.data.test === undefined && "Test images were held out from the bank, but pretraining saw them (without their classes)."}</p>
${omissionLines(evaluation).map((line) => html`<p class="note">${line[0]!.toUpperCase() + line.slice(1)}.</p>`)}
${allK(evaluation)}`;
}

function cell(measurement: Measurement | undefined): Html {
  if (!measurement) return html`<td>–</td>`;
  const { value, low, high } = measurement;
  return html`<td>${percent(value)} <small>[${percent(low)}, ${percent(high)}]</small></td>`;
}

function allK(evaluation: RunEvaluation): Html {
  const found = new Map(evaluation.measurements.map((m) => [m.name, m]));
  const asked = [...new Set(evaluation.measurements.map(({ name }) => /knn(\d+)/.exec(name)?.[1]))];
  const value = (contender: string, level: Level, k: string | undefined, top: string): string => {
    const share = found.get(`${contender}/${level}/knn${k}/${top}`)?.value;
    return share === undefined ? "–" : percent(share);
  };
  const rows = tableRows(evaluation);
  return html`<details><summary>Other numbers of neighbours, and top-5</summary><div class="card scroll"><table>
<caption class="note">top-1 / top-5, per cent</caption>
<thead><tr><th scope="col">features</th>${asked.map((k) => html`<th scope="col">k = ${k}</th>`)}</tr></thead>
<tbody>${rows.flatMap(({ contender }) =>
    levels.map(
      (level) =>
        html`<tr><th scope="row">${contenderNames[contender]}, ${levelNames[level]}</th>${asked.map((k) => html`<td>${value(contender, level, k, "top1")} / ${value(contender, level, k, "top5")}</td>`)}</tr>`,
    ),
  )}</tbody></table></div></details>`;
}
