import { CoreWatch, checkDevice, setThreads } from "@odis/torch";
import { checkBatch, type LoadingOptions, openBatches } from "../batches/index.js";
import { checkObjects, type DataSpec, openSource } from "../data/index.js";
import { checkMemory, CollapseWatch, createState, trainSteps } from "../train/index.js";
import { type Recipe, runLength, summaryPrototypes } from "../recipe/index.js";
import { whatStands } from "./save.js";
import { checkData } from "./fingerprint.js";
import { forecast, Pace } from "./forecast.js";
import { checkRunFolder, openRunFolder, type RunLayout } from "./folder.js";
import { closeInTime, Interruptible, Interruption } from "./interruptible.js";
import { Journal } from "./journal.js";
import { RunError, systemReason } from "../core/index.js";
import { Progress, type ProgressStream } from "./progress.js";
import { type Position, resumePosition, savePosition } from "./session.js";
import { openStart } from "./start.js";
import type { StopWish } from "./stop.js";

export interface PretrainOptions extends LoadingOptions {
  /** everything that decides the numbers; see `resolveRecipe` */
  readonly recipe: Recipe;
  readonly data: DataSpec;
  /**
   * weights that a new run starts from, `FILE[#teacher|#student][.backbone]`: other people's, or
   * those of another run. What the file lacks is randomly initialised
   */
  readonly init?: string;
  /** run folder; one that holds this very run is continued */
  readonly out: string;
  /** `cpu`, `cuda`, `cuda:1`; default cpu */
  readonly device?: string;
  /** LibTorch's threads; default: all cores. Other numbers of threads give other rounding */
  readonly threads?: number;
  /** checkpoints after so many steps, besides those by time; default: by time only */
  readonly checkpointSteps?: number;
  /** checkpoints after so many seconds, default 300 */
  readonly checkpointSeconds?: number;
  /** newest checkpoints that stay, default 2 */
  readonly keep?: number;
  /** go on with a run although its data has changed; default: refused */
  readonly acceptData?: boolean;
  /** asked between two steps; a signal ends the run after a checkpoint */
  readonly stop?: StopWish;
  /** where progress is shown; default nowhere */
  readonly progress?: ProgressStream;
}

export interface PretrainResult {
  /** the run folder */
  readonly out: string;
  /** steps done, of how many */
  readonly steps: number;
  readonly totalSteps: number;
  /** false when it was asked to stop before the end */
  readonly finished: boolean;
  /** newest checkpoint */
  readonly checkpoint: string;
  /** seconds of training, earlier sessions included */
  readonly seconds: number;
  /** images that could not be used in this session: name -> reason */
  readonly skipped: ReadonlyMap<string, string>;
}

/**
 * Pretrains a network, or goes on with a run that was interrupted.
 *
 * The run folder decides: a new one begins at step 0; one with this very config goes on from its
 * newest whole checkpoint; one with another config is refused. Whatever happened in between, the
 * run ends in the same bits (same seed, same number of threads).
 *
 * @throws EngineError, ConfigError, DataError, RunError: all that can be known is checked before training starts
 */
export async function pretrain(options: PretrainOptions): Promise<PretrainResult> {
  const { recipe, data, out, keep = 2 } = options;
  checkDevice(options.device ?? "cpu");
  checkRunFolder(out);
  const { source, length, remarks } = await openData(data, recipe);
  if (options.threads !== undefined) setThreads(options.threads);
  checkMemory(recipe, options);
  const cores = new CoreWatch();
  const progress = new Progress(options.progress ?? silent, {
    totalSteps: length.totalSteps,
    coreWait: () => cores.share(),
  });
  const expected = forecast(recipe, length.totalSteps, options);
  if (expected !== undefined) progress.note(expected); // now: the next line may take a minute
  using state = createState(recipe, options.device);
  const start =
    options.init === undefined ? undefined : await openStart(options.init, state.student);
  // Last of the checks: a folder that was claimed by mistake would refuse the corrected settings.
  const config = { recipe, data, ...(start && { init: start.record }) };
  using folder = openRunFolder(out, config);
  if (expected !== undefined) folder.log(expected);
  const note = (message: string): void => {
    folder.log(message);
    progress.note(message);
  };
  const changes = checkData(folder.layout.data, source, options.acceptData ?? false);
  for (const line of [...remarks, ...changes]) note(line);
  const { checkpoints } = folder.layout;
  const from = resumePosition(checkpoints, config, state, note);
  if (from.step > 0) note(`resumes after step ${from.step} of ${length.totalSteps}`);
  else for (const line of start?.begin(state, folder.layout) ?? []) note(line);
  using journal = new Journal(folder, from.step);
  const save = (position: Position): string => {
    folder.checkPresence(position.step);
    journal.flush();
    return savePosition(checkpoints, config, state, position, keep);
  };

  const watch = new CollapseWatch(summaryPrototypes(recipe), length.totalSteps);
  const pace = new Pace(length.totalSteps);
  const loader = await openBatches(source, recipe, from.step, options);
  using _held = options.stop?.hold?.();
  const batches = options.stop?.asked ? new Interruptible(loader, options.stop.asked) : loader;
  let at = from;
  let savedAt = from.seconds;
  const due = ({ step, seconds }: Position): boolean =>
    (options.checkpointSteps !== undefined && step % options.checkpointSteps === 0) ||
    seconds - savedAt >= (options.checkpointSeconds ?? 300);
  try {
    const steps = trainSteps(state, batches, length, {
      from: from.step,
      secondsBefore: from.seconds,
    });
    for await (const { row, skipped } of steps) {
      at = { step: row.step + 1, seconds: row.time };
      journal.write(row, skipped);
      progress.step(row);
      for (const sentence of [watch.observe(row), pace.observe(row)])
        if (sentence !== undefined) note(sentence);
      if (due(at)) {
        save(at);
        savedAt = at.seconds;
      }
      if (await options.stop?.requested()) break;
    }
  } catch (error) {
    if (!(error instanceof Interruption)) throw interrupted(error, at, folder.layout);
  } finally {
    progress.end();
    await closeInTime(loader, options.stop);
  }
  const checkpoint = save(at);
  const finished = at.step >= length.totalSteps;
  const signal = finished ? undefined : options.stop?.signal;
  folder.log(
    finished
      ? `finished after ${at.step} steps`
      : `stopped after step ${at.step}${signal ? ` (${signal})` : ""}`,
  );
  return {
    out,
    steps: at.step,
    totalSteps: length.totalSteps,
    finished,
    checkpoint,
    seconds: at.seconds,
    skipped: loader.stats.bad,
  };
}

/** Opens a recipe's data, and checks that the recipe can be trained on it. */
async function openData(data: DataSpec, recipe: Recipe) {
  const source = await openSource(data);
  checkBatch(recipe.optim.batch, source.size);
  const { masks, object } = recipe.views;
  const wantsObjects = recipe.loss.objectWeight > 0 && masks.kind !== "none" && masks.false === 0;
  const warnings = wantsObjects ? checkObjects(source, object.minArea) : [];
  const remarks = [source.summary, ...source.notes, ...warnings];
  return { source, length: runLength(recipe, source.size), remarks };
}

/** What a refusal of the file system in the middle of a run means for it. */
function interrupted(error: unknown, { step }: Position, layout: RunLayout): unknown {
  const reason = systemReason(error);
  if (reason === undefined) return error;
  return new RunError(
    `run folder ${layout.path}: cannot be written after step ${step}: ${reason}; ` +
      `${whatStands(layout.checkpoints)}. Mend that, then run the same line again.`,
    { cause: error },
  );
}

const silent: ProgressStream = { write: () => true };
