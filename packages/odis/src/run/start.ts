import { existsSync, writeFileSync } from "node:fs";
import { replaceFile } from "@odis/torch";
import type { Network } from "../model/network.js";
import { copyWeights, type TrainState } from "../train/state.js";
import { collect, type Collected } from "../weights/collect.js";
import type { WeightFile } from "../weights/file.js";
import { describeOutcome, importWeights } from "../weights/import.js";
import type { Side } from "../weights/names.js";
import { openWeights } from "../weights/open.js";
import { type ImportPlan, type Outcome, planImport } from "../weights/plan.js";
import { parseWeights } from "../weights/spec.js";
import { sha256 } from "./checkpoint.js";
import { checkpointOf } from "./find-checkpoint.js";
import { type RunLayout, runLayout } from "./folder.js";

/** What a run's configuration keeps of the weights that it started from. */
export interface StartRecord {
  /** as it was given */
  readonly file: string;
  readonly side?: Side | undefined;
  readonly parts: "all" | "backbone";
  /** of the file: a changed one would be another run */
  readonly sha256: string;
}

/** Opens weights; a run folder means its newest whole checkpoint. */
export function openNamedWeights(path: string): Promise<WeightFile> {
  return openWeights(
    existsSync(runLayout(path).config) && existsSync(runLayout(path).checkpoints)
      ? checkpointOf(path)
      : path,
  );
}

export function recordOf(
  path: string,
  file: WeightFile,
  { side }: Collected,
  parts: "all" | "backbone",
): StartRecord {
  return { file: path, side, parts, sha256: sha256(file.path) };
}

/**
 * Weights that fit a run's network; nothing is copied before `begin`.
 *
 * @param text `FILE[#teacher|#student][.backbone]`
 * @throws ConfigError, WeightsError, SafetensorsError saying what is wrong, before anything begins
 */
export async function openStart(text: string, student: Network): Promise<Start> {
  const { path, side, parts } = parseWeights(text);
  const file = await openNamedWeights(path);
  try {
    const collected = collect(file, side);
    const plan = planImport(collected, file.plain, student, parts);
    return new Start(file, plan, recordOf(path, file, collected, parts));
  } catch (error) {
    file[Symbol.dispose]();
    throw error;
  }
}

export class Start implements Disposable {
  constructor(
    private readonly file: WeightFile,
    private readonly plan: ImportPlan,
    readonly record: StartRecord,
  ) {}

  /**
   * Gives student and teacher the weights and notes in the run folder what became of each.
   *
   * @returns the same in a few lines
   */
  begin({ student, teacher }: TrainState, { init }: RunLayout): readonly string[] {
    importWeights(this.file, this.plan, student);
    copyWeights(student, teacher);
    writeOutcome(init, this.plan, this.record);
    const [first, ...more] = describeOutcome(this.plan);
    return [`starts from ${this.record.file}: ${first}`, ...more];
  }

  [Symbol.dispose](): void {
    this.file[Symbol.dispose]();
  }
}

/** Every weight and every tensor of the file by name, with what was done or why not. */
export function writeOutcome(path: string, outcome: Outcome, record: StartRecord): void {
  const { taken, fresh, unused, notes } = outcome;
  const said = {
    ...record,
    notes,
    taken: taken.map(({ to, from, how }) => ({ to, from, how })),
    fresh,
    unused,
  };
  replaceFile(path, (descriptor) =>
    writeFileSync(descriptor, `${JSON.stringify(said, null, 1)}\n`),
  );
}
