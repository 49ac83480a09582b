import { basename } from "node:path";
import { duration } from "../../run/progress.js";
import { count } from "../table.js";
import { valueText } from "./axis.js";
import { curves } from "./curves.js";
import { factList, htmlDocument, section } from "./document.js";
import { type Html, html } from "./html.js";
import { fullHeat } from "./pictures.js";
import { medianRate, networkText, type RunRecord, type SkippedImage, viewsText } from "./record.js";
import { scores } from "./scores.js";

/** The parts of a report that need pictures; undefined where data or network were not at hand. */
export interface Pictures {
  readonly views: Html | undefined;
  readonly attention: Html | undefined;
  readonly neighbours: Html | undefined;
}

export interface PageFacts {
  /** images of the training data */
  readonly images: number | undefined;
  /** the data set in words */
  readonly data: string;
  /** commands that make this run again */
  readonly commands: readonly string[];
}

/** The whole report as one HTML file: no script, nothing loaded from elsewhere. */
export function page(run: RunRecord, facts: PageFacts, pictures: Pictures): string {
  const name = basename(run.folder);
  const { rows, evaluation } = run;
  return htmlDocument(
    `${name} – odis report`,
    html`<header><h1>${name}</h1><p class="lead">Object-level self-distillation, recipe <b>${run.recipe.name}</b>, on ${facts.data}</p>${summary(run, facts)}</header>
${section("How good the features are", evaluation && scores(evaluation), `Not evaluated yet: odis evaluate ${run.folder}`)}
${section("Nearest neighbours", pictures.neighbours && html`<p class="note">Test objects drawn by chance, one a class as far as possible, and the bank’s most similar objects by the teacher’s features with masks; ✓ marks the same class, ✗ another one. The number is the cosine similarity.</p>${pictures.neighbours}`, "No neighbours: they need an evaluation of the run by k-NN, and its data.")}
${section("Where [OBJ] looks", pictures.attention && html`<p class="note">Attention of the teacher’s [OBJ] token in its last block, the mean over heads, brightest where it looks ${fullHeat} times as much as on the average patch, or more. With the mask it can only look at the object’s patches (outlined); without it, anywhere.</p>${pictures.attention}`, "No attention maps: they need a checkpoint and the data.")}
${section("Example views", pictures.views && html`${viewsKey}${pictures.views}`, "No example views: the training data could not be read.")}
${section("Curves", rows.length > 0 ? html`<p class="note">Neighbouring steps are averaged; the tint reaches from the lowest to the highest. Point at a curve for its numbers.</p>${curves(rows, run.recipe)}` : undefined, "No metrics yet.")}
${section("Images left out", skippedList(run), "None: every image could be used.")}
<section><h2>How to make this run again</h2><pre>${facts.commands.join("\n")}</pre>
<details><summary>Resolved configuration</summary><pre>${JSON.stringify(run.config, null, 2)}</pre></details></section>`,
  );
}

function summary({ recipe, rows }: RunRecord, { images }: PageFacts): Html {
  const last = rows.at(-1);
  return factList([
    ["images", images === undefined ? undefined : count(images)],
    ["steps", last && count(last.step + 1)],
    ["batch", count(recipe.optim.batch)],
    ["time", last && duration(last.time)],
    ["images/s", rows.length > 0 ? valueText(medianRate(rows)) : undefined],
    ["loss", last && valueText(last.loss)],
    ["network", networkText(recipe)],
    ["views", viewsText(recipe)],
    ["seed", String(recipe.seed)],
  ]);
}

const viewsKey = html`<p class="note">What training cuts from an image (an example, drawn with the run’s own settings).</p>
<ul class="key"><li><svg viewBox="0 0 20 20" aria-hidden="true"><rect x="2" y="2" width="16" height="16" fill="#9aa" /><path class="edge-back" d="M2,2h16v16h-16z"/><path class="edge" d="M2,2h16v16h-16z"/></svg>visible: [OBJ] may look there</li>
<li><svg viewBox="0 0 20 20" aria-hidden="true"><rect x="2" y="2" width="16" height="16" fill="#9aa"/><path class="lid" d="M2,2h16v16h-16z"/><path class="stroke" d="M2,18l16,-16"/></svg>hidden: the student must guess it</li>
<li><svg viewBox="0 0 20 20" aria-hidden="true"><rect x="2" y="2" width="16" height="16" fill="#9aa"/><path class="shade" d="M2,2h16v16h-16z"/></svg>shaded: not the object</li>
<li><svg viewBox="0 0 20 20" aria-hidden="true"><rect x="2" y="2" width="16" height="16" fill="#777"/><rect class="frame" x="3" y="3" width="14" height="14"/></svg>place of a global view</li></ul>`;

/** Unreadable images of training and of evaluation, each once. */
function skippedList({ skipped, evaluation }: RunRecord): Html | undefined {
  const all = [
    ...skipped,
    ...(evaluation?.train.omitted.skipped ?? []),
    ...(evaluation?.test.omitted.skipped ?? []),
  ];
  const once = [...new Map(all.map((image) => [image.key, image])).values()];
  if (once.length === 0) return undefined;
  const first = 20;
  return html`<p>${count(once.length)} ${once.length === 1 ? "image" : "images"} could not be used:</p>
<ul class="plain">${once.slice(0, first).map(skippedLine)}</ul>
${once.length > first && html`<details><summary>${count(once.length - first)} more</summary><ul class="plain">${once.slice(first).map(skippedLine)}</ul></details>`}`;
}

function skippedLine({ key, reason }: SkippedImage): Html {
  return html`<li>${key}: ${reason}</li>`;
}
