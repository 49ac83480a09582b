import { mean } from "d3-array";
import { plain } from "../core/index.js";
import {
  type Headline,
  headlineOf,
  type Measurement,
  type RunEvaluation,
} from "../evaluate/index.js";
import { type Recipe, runLength, summaryPrototypes } from "../recipe/index.js";
import { dataOf, duration } from "../run/index.js";
import { CollapseWatch, type MetricsRow } from "../train/index.js";
import { count, percent, signed } from "./numbers.js";
import { outlookSentence } from "./outlook.js";
import { networkText, type RunContents } from "./record.js";
import { measurementOf } from "./table.js";

/**
 * The run in a few sentences for somebody who has never heard of it: what was trained, what it can
 * do now beside what needs no training, and what more training would likely bring.
 *
 * @param images of the training data, where it is known
 */
export function verdict(run: RunContents, images?: number): readonly string[] {
  const { evaluation } = run;
  return [
    trainedSentence(run, images),
    ...(evaluation ? abilitySentences(evaluation) : ["What it can do has not been measured yet."]),
    outlook(run, images),
  ];
}

function trainedSentence(
  { recipe, rows, init, config }: RunContents,
  images: number | undefined,
): string {
  const { batch } = recipe.optim;
  const network = `a Vision Transformer (${networkText(recipe).replace(/^ViT /, "")})`;
  const start = init === undefined ? "" : `, starting from the weights of ${plain(init.file)}`;
  const last = rows.at(-1);
  if (!last) return `This is ${network}${start}; it was not trained here.`;
  const isWhole = dataOf(config)?.["whole"] === true;
  const objects = isWhole ? ", each one object as a whole" : " and the objects marked in them";
  const marked = recipe.loss.objectWeight > 0 ? objects : "";
  const source = images === undefined ? `images${marked}` : `${count(images)} images${marked}`;
  const time = Number.isFinite(last.time) ? ` (${duration(last.time)})` : "";
  return (
    `This is ${network} that taught itself from ${source}${start}, without being told what anything is: ` +
    `${count(last.step + 1)} steps of ${count(batch)} images${time}.`
  );
}

function abilitySentences(evaluation: RunEvaluation): readonly string[] {
  const { settings, train, majority, classes } = evaluation;
  const headline = headlineOf(settings, train.objects);
  const trained = headline && measurementOf(evaluation, "trained", headline.figure.measure);
  if (classes.length === 0 && !trained)
    return [
      "Its data names no classes, so no score says what it can do: the report shows, for some pictures, those that it finds most alike.",
    ];
  if (!headline || !trained) return ["It was evaluated, but nothing could be measured."];
  const others = (["pixels", "untrained"] as const).flatMap((by) => {
    const found = measurementOf(evaluation, by, headline.figure.measure);
    return found ? [`${names[by]} ${percent(found.value)} %`] : [];
  });
  const floor = headline.classes
    ? [
        `always the most frequent class ${percent(majority)} %`,
        `guessing among ${count(classes.length)} classes ${percent(1 / classes.length)} %`,
      ]
    : [];
  const score = headline.says
    ? `In ${percent(trained.value)} % of cases ${headline.says}.`
    : `It reaches ${percent(trained.value)} (${headline.title}; ${headline.figure.title}).`;
  const beside = [...others, ...floor];
  return [
    score + (beside.length > 0 ? ` For comparison: ${beside.join(", ")}.` : ""),
    judgement(evaluation, headline, trained),
  ];
}

const names = {
  pixels: "raw pixels, without any network,",
  untrained: "the same network untrained",
};

type Interval = Pick<Measurement, "value" | "low" | "high">;

/** How much better the trained teacher is, by the headline's figure. */
function differenceTo(
  { differences }: RunEvaluation,
  to: "pixels" | "untrained",
  trained: Interval,
  other: Interval | undefined,
): Interval | undefined {
  const paired = differences.find((found) => found.to === to);
  if (paired || !other) return paired;
  // Earlier releases did not pair the images: then it is known no better than both ends allow.
  return {
    value: trained.value - other.value,
    low: trained.low - other.high,
    high: trained.high - other.low,
  };
}

