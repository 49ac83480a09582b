import { CoreWatch } from "@odis/torch";
import {
  badLimit,
  checkBad,
  checkBatch,
  type LoadingOptions,
  openBatches,
} from "../batches/index.js";
import { checkObjects, type DataSpec, openSource, withWholes } from "../data/index.js";
import {
  checkMemory,
  checkSharing,
  createState,
  spreadState,
  type TrainState,
  trainSteps,
  type World,
} from "../train/index.js";
import { needsObjects, type Recipe, runLength } from "../recipe/index.js";
import { runStands } from "./among.js";
import { checkpointPath } from "./checkpoint.js";
import { whatStands } from "./save.js";
import { checkEquals } from "./fingerprint.js";
import { forecast } from "./forecast.js";
import { checkRunFolder, runLayout } from "./folder.js";
import { closeInTime, Interruptible, isInterruption } from "./interruptible.js";
import { RunError, systemReason } from "../core/index.js";
import { type Membership, ownCores } from "./place.js";
import { Progress, type ProgressStream } from "./progress.js";
import { RunRecord, saveRun } from "./record.js";
import type { Position } from "./session.js";
import { shareWork } from "./share.js";
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
  /** LibTorch's threads; default: all cores, or this process's share of its machine's. Other numbers of threads give other rounding */
  readonly threads?: number;
  /** checkpoints after so many steps, besides those by time; default: by time only */
  readonly checkpointSteps?: number;
  /** checkpoints after so many seconds, default 300 */
  readonly checkpointSeconds?: number;
  /** newest checkpoints that stay, default 2 */
  readonly keep?: number;
  /** go on with a run although its data has changed; default: refused */
  readonly acceptData?: boolean;
  /** which of several processes that train together this one is: `membershipOf()`; default: alone */
  readonly place?: Membership | undefined;
  /** seconds after which another process that does not answer is taken for gone, default 20 */
  readonly patience?: number;
  /** seconds in which all processes have to come, default 600 */
  readonly rendezvous?: number;
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
  /** images that could not be used in this session, of all processes: name -> reason */
  readonly skipped: ReadonlyMap<string, string>;
}

/**
 * Pretrains a network, or goes on with a run that was interrupted.
 *
 * The run folder decides: a new one begins at step 0; one with this very config goes on from its
 * newest whole checkpoint; one with another config is refused. Whatever happened in between, the
 * run ends in the same bits (same seed, same number of threads and processes).
 *
 * Of several processes (`place`) all call this with the same options. The batch is that of all
 * together; the first reads checkpoints, writes files and shows progress.
 *
 * @throws EngineError, ConfigError, DataError, RunError: all that can be known is checked before training starts;
 *   ToldElsewhere in a process that another one speaks for
 */
export async function pretrain(options: PretrainOptions): Promise<PretrainResult> {
  const { place, device = "cpu", threads, out, patience, rendezvous, progress } = options;
  return await shareWork(
    { place, device, threads, stands: () => runStands(out), patience, rendezvous, progress },
    (world, own) => trainWith(world, { ...options, device: own }),
  );
}

async function trainWith(world: World, options: PretrainOptions): Promise<PretrainResult> {
  const { recipe, out, device, place } = options;
  const run = await world.together(check(world, options));
  const { source, length, limit } = run;
  using state = createState(recipe, device, { world });
  checkEquals(world, recipe, source);
  using record = await world.together(openRecord(state, run, options));
  const { step = 0, seconds = 0, others } = record?.from ?? {};
  const from: Position = world.fromFirst({ step, seconds });
  spreadState(state, others);
  const workers = options.workers ?? ownCores(place);
  const loading = { ...options, ...(workers === undefined ? {} : { workers }) };
  const loader = await world.together(openBatches(source, recipe, from.step, loading, world));
  using _held = options.stop?.hold?.();
  const batches = options.stop?.asked ? new Interruptible(loader, options.stop.asked) : loader;
  const saving = new Saving(options, from);
  let at = from;
  const skipped = new Map<string, string>();
  try {
    const steps = trainSteps(state, batches, length, {
      from: from.step,
      secondsBefore: from.seconds,
      ask: async () => [Number(await wantsStop(options)), Number(saving.isTime(at))],
    });
    for await (const result of steps) {
      const { row, asked } = result;
      at = { step: row.step + 1, seconds: row.time };
      record?.step(result);
      for (const { key, reason } of result.skipped) skipped.set(key, reason);
      checkAll(world, skipped, limit);
      if (saving.isDue(at, asked[1]! > 0)) saveRun(record, state, at);
      // Alone nobody has to be told first.
      if (world.size > 1 ? asked[0]! > 0 : await wantsStop(options)) break;
    }
  } catch (error) {
    if (!isInterruption(error)) throw interrupted(error, at, out);
  } finally {
    run.progress.end();
    await closeInTime(loader, options.stop);
  }
  saveRun(record, state, at);
  const finished = at.step >= length.totalSteps;
  record?.end(at, finished ? undefined : options.stop?.signal);
  return {
    out,
    steps: at.step,
    totalSteps: length.totalSteps,
    finished,
    checkpoint: checkpointPath(runLayout(out).checkpoints, at.step),
    seconds: at.seconds,
    skipped,
  };
}

