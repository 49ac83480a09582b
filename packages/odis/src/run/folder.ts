import { readdirSync } from "node:fs";
import { join } from "node:path";
import {
  appendText,
  causeOf,
  checkWritable,
  FileProblem,
  type Lock,
  lock,
  makeFolder,
  printable,
  readOwnText,
  replaceText,
  RunError,
  shellWord,
  statOf,
} from "../core/index.js";
import { z } from "zod";
import { recipeSchema } from "../recipe/index.js";

/** What a checkpoint's folder holds beside its tensors. */
export const stateName = "state.json";

/** Where everything of a run lies. */
export interface RunLayout {
  readonly path: string;
  /** the resolved configuration */
  readonly config: string;
  /** a folder with one folder for each checkpoint */
  readonly checkpoints: string;
  readonly metrics: string;
  /** images that could not be used, one JSON object a line */
  readonly skipped: string;
  readonly log: string;
  /** TensorBoard's folder */
  readonly events: string;
  readonly report: string;
  /** what became of the weights that it started from, by name */
  readonly init: string;
  /** what the data was that it began with: see `checkData` */
  readonly data: string;
}

export function runLayout(path: string): RunLayout {
  return {
    path,
    config: join(path, "config.json"),
    checkpoints: join(path, "checkpoints"),
    metrics: join(path, "metrics.jsonl"),
    skipped: join(path, "skipped.jsonl"),
    log: join(path, "log.txt"),
    events: join(path, "events"),
    report: join(path, "report.html"),
    init: join(path, "init.json"),
    data: join(path, "data.json"),
  };
}

/** A run folder that this process writes into, and no other. */
export class RunFolder implements Disposable {
  constructor(
    readonly layout: RunLayout,
    /** whether the folder held this run already */
    readonly existed: boolean,
    private readonly held: Lock,
  ) {}

  /** Adds a line to log.txt. */
  log(message: string): void {
    const { log } = this.layout;
    try {
      appendText(log, `${new Date().toISOString()} ${printable(message)}\n`);
    } catch (error) {
      if (!(error instanceof FileProblem)) throw error;
      throw new RunError(`${log} ${error.message}. Move it away, then resume.`, { cause: error });
    }
  }

  /**
   * Makes sure that the folder is still this run's.
   *
   * @param step after which it is asked, for the message
   * @throws RunError when it was deleted, moved, or replaced by another
   */
  checkPresence(step: number): void {
    const { path, config } = this.layout;
    if (this.held.stands() && statOf(config)) return;
    throw new RunError(
      `run folder ${path}: is gone (deleted, moved or replaced) since the run began; step ${step} ` +
        `cannot be saved there. Put it back and run the same line again to go on from its newest ` +
        `checkpoint, or start a new run.`,
    );
  }

  [Symbol.dispose](): void {
    this.held[Symbol.dispose]();
  }
}

/**
 * Finds out before anything is computed whether a run can be written.
 *
 * @throws RunError
 */
export function checkRunFolder(path: string): void {
  checkWritable(path, "run folder", otherOut);
}

const otherOut = "Choose another --out.";

/**
 * Makes a run folder, or opens the one that this very run began in.
 *
 * @param config resolved configuration: everything that decides the run's numbers; plain JSON
 * @throws RunError when the folder is a file, holds something else, belongs to a run with another
 *   configuration, or is in use by another process
 */
export function openRunFolder(path: string, config: unknown): RunFolder {
  const layout = runLayout(path);
  makeRunFolder(path);
  const held = lock(join(path, "lock"), `run folder ${path}`);
  try {
    const existed = statOf(layout.config) !== undefined;
    if (existed) checkSame(path, readRunConfig(path), config);
    else claim(layout, config);
    return new RunFolder(layout, existed, held);
  } catch (error) {
    held[Symbol.dispose]();
    throw error;
  }
}

/**
 * The configuration of a run, for those who only read the folder.
 *
 * @throws RunError when the folder is missing or no run
 */
