import {
  type DataSource,
  type DataSpec,
  dataText,
  openSource,
  type Sample,
} from "../data/index.js";
import {
  counted,
  BadImageError,
  checkReplaceable,
  OdisError,
  replaceText,
  Rng,
  shellWord,
} from "../core/index.js";
import { dataOf, duration, type LoadedNetwork, loadTeacher, runLayout } from "../run/index.js";
import { attentionRow, neighbourStrips, viewsRow } from "./sections.js";
import { factList, type Html, html, htmlDocument, section } from "./html.js";
import {
  medianRate,
  networkText,
  readRun,
  type RunContents,
  type SkippedImage,
  viewsText,
  weightsText,
} from "./record.js";
import { openSplits, optionsFor, optionWords, type RunEvaluation } from "../evaluate/index.js";
import { basename, resolve } from "node:path";
import { count, valueText } from "./numbers.js";
import { curves } from "./curves.js";
import { outlookSection } from "./outlook.js";
import { fullHeat } from "./pictures.js";
import { scores } from "./scores.js";
import { verdict } from "./verdict.js";

const viewRows = 4;
const attentionRows = 4;

export interface ReportOptions {
  /** hears of parts that had to be left out, and why */
  readonly onMissing?: (part: string, reason: string) => void;
}

/** A report, and what it says first. */
export interface Report {
  readonly file: string;
  /** sentences */
  readonly verdict: readonly string[];
}

/** As {@link makeReport}. @returns the file's path */
export async function writeReport(folder: string, options: ReportOptions = {}): Promise<string> {
  return (await makeReport(folder, options)).file;
}

/**
 * Writes `report.html` into a run folder from what lies there: configuration, metrics, checkpoint,
 * evaluation, and the data that the configuration names. A part whose source is missing is left
 * out and the page says so.
 *
 * @throws RunError when the folder is no run
 */
export async function makeReport(folder: string, options: ReportOptions = {}): Promise<Report> {
  const run = readRun(folder);
  checkReplaceable(runLayout(folder).report);
  const data = dataOf(run.config);
  const attempt = async <T>(part: string, make: () => Promise<T>): Promise<T | undefined> => {
    try {
      return await make();
    } catch (error) {
      // Only what a user can mend may leave a hole in the page; our own mistakes must be seen.
      if (!(error instanceof OdisError)) throw error;
      options.onMissing?.(part, error.message);
      return undefined;
    }
  };
  const source = data && (await attempt("training data", () => openSource(data)));
  const { evaluation } = run;
  const parts =
    evaluation && (await attempt("evaluation data", () => openSplits(evaluation.data, evaluation)));
  const teacher = await attempt("checkpoint", async () => loadTeacher(folder));
  try {
    const pictures: Pictures = {
      views: source && (await exampleViews(run, source)),
      attention: teacher && (await attentionMaps(run, teacher, parts?.test ?? source)),
      neighbours:
        evaluation && parts && evaluation.examples.length > 0
          ? await neighbourStrips(evaluation.examples, evaluation.classes, parts.train, parts.test)
          : undefined,
    };
    const { report: file } = runLayout(folder);
    const facts = factsOf(run, data, source);
    const text = page(run, facts, pictures);
    replaceText(file, text);
    return { file, verdict: facts.verdict };
  } finally {
    teacher?.network.free();
  }
}

function factsOf(run: RunContents, data: DataSpec | undefined, source?: DataSource): PageFacts {
  const place = data && dataText(data);
  const words = run.evaluation ? evaluateWords(run.evaluation) : [];
  return {
    verdict: verdict(run, source?.size),
    images: source?.size,
    data: place ?? "data that is not named",
    commands: [
      `node -p 'JSON.stringify(JSON.parse(fs.readFileSync(process.argv[1])).recipe)' ` +
        `${shellWord(`${run.folder}/config.json`)} > recipe.json`,
      [
        "odis pretrain --data",
        place === undefined ? "KIND:PLACE" : shellWord(place),
        ...(run.init ? ["--init", shellWord(weightsText(run.init))] : []),
        "--config recipe.json --out NEW_FOLDER",
      ].join(" "),
      ["odis evaluate NEW_FOLDER", ...words.map(shellWord)].join(" "),
    ],
  };
}

/** The words of `odis evaluate` after the run folder. */
function evaluateWords({ data, settings }: RunEvaluation): readonly string[] {
  return optionWords({
    train: dataText(data.train),
    test: data.test && dataText(data.test),
    ...optionsFor(settings),
  });
}

/** Images drawn by chance, in an order that follows from the run's seed; bad ones are passed over. */
async function* someSamples(
  source: DataSource,
  seed: number,
): AsyncGenerator<{ readonly index: number; readonly sample: Sample }> {
  for (const index of new Rng("report images", seed).permutation(source.size)) {
    const sample = await readable(source, index);
    if (sample) yield { index, sample };
  }
}

async function readable(source: DataSource, index: number): Promise<Sample | undefined> {
  if (index >= source.size) return undefined; // the data set shrank since it was evaluated
  try {
    return await source.read(index);
  } catch (error) {
    if (error instanceof BadImageError) return undefined;
    throw error;
  }
}

async function exampleViews(
  { recipe }: RunContents,
  source: DataSource,
): Promise<Html | undefined> {
  const rows: Html[] = [];
  for await (const { index, sample } of someSamples(source, recipe.seed)) {
    if (rows.length === viewRows) break;
    const row = await viewsRow(sample, recipe, index);
    if (row) rows.push(row);
  }
  return rows.length > 0 ? html`${rows}` : undefined;
}

