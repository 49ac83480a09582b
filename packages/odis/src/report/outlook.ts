import { headlineOf, type Outlook, type RunEvaluation } from "../evaluate/index.js";
import { duration, shippedCurve, type TrainingCurve } from "../run/index.js";
import { lineChart } from "./chart.js";
import { type Html, html } from "./html.js";
import { count, percent } from "./numbers.js";
import type { RunContents } from "./record.js";
import { measurementOf } from "./table.js";

/** What longer training has been seen to bring, a sentence or two. */
export function outlookSentence(
  run: Pick<RunContents, "rows" | "recipe">,
  outlook: Outlook,
): string {
  const { network, step, same, value } = outlook;
  const curve = shippedCurve(network);
  const stepsDone = stepsOf(run, curve);
  const effort = curve ? `, ${trainedFor(curve)}` : "";
  const what = same ? "the same recipe" : "a network like it";
  const where =
    stepsDone < step
      ? ` This run has done ${percent(stepsDone / step)} % of those steps.`
      : " This run has done as many, or more.";
  return (
    `Where it leads: ${what} after ${count(step)} steps (${network}, which comes with odis${effort}) ` +
    `reaches ${percent(value)} % in the same test.${where}`
  );
}

/** Steps that a run has done, told in images, so that runs of other batches are told alike. */
function stepsOf(
  { rows, recipe }: Pick<RunContents, "rows" | "recipe">,
  curve: TrainingCurve | undefined,
): number {
  const steps = (rows.at(-1)?.step ?? -1) + 1;
  return curve ? Math.round((steps * recipe.optim.batch) / curve.batch) : steps;
}

const trainedFor = ({ seconds, threads }: TrainingCurve): string =>
  `${duration(seconds)} of ${threads === 1 ? "one core" : `${threads} cores`}`;

/** The curve of the longer training with the run's place beside it, and who was measured how. */
export function outlookSection(run: RunContents, outlook: Outlook): Html | undefined {
  const { evaluation } = run;
  const curve = shippedCurve(outlook.network);
  if (!curve || !evaluation) return undefined;
  const reached = {
    step: stepsOf(run, curve),
    value: headlineValue(evaluation, "trained"),
  };
  const pixels = headlineValue(evaluation, "pixels");
  const points = curve.points.map(({ step }) => step);
  const steps = [...new Set([...points, reached.step])].toSorted((a, b) => a - b);
  const per = (share: number | undefined): number => 100 * (share ?? Number.NaN);
  const ofCurve = (key: "mask" | "none"): number[] =>
    steps.map((step) => per(curve.points.find((point) => point.step === step)?.[key]));
  const chart = lineChart({
    title: "Objects told by their neighbours, with mask",
    note: `per cent, by steps of ${curve.batch} images`,
    steps,
    series: [
      { name: outlook.network, values: ofCurve("mask") },
      { name: "the same without mask", values: ofCurve("none") },
      {
        name: "this run",
        values: steps.map((step) => (step === reached.step ? per(reached.value) : Number.NaN)),
      },
    ],
    ...(pixels === undefined
      ? {}
      : { reference: { value: per(pixels), name: `raw pixels ${percent(pixels)}` } }),
    fromZero: true,
  });
  return html`<div class="split"><div><p>${outlookSentence(run, outlook)}</p>
<p class="note">${outlook.network} on the scenes of this page: ${percent(outlook.value)} [${percent(outlook.low)}, ${percent(outlook.high)}] per cent.
Its curve was measured ${curve.measured}.</p></div>${chart}</div>`;
}

function headlineValue(evaluation: RunEvaluation, by: "trained" | "pixels"): number | undefined {
  const headline = headlineOf(evaluation.settings, evaluation.train.objects);
  return headline && measurementOf(evaluation, by, headline.figure.measure)?.value;
}
