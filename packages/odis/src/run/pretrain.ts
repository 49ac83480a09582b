import { setThreads } from "@odis/torch";
import { checkBatch, type LoadingOptions, openBatches } from "../batches/index.js";
import { type DataSpec, openSource } from "../data/index.js";
import { CollapseWatch, createState, type MetricsRow, trainSteps } from "../train/index.js";
import { type Recipe, runLength, summaryPrototypes } from "../recipe/index.js";
import { openRunFolder, type RunFolder } from "./folder.js";
import { JsonLines } from "../core/index.js";
import { Progress, type ProgressStream } from "./progress.js";
import { type Position, resumePosition, savePosition } from "./session.js";
import { openStart } from "./start.js";
import { EventWriter } from "./tensorboard.js";

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
  /** asked between two steps; a signal ends the run after a checkpoint */
  readonly stop?: { requested(): Promise<boolean> };
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
 * @throws ConfigError, DataError, RunError: all that can be known is checked before training starts
 */
export async function pretrain(options: PretrainOptions): Promise<PretrainResult> {
  const { recipe, data, out, keep = 2 } = options;
  const source = await openSource(data);
  checkBatch(recipe.optim.batch, source.size);
  const length = runLength(recipe, source.size);
  if (options.threads !== undefined) setThreads(options.threads);
  using state = createState(recipe, options.device);
  using start =
    options.init === undefined ? undefined : await openStart(options.init, state.student);
  // Last of the checks: a folder that was claimed by mistake would refuse the corrected settings.
  const config = { recipe, data, ...(start && { init: start.record }) };
  using folder = openRunFolder(out, config);

  const progress = new Progress(options.progress ?? silent, { totalSteps: length.totalSteps });
  const note = (message: string): void => {
    folder.log(message);
    progress.note(message);
  };
  const { checkpoints } = folder.layout;
  const from = resumePosition(checkpoints, config, state, note);
  if (from.step > 0) note(`resumes after step ${from.step} of ${length.totalSteps}`);
  else for (const line of start?.begin(state, folder.layout) ?? []) note(line);
  using files = new RunFiles(folder, from);
  const save = (position: Position): string => {
    files.flush();
    return savePosition(checkpoints, config, state, position, keep);
  };

  const watch = new CollapseWatch(summaryPrototypes(recipe), length.totalSteps);
  const loader = await openBatches(source, recipe, from.step, options);
  let at = from;
  let savedAt = from.seconds;
  const due = ({ step, seconds }: Position): boolean =>
    (options.checkpointSteps !== undefined && step % options.checkpointSteps === 0) ||
    seconds - savedAt >= (options.checkpointSeconds ?? 300);
  try {
    for await (const { row, skipped } of trainSteps(
      state,
      loader,
      length,
      from.step,
      from.seconds,
    )) {
      at = { step: row.step + 1, seconds: row.time };
      files.write(row, skipped);
      progress.step(row);
      const warning = watch.observe(row);
      if (warning !== undefined) note(warning);
      if (due(at)) {
        save(at);
        savedAt = at.seconds;
      }
      if (await options.stop?.requested()) break;
    }
  } finally {
    progress.end();
    await loader.close();
  }
  const checkpoint = save(at);
  const finished = at.step >= length.totalSteps;
  folder.log(finished ? `finished after ${at.step} steps` : `stopped after step ${at.step}`);
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

/** Metrics, events and the list of unusable images of a run. */
class RunFiles implements Disposable {
  private readonly metrics: JsonLines<MetricsRow>;
  private readonly skipped: JsonLines<{ step: number; key: string; reason: string }>;
  private readonly events: EventWriter;

  constructor({ layout }: RunFolder, { step }: Position) {
    this.metrics = new JsonLines(layout.metrics, step);
    this.skipped = new JsonLines(layout.skipped, step);
    this.events = new EventWriter(layout.events, step > 0 ? step : undefined);
  }

  write(row: MetricsRow, skipped: readonly { key: string; reason: string }[]): void {
    this.metrics.append(row);
    for (const image of skipped) this.skipped.append({ step: row.step, ...image });
    const { step, epoch: _epoch, time: _time, tries, ...scalars } = row;
    const named = Object.entries(scalars).flatMap(([name, value]) =>
      value === undefined ? [] : [[tags[name as keyof typeof tags], value] as const],
    );
    const perView = tries.map((value, view) => [`views/tries ${view}`, value] as const);
    this.events.scalars(step, Object.fromEntries([...named, ...perView]));
  }

  /** Everything written so far is on the disk: a checkpoint counts on the rows before it. */
  flush(): void {
    this.metrics.flush();
    this.skipped.flush();
    this.events.flush();
  }

  [Symbol.dispose](): void {
    this.metrics.close();
    this.skipped.close();
    this.events.close();
  }
}

/** Where TensorBoard shows each figure. */
const tags = {
  loss: "loss/total",
  cls: "loss/cls",
  object: "loss/object",
  patch: "loss/patch",
  koleo: "loss/koleo",
  kl: "loss/kl",
  teacherEntropy: "teacher/entropy",
  marginalEntropy: "teacher/marginal entropy",
  similarityImages: "teacher/similarity of images",
  similarityViews: "teacher/similarity of views",
  similarityObjects: "teacher/similarity of objects",
  teacherMomentum: "teacher/momentum",
  teacherTemperature: "teacher/temperature",
  patchTemperature: "teacher/patch temperature",
  gradNorm: "optimiser/gradient norm",
  lr: "optimiser/learning rate",
  weightDecay: "optimiser/weight decay",
  absent: "views/absent",
  imagesPerSecond: "speed/images per second",
  dataWait: "speed/data wait",
} as const satisfies Record<Exclude<keyof MetricsRow, "step" | "epoch" | "time" | "tries">, string>;

const silent: ProgressStream = { write: () => true };