async function attentionMaps(
  run: RunContents,
  { network }: LoadedNetwork,
  source: DataSource | undefined,
): Promise<Html | undefined> {
  if (!source) return undefined;
  const { evaluation, recipe } = run;
  const options = {
    size: evaluation?.settings.size ?? recipe.views.globals.size,
    frame: evaluation?.settings.frame ?? "whole",
    patch: recipe.model.patch,
  };
  const rows: Html[] = [];
  for await (const { sample, object } of shownObjects(run, source)) {
    if (rows.length === attentionRows) break;
    const name = source.classes[sample.objects[object]?.label ?? -1] ?? "object";
    const row = await attentionRow(network, sample, object, name, options);
    if (row) rows.push(row);
  }
  return rows.length > 0 ? html`<div class="maps">${rows}</div>` : undefined;
}

/** The objects whose neighbours are shown; where there are none, the largest ones of some images. */
async function* shownObjects(
  { evaluation, recipe }: RunContents,
  source: DataSource,
): AsyncGenerator<{ readonly sample: Sample; readonly object: number }> {
  const examples = evaluation?.examples ?? [];
  for (const { query } of examples) {
    const sample = await readable(source, query.image);
    if (sample?.key === query.key) yield { sample, object: query.object };
  }
  if (examples.length > 0) return;
  for await (const { sample } of someSamples(source, recipe.seed)) {
    const areas = sample.objects.map(({ area }) => area);
    yield { sample, object: areas.indexOf(Math.max(...areas)) };
  }
}

/** The parts of a report that need pictures; undefined where data or network were not at hand. */
export interface Pictures {
  readonly views: Html | undefined;
  readonly attention: Html | undefined;
  readonly neighbours: Html | undefined;
}

export interface PageFacts {
  /** what the page says first, sentences */
  readonly verdict: readonly string[];
  /** images of the training data */
  readonly images: number | undefined;
  /** the data set in words */
  readonly data: string;
  /** commands that make this run again */
  readonly commands: readonly string[];
}

/** The whole report as one HTML file: no script, nothing loaded from elsewhere. */
export function page(run: RunContents, facts: PageFacts, pictures: Pictures): string {
  const name = basename(resolve(run.folder)); // of ".", too
  const { rows, evaluation } = run;
  return htmlDocument(
    `${name} – odis report`,
    html`<header><h1>${name}</h1><p class="lead">Object-level self-distillation, recipe <b>${run.recipe.name}</b>, on ${facts.data}</p>
<div class="verdict">${facts.verdict.map((sentence) => html`<p>${sentence}</p>`)}</div>${summary(run, facts)}</header>
${section("How good the features are", evaluation && scores(evaluation), `Not evaluated yet: odis evaluate ${shellWord(run.folder)}`)}
${run.outlook && section("Where longer training leads", outlookSection(run, run.outlook), `${run.outlook.network} has no curve.`)}
${section("Nearest neighbours", pictures.neighbours && html`<p class="note">${neighboursNote(evaluation)} The number is the cosine similarity.</p>${pictures.neighbours}`, "No neighbours: they need an evaluation of the run by k-NN, and its data.")}
${section("Where [OBJ] looks", pictures.attention && html`<p class="note">Attention of the teacher’s [OBJ] token in its last block, the mean over heads, brightest where it looks ${fullHeat} times as much as on the average patch, or more. With the mask it can only look at the object’s patches (outlined); without it, anywhere.</p>${pictures.attention}`, "No attention maps: they need a checkpoint and the data.")}
${section("Example views", pictures.views && html`${viewsKey}${pictures.views}`, "No example views: the training data could not be read.")}
${section("Curves", rows.length > 0 ? html`<p class="note">Neighbouring steps are averaged; the tint reaches from the lowest to the highest. Point at a curve for its numbers.</p>${curves(rows, run.recipe)}` : undefined, "No metrics yet.")}
${section("Images left out", skippedList(run), "None: every image could be used.")}
<section><h2>How to make this run again</h2><pre class="wrap">${facts.commands.join("\n")}</pre>
<details><summary>Resolved configuration</summary><pre>${JSON.stringify(run.config, null, 2)}</pre></details></section>`,
  );
}

function neighboursNote(evaluation: RunEvaluation | undefined): string {
  const similar = "the bank’s most similar objects by the teacher’s features with masks";
  return evaluation?.classes.length === 0
    ? `Held-out objects drawn by chance, and ${similar}. Nothing has a class here: whether they are alike is yours to judge.`
    : `Test objects drawn by chance, one a class as far as possible, and ${similar}; ✓ marks the same class, ✗ another one.`;
}

function summary({ recipe, rows }: RunContents, { images }: PageFacts): Html {
  const last = rows.at(-1);
  return factList([
    ["images", images === undefined ? undefined : count(images)],
    ["steps", last && count(last.step + 1)],
    ["batch", count(recipe.optim.batch)],
    ["time", last && Number.isFinite(last.time) ? duration(last.time) : undefined],
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
function skippedList({ skipped, evaluation }: RunContents): Html | undefined {
  const all = [
    ...skipped,
    ...(evaluation?.train.omitted.skipped ?? []),
    ...(evaluation?.test.omitted.skipped ?? []),
  ];
  const once = [...new Map(all.map((image) => [image.key, image])).values()];
  if (once.length === 0) return undefined;
  const first = 20;
  return html`<p>${counted(once.length, "image")} could not be used:</p>
<ul class="plain">${once.slice(0, first).map(skippedLine)}</ul>
${once.length > first && html`<details><summary>${count(once.length - first)} more</summary><ul class="plain">${once.slice(first).map(skippedLine)}</ul></details>`}`;
}

function skippedLine({ key, reason }: SkippedImage): Html {
  return html`<li>${key}: ${reason}</li>`;
}
