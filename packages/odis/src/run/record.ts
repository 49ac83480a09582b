import type { OpenSource } from "../data/index.js";
import type { Recipe } from "../recipe/index.js";
import {
  AbsenceWatch,
  CollapseWatch,
  savedState,
  type SavedState,
  type StepResult,
  type TrainState,
} from "../train/index.js";
import { needsObjects, summaryPrototypes } from "../recipe/index.js";
import { checkData } from "./fingerprint.js";
import { Pace } from "./forecast.js";
import { openRunFolder, type RunFolder, type RunLayout } from "./folder.js";
import { Journal } from "./journal.js";
import type { Progress } from "./progress.js";
import { type Position, type Resumed, resumePosition, savePosition } from "./session.js";
import type { Start } from "./start.js";
import type { StopSignal } from "./stop.js";

export interface RecordOptions {
  readonly out: string;
  /** everything that decides the run's numbers */
  readonly config: { readonly recipe: Recipe };
  readonly source: OpenSource;
  readonly start: Start | undefined;
  readonly progress: Progress;
  readonly totalSteps: number;
  readonly acceptData: boolean;
  readonly keep: number;
  /** said in the log and to the user, before anything else */
  readonly remarks: readonly string[];
  /** what the run will take; the user knows it already */
  readonly expected: string | undefined;
}

/** What becomes of a run: its folder, and what a person sees of it. Of several processes the first has it. */
export class RunRecord implements Disposable {
  private readonly watches: readonly [CollapseWatch, AbsenceWatch, Pace];

  private constructor(
    private readonly folder: RunFolder,
    private readonly journal: Journal,
    private readonly options: RecordOptions,
    /** where the run goes on */
    readonly from: Resumed,
  ) {
    const { config, totalSteps } = options;
    this.watches = [
      new CollapseWatch(summaryPrototypes(config.recipe), totalSteps),
      new AbsenceWatch(needsObjects(config.recipe), totalSteps),
      new Pace(totalSteps),
    ];
  }

  /**
   * Opens the run folder and puts the state where the run stands.
   *
   * @throws RunError when the folder, its checkpoints or the data are not this run's
   */
  static open(options: RecordOptions, state: TrainState): RunRecord {
    const { out, config, source, start, progress, totalSteps } = options;
    const folder = openRunFolder(out, config);
    try {
      if (options.expected !== undefined) folder.log(options.expected);
      const note = noteTo(folder, progress);
      const { data, checkpoints } = folder.layout;
      const changes = checkData(data, source, options.acceptData);
      for (const line of [...options.remarks, ...changes]) note(line);
      const from = resumePosition(checkpoints, config, state, note);
      if (from.step > 0) note(`resumes after step ${from.step} of ${totalSteps}`);
      else for (const line of start?.begin(state, folder.layout) ?? []) note(line);
      return new RunRecord(folder, new Journal(folder, from.step), options, from);
    } catch (error) {
      folder[Symbol.dispose]();
      throw error;
    }
  }

  get layout(): RunLayout {
    return this.folder.layout;
  }

  step({ row, skipped }: StepResult): void {
    const { progress } = this.options;
    this.journal.write(row, skipped);
    progress.step(row);
    const note = noteTo(this.folder, progress);
    for (const watch of this.watches) {
      const sentence = watch.observe(row);
      if (sentence !== undefined) note(sentence);
    }
  }

  /** @param alive called now and then */
  save({ tensors, numbers }: SavedState, position: Position, alive: () => void): void {
    const { config, keep } = this.options;
    this.folder.checkPresence(position.step);
    this.journal.flush();
    const heard = tensors.map((entry) => ({
      ...entry,
      data: () => {
        alive();
        return entry.data();
      },
    }));
    savePosition(this.layout.checkpoints, config, { tensors: heard, numbers }, position, keep);
  }

  /** Says how it ended. */
  end({ step }: Position, signal: StopSignal | undefined): void {
    this.folder.log(
      step >= this.options.totalSteps
        ? `finished after ${step} steps`
        : `stopped after step ${step}${signal ? ` (${signal})` : ""}`,
    );
  }

  [Symbol.dispose](): void {
    this.journal[Symbol.dispose]();
    this.folder[Symbol.dispose]();
  }
}

const noteTo =
  (folder: RunFolder, progress: Progress) =>
  (message: string): void => {
    folder.log(message);
    progress.note(message);
  };

/** Saves the run's state; all processes have to call it at once. */
export function saveRun(
  record: RunRecord | undefined,
  state: TrainState,
  position: Position,
): void {
  const saved = savedState(state);
  state.world.first((alive) => record?.save(saved, position, alive));
}