/** Whether that is any good. The worst that can be said comes first. */
function judgement(
  evaluation: RunEvaluation,
  { figure: { measure }, classes }: Headline,
  trained: Interval & Pick<Measurement, "images">,
): string {
  const { majority, test } = evaluation;
  const [pixels, untrained] = (["pixels", "untrained"] as const).map((to) =>
    differenceTo(evaluation, to, trained, measurementOf(evaluation, to, measure)),
  );
  const range = ({ value, low, high }: Interval): string =>
    `${signed(value)} points [${signed(low)}, ${signed(high)}]`;
  const parts: string[] = [];
  if (classes && trained.low <= majority)
    parts.push(
      trained.value <= majority
        ? "That is no better than always naming the most frequent class: as it stands, nobody should use it"
        : "That cannot be told from always naming the most frequent class",
    );
  if (untrained) {
    if (untrained.low > 0)
      parts.push(
        `Training has gained something: ${range(untrained)} over the same network untrained`,
      );
    else if (untrained.high < 0)
      parts.push(`Training has made it worse than it began: ${range(untrained)}`);
    else
      parts.push(
        `What training has gained cannot be told from chance yet: ${range(untrained)} over the same network untrained`,
      );
  }
  if (pixels) {
    if (pixels.high < 0) parts.push(`Raw pixels are still ahead: ${range(pixels)}`);
    else if (pixels.low > 0) parts.push(`It is ahead of raw pixels: ${range(pixels)}`);
    else parts.push(`It is level with raw pixels: ${range(pixels)}`);
  }
  const images = trained.images ?? test.images;
  const few = images < 100 ? `Only ${count(images)} images were tested: all this may change` : "";
  const said = [...parts, few].filter((part) => part !== "");
  return said.length > 0
    ? `${said.join(". ")}.`
    : "It was measured alone: nothing stands beside it.";
}

/** Passes over the data from which on a run counts as long, as published ones go. */
const longRun = 100;

/** What more training would likely bring, by how far this one came. */
function outlook(run: RunContents, images: number | undefined): string {
  const { recipe, rows, evaluation } = run;
  const last = rows.at(-1);
  if (!last) return "Training it on your own images (odis pretrain --init) would fit it to them.";
  const steps = last.step + 1;
  const planned = plannedSteps(recipe, images);
  const watch = new CollapseWatch(summaryPrototypes(recipe), planned ?? steps);
  for (const row of rows) watch.observe(row);
  if (watch.collapse !== undefined)
    return `More of the same training would bring nothing: it has collapsed (${watch.collapse.replace(/^collapse: /, "").replace(/ \(.*/, "")}). The log says which settings to change.`;
  if (run.outlook) return outlookSentence(run, run.outlook);
  if (planned !== undefined && steps < planned)
    return `The run has done ${count(steps)} of ${count(planned)} steps. Its learning rate falls towards the end, where much is gained: let it go on${evaluation ? ", and evaluate again" : ""}.`;
  if (images === undefined) return "A longer run (--steps) is the first thing to try.";
  const passes = (steps * recipe.optim.batch) / images;
  const seen = `It has seen each image about ${passes < 10 ? passes.toFixed(1) : count(Math.round(passes))} times`;
  if (passes < longRun)
    return `${seen}; published runs go over a million images 100 to 800 times. So it is early: a longer run (a larger --steps, in a new folder) is likely to gain most${images < 100_000 ? `, more than ${count(images)} images the next` : ""}.`;
  return isFalling(rows)
    ? `${seen}, and its loss was still falling: a longer run is likely to gain a little; more images than ${count(images)} or a larger network probably more.`
    : `${seen}, and its loss no longer falls: more steps of the same are unlikely to change much; more images than ${count(images)} or a larger network may.`;
}

function plannedSteps(recipe: Recipe, images: number | undefined): number | undefined {
  return images === undefined ? recipe.optim.steps : runLength(recipe, images).totalSteps;
}

/** Whether the last tenth of the steps has a lower loss than the tenth before it. */
function isFalling(rows: readonly MetricsRow[]): boolean {
  const tenth = Math.max(1, Math.floor(rows.length / 10));
  const losses = rows.map(({ loss }) => loss).filter(Number.isFinite);
  const [before, after] = [losses.slice(-2 * tenth, -tenth), losses.slice(-tenth)].map((part) =>
    mean(part),
  );
  return before !== undefined && after !== undefined && after < before * 0.999;
}