const wantsStop = async ({ stop }: PretrainOptions): Promise<boolean> =>
  (await stop?.requested()) ?? false;

/** When checkpoints are due. By time the first process decides, for all. */
class Saving {
  private savedAt: number;

  constructor(
    private readonly options: Pick<PretrainOptions, "checkpointSteps" | "checkpointSeconds">,
    { seconds }: Position,
  ) {
    this.savedAt = seconds;
  }

  isTime({ seconds }: Position): boolean {
    return seconds - this.savedAt >= (this.options.checkpointSeconds ?? 300);
  }

  /** @param isTime whether it is, in one of the processes */
  isDue({ step, seconds }: Position, isTime: boolean): boolean {
    const { checkpointSteps } = this.options;
    const due = isTime || (checkpointSteps !== undefined && step % checkpointSteps === 0);
    if (due) this.savedAt = seconds;
    return due;
  }
}

/** Of several processes each counts its own images' while it loads them. */
function checkAll(world: World, skipped: ReadonlyMap<string, string>, limit: number): void {
  world.agree(() => checkBad(skipped, limit));
}

type Checked = Awaited<ReturnType<typeof check>>;

/** Everything that can be known before the networks are made. */
async function check(world: World, options: PretrainOptions) {
  const { recipe, out, maxBad } = options;
  if (world.rank === 0) checkRunFolder(out);
  checkSharing(recipe, world.size);
  const { data, source, length, remarks } = await openData(options.data, recipe);
  const sharing = { ...options, processes: world.size };
  checkMemory(recipe, sharing);
  const shown = world.rank === 0 ? options.progress : undefined;
  const cores = new CoreWatch();
  const progress = new Progress(shown ?? silent, {
    totalSteps: length.totalSteps,
    coreWait: () => cores.share(),
  });
  const expected = world.rank === 0 ? forecast(recipe, length.totalSteps, sharing) : undefined;
  if (expected !== undefined) progress.note(expected); // now: the next line may take a minute
  return {
    data,
    source,
    length,
    remarks,
    progress,
    expected,
    limit: badLimit(source.size, maxBad),
  };
}

/** Opens the run folder, in the first process; puts its state where the run stands. */
async function openRecord(
  state: TrainState,
  { data, source, length, remarks, progress, expected }: Checked,
  { recipe, out, init, keep = 2, acceptData = false }: PretrainOptions,
): Promise<RunRecord | undefined> {
  if (state.world.rank > 0) return undefined;
  const start = init === undefined ? undefined : await openStart(init, state.student);
  // Last of the checks: a folder that was claimed by mistake would refuse the corrected settings.
  const config = { recipe, data, ...(start && { init: start.record }) };
  const { totalSteps } = length;
  return RunRecord.open(
    { out, config, source, start, progress, totalSteps, acceptData, keep, remarks, expected },
    state,
  );
}

/** Opens a recipe's data, and checks that the recipe can be trained on it. */
async function openData(given: DataSpec, recipe: Recipe) {
  const wantsObjects = needsObjects(recipe);
  const data = wantsObjects ? withWholes(given) : given;
  const source = await openSource(data);
  checkBatch(recipe.optim.batch, source.size);
  const warnings = wantsObjects ? checkObjects(source, recipe.views.object.minArea) : [];
  const remarks = [source.summary, ...source.notes, ...warnings];
  return { data, source, length: runLength(recipe, source.size), remarks };
}

/** What a refusal of the file system in the middle of a run means for it. */
function interrupted(error: unknown, { step }: Position, out: string): unknown {
  const reason = systemReason(error);
  if (reason === undefined) return error;
  return new RunError(
    `run folder ${out}: cannot be written after step ${step}: ${reason}; ` +
      `${whatStands(runLayout(out).checkpoints)}. Mend that, then run the same line again.`,
    { cause: error },
  );
}

const silent: ProgressStream = { write: () => true };
