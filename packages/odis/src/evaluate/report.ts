import { writeFileSync } from "node:fs";
import { replaceFile } from "@odis/torch";
import { type DataSource, type DataSpec, openSource, type Sample } from "../data/source.js";
import { BadImageError, OdisError } from "../errors.js";
import { Rng } from "../rng.js";
import { runLayout } from "../run/folder.js";
import { shellWord } from "../shell.js";
import { dataOf, type LoadedNetwork, loadTeacher } from "./load.js";
import { attentionRow } from "./report/attention-section.js";
import { type Html, html } from "./report/html.js";
import { neighbourStrips } from "./report/neighbours-section.js";
import { page, type PageFacts, type Pictures } from "./report/page.js";
import { readRun, type RunRecord } from "./report/record.js";
import { viewsRow } from "./report/views-section.js";
import type { RunEvaluation } from "./run.js";
import { openParts } from "./split.js";

const viewRows = 4;
const attentionRows = 4;

export interface ReportOptions {
  /** hears of parts that had to be left out, and why */
  readonly onMissing?: (part: string, reason: string) => void;
}

/**
 * Writes `report.html` into a run folder from what lies there: configuration, metrics, checkpoint,
 * evaluation, and the data that the configuration names. A part whose source is missing is left
 * out and the page says so.
 *
 * @returns the file's path
 * @throws RunError when the folder is no run
 */
export async function writeReport(folder: string, options: ReportOptions = {}): Promise<string> {
  const run = readRun(folder);
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
  const parts = evaluation && (await attempt("evaluation data", () => openParts(evaluation.data)));
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
    const { report } = runLayout(folder);
    const text = page(run, factsOf(run, data, source), pictures);
    replaceFile(report, (descriptor) => writeFileSync(descriptor, text));
    return report;
  } finally {
    teacher?.network.free();
  }
}

function factsOf(run: RunRecord, data: DataSpec | undefined, source?: DataSource): PageFacts {
  const place = data && specText(data);
  return {
    images: source?.size,
    data: place ?? "data that is not named",
    commands: [
      `node -p 'JSON.stringify(JSON.parse(fs.readFileSync(process.argv[1])).recipe)' ` +
        `${shellWord(`${run.folder}/config.json`)} > recipe.json`,
      `odis pretrain --data ${place === undefined ? "KIND:PLACE" : shellWord(place)} --config recipe.json --out NEW_FOLDER`,
      `odis evaluate NEW_FOLDER${run.evaluation ? dataOptions(run.evaluation) : ""}`,
    ],
  };
}

function dataOptions({ data, settings }: RunEvaluation): string {
  const { suites, modes, masks, feature } = settings;
  const options = {
    train: shellWord(specText(data.train)),
    test: data.test && shellWord(specText(data.test)),
    suite: suites.join(),
    mode: modes.join(),
    feature,
    k: settings.k[0],
    epochs: settings.probe.epochs,
    size: settings.size,
    frame: settings.frame,
    "min-area": settings.minArea > 0 ? settings.minArea : undefined,
    masks: masks.kind === "truth" ? undefined : masks.kind,
    "mask-iou": masks.iou < 1 ? masks.iou : undefined,
    "mask-missing": masks.missing > 0 ? masks.missing : undefined,
    seed: settings.seed,
  };
  return Object.entries(options)
    .map(([name, value]) => (value === undefined ? "" : ` --${name} ${value}`))
    .join("");
}

/** A data set as the command line names it. */
function specText(spec: DataSpec): string {
  if (spec.kind === "coco") return `coco:${spec.images},${spec.annotations}`;
  return spec.kind === "module" ? `module:${spec.path}` : spec.kind;
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

async function exampleViews({ recipe }: RunRecord, source: DataSource): Promise<Html | undefined> {
  const rows: Html[] = [];
  for await (const { index, sample } of someSamples(source, recipe.seed)) {
    if (rows.length === viewRows) break;
    const row = await viewsRow(sample, recipe, index);
    if (row) rows.push(row);
  }
  return rows.length > 0 ? html`${rows}` : undefined;
}

async function attentionMaps(
  run: RunRecord,
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
  { evaluation, recipe }: RunRecord,
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