export function readRunConfig(path: string): unknown {
  const { config } = runLayout(path);
  const text = readOwnText(config);
  if (text === undefined) {
    if (statOf(join(path, stateName)))
      throw new RunError(
        `${path}: is a checkpoint, not a run folder. Give the run's folder, which means its newest checkpoint, ` +
          `or make this one a run of its own: odis import ${shellWord(path)} NEW_FOLDER`,
      );
    const problem = statOf(path) ? "is not a run folder (it has no config.json)" : "does not exist";
    throw new RunError(`${path}: ${problem}. Give the folder that odis pretrain --out made.`);
  }
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch (error) {
    throw new RunError(
      `${config}: not JSON; the file was changed or damaged. Restore it from a copy.`,
      {
        cause: error,
      },
    );
  }
}

function makeRunFolder(path: string): void {
  try {
    makeFolder(path);
  } catch (error) {
    throw new RunError(`run folder ${path}: cannot be made: ${causeOf(error)}. ${otherOut}`, {
      cause: error,
    });
  }
}

function claim(layout: RunLayout, config: unknown): void {
  const others = readdirSync(layout.path).filter(
    (name) => name !== "lock" && !name.startsWith("."),
  );
  if (others.length > 0)
    throw new RunError(
      `run folder ${layout.path}: holds other files (${others.slice(0, 3).join(", ")}` +
        `${others.length > 3 ? ", …" : ""}) and no config.json. Choose a new or an empty folder.`,
    );
  makeFolder(layout.checkpoints);
  // Last: a folder with a config.json is a run folder, complete.
  replaceText(layout.config, `${JSON.stringify(config, null, 2)}\n`);
}

function checkSame(path: string, there: unknown, config: unknown): void {
  const found = configDifferences(there, config);
  if (found.length > 0)
    throw new RunError(
      `run folder ${path}: already used by a run with another config: ${describeDifferences(found)}. ` +
        `Choose another --out, or give the same settings to go on with that run.`,
    );
}

/** A leaf that differs between two trees of JSON; undefined where one side lacks it. */
export interface Difference {
  /** dotted; empty when the trees themselves are leaves */
  readonly path: string;
  readonly left: unknown;
  readonly right: unknown;
}

/** Leaves in which two JSON values differ, in the order of their keys. Lists are leaves. */
export function differences(left: unknown, right: unknown, path = ""): readonly Difference[] {
  if (isTree(left) && isTree(right)) {
    const keys = new Set([...Object.keys(left), ...Object.keys(right)]);
    return [...keys].flatMap((key) =>
      differences(left[key], right[key], path === "" ? key : `${path}.${key}`),
    );
  }
  return JSON.stringify(left) === JSON.stringify(right) ? [] : [{ path, left, right }];
}

const withRecipe = z.looseObject({ recipe: recipeSchema });

/**
 * Differences of a saved configuration from the one at hand. A setting that did not exist yet when it
 * was saved has its default: what the code did before it could be set. Settings that decide no number
 * may differ.
 */
export function configDifferences(saved: unknown, here: unknown): readonly Difference[] {
  const whole = withRecipe.safeParse(saved);
  const plain: unknown = JSON.parse(JSON.stringify(here)); // as it would be read back
  const found = differences(whole.success ? whole.data : saved, plain);
  return found.filter(({ path }) => !numberless.has(path));
}

/** Whether files may lie outside of the data's folder, and which process keeps the optimiser's moments. */
const numberless: ReadonlySet<string> = new Set(["data.outside", "recipe.optim.shard"]);

/** `optim.lr is 0.0005 there and 0.001 here; seed is 0 there and 1 here; and 3 more` */
export function describeDifferences(
  found: readonly Difference[],
  shown = 3,
  [there, here]: readonly [string, string] = ["there", "here"],
): string {
  const parts = found
    .slice(0, shown)
    .map(({ path, left, right }) => `${path} is ${show(left)} ${there} and ${show(right)} ${here}`);
  const rest = found.length - parts.length;
  return [...parts, ...(rest > 0 ? [`and ${rest} more`] : [])].join("; ");
}

function show(value: unknown): string {
  return value === undefined ? "unset" : JSON.stringify(value);
}

function isTree(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
