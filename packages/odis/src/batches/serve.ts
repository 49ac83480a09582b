import type { Allocate } from "@odis/torch/images";
import os from "node:os";
import { parentPort, workerData } from "node:worker_threads";
import { BadImageError, DataError, Rng } from "../core/index.js";
import type { SceneObject } from "../objects/index.js";
import { type BatchShape, type ImageViews, type Slot, slotOver, viewsOfImage } from "./batch.js";
import { type DataSource, openSource, type ReadMemory, type Sample } from "../data/index.js";
import {
  type FromWorker,
  type Job,
  type JobDone,
  type Skipped,
  toWire,
  type ToWorker,
  type WorkerStart,
} from "./wire.js";

/** Makes all views of one image. */
export type MakeImage = (sample: Sample, rng: Rng, into: ImageViews) => ImageReport;

export interface ImageReport {
  /** what the views are about; may be empty */
  readonly objects: readonly SceneObject[];
  /** per global view */
  readonly tries: readonly number[];
}

/** Other images to try in the place of a bad one before the data set is given up. */
const REPLACEMENTS = 20;

/**
 * The body of a worker script: takes jobs until the loader closes.
 *
 * @param prepare turns the loader's settings into the function that makes views
 */
// oxlint-disable-next-line typescript/no-unnecessary-type-parameters -- says what its loader sends
export async function serve<Settings>(prepare: (settings: Settings) => MakeImage): Promise<void> {
  const port = parentPort;
  if (!port) throw new Error("internal: a data worker was started outside a worker thread");
  const send = (message: FromWorker) => port.postMessage(message);
  const fail = (error: unknown) => send({ kind: "failed", error: toWire(error) });
  giveWay();
  const start: WorkerStart<Settings> = workerData;
  const run = await jobRunner(start, prepare).catch(fail);
  if (!run) return;

  let queue = Promise.resolve();
  const enqueue = (task: () => void | Promise<void>) => {
    queue = queue.then(task).catch(fail);
  };
  port.on("message", (message: ToWorker) => {
    if (message === "close") enqueue(() => port.close());
    else enqueue(async () => ((done) => done && send(done))(await run(message)));
  });
  send({ kind: "ready" });
}

/** The training step keeps the cores: on Linux a priority belongs to the thread that sets it. */
function giveWay(): void {
  const low = os.constants.priority.PRIORITY_BELOW_NORMAL;
  if (process.platform === "linux" && os.getPriority() < low) os.setPriority(low);
}

/**
 * Does one job; nothing once the loader is closed. No state here decides anything: image and views
 * of a position follow from the job and the seed, so any worker may do any job, at any time.
 */
async function jobRunner<Settings>(
  start: WorkerStart<Settings>,
  prepare: (settings: Settings) => MakeImage,
) {
  const source = await openSource(start.spec);
  const makeImage = prepare(start.settings);
  const slots = start.slots.map((buffer) => slotOver(buffer, start.shape));
  // Two pictures are in memory at a time: the one whose views are made, and the next one.
  const memories = [readMemory(), readMemory()];
  /** Where this worker is, should it die there. */
  const at = (image: number) => Atomics.store(start.working, start.worker, image);
  const read = (image: number, k: number) => {
    at(image);
    return settled(source, image, memories[k % 2]!);
  };

  return async (job: Job): Promise<JobDone | undefined> => {
    const slot = slots[job.slot]!;
    const keys: string[] = [];
    const skipped: Skipped[] = [];
    let ahead = read(job.indices[0]!, 0);
    for (let k = 0; k < job.indices.length; k += 1) {
      at(job.indices[k]!);
      const first = await ahead;
      if (Atomics.load(start.closed, 0) !== 0) return undefined;
      // The next file is opened while this one's views are made.
      if (k + 1 < job.indices.length) ahead = read(job.indices[k + 1]!, k + 1);
      at(job.indices[k]!);
      const position = job.position + k;
      const into = viewsOfImage(slot, start.shape, job.row + k);
      const make = (sample: Sample) =>
        makeImage(sample, new Rng("views", start.seed, job.epoch, position), into);
      let replacements: Rng | undefined;
      const instead = () => {
        replacements ??= new Rng("replacement", start.seed, job.epoch, position);
        return read(replacements.int(0, source.size - 1), k);
      };
      const { sample, report } = await firstGood(first, make, instead, skipped);
      keys.push(sample.key);
      writeReport(slot, start.shape, job.row + k, report);
    }
    at(-1);
    return { kind: "done", step: job.step, row: job.row, keys, skipped };
  };
}

/** Memory for one sample at a time. Fresh pages for every file and picture would cost more than reading them. */
const readMemory = (): ReadMemory => ({ picture: reusedMemory(), file: reusedMemory() });

/** Larger pictures are rare, and get memory of their own each time. */
const MOST_REUSED = 1 << 26;

/** Memory for one array at a time: each overwrites the one before. */
function reusedMemory(): Allocate {
  let memory = new Uint8Array();
  return (bytes) => {
    if (bytes > MOST_REUSED) return new Uint8Array(bytes);
    if (memory.length < bytes) memory = new Uint8Array(bytes);
    return memory.subarray(0, bytes);
  };
}

interface Read {
  readonly read: () => Sample;
}

/** Reads without throwing: the failure waits until somebody asks for the sample. */
async function settled(source: DataSource, index: number, memory: ReadMemory): Promise<Read> {
  try {
    const sample = await source.read(index, memory);
    return { read: () => sample };
  } catch (error) {
    return {
      read: () => {
        throw error;
      },
    };
  }
}

/** Views of the image, or of others in its place while it cannot be used. */
async function firstGood(
  first: Read,
  make: (sample: Sample) => ImageReport,
  instead: () => Promise<Read>,
  skipped: Skipped[],
) {
  let next = first;
  for (let tries = 0; tries < REPLACEMENTS; tries += 1) {
    try {
      const sample = next.read();
      return { sample, report: make(sample) };
    } catch (error) {
      if (!(error instanceof BadImageError)) throw error;
      skipped.push({ key: error.key, reason: error.reason });
      next = await instead();
    }
  }
  const { key, reason } = skipped.at(-1)!;
  throw new DataError(
    `${REPLACEMENTS} images in a row cannot be used; the last one is ${key}: ${reason}`,
  );
}

function writeReport(slot: Slot, shape: BatchShape, image: number, report: ImageReport): void {
  slot.chosen[image] = report.objects.length;
  for (const [view, tries] of report.tries.entries()) {
    slot.tries[view * shape.images + image] = tries;
  }
}
