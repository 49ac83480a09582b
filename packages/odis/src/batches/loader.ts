import { availableParallelism } from "node:os";
import { Worker } from "node:worker_threads";
import { counted, DataError, plain, RunError } from "../core/index.js";
import {
  type Batch,
  batchOver,
  type BatchShape,
  newSlotBuffer,
  type Slot,
  slotOver,
} from "./batch.js";
import { checkBatch, Order, type Rank } from "./order.js";
import type { OpenSource } from "../data/index.js";
import {
  fromWire,
  type FromWorker,
  type Job,
  type JobDone,
  type Skipped,
  type ToWorker,
  type WorkerStart,
} from "./wire.js";
import { checkViewSizes, roomForPicture } from "../views/index.js";
import type { ViewSettings } from "./worker.js";
import type { Recipe } from "../recipe/index.js";

export interface LoaderOptions {
  readonly shape: BatchShape;
  /** a script that calls `serve` */
  readonly worker: URL;
  /** handed to that script; plain data */
  readonly settings: unknown;
  /** decides order, replacements and views */
  readonly seed: number;
  /** which of the processes that share every batch this is; default: the only one */
  readonly place?: Rank;
  /** first step; a resumed run goes on where it stopped */
  readonly start?: number;
  /** worker threads; default: one per core */
  readonly workers?: number;
  /** share of the data set that may turn out unusable before the run ends; default 0.05 */
  readonly maxBad?: number;
}

export interface LoaderStats {
  readonly batches: number;
  /** time that `next` waited for workers */
  readonly waitedSeconds: number;
  /** all pictures that could not be used so far, each once: key -> reason */
  readonly bad: ReadonlyMap<string, string>;
}

/** Batches that wait ready for the training step, besides the one it holds. */
const PREFETCH = 3;

/** How long a worker may take to end by itself. */
const PATIENCE_MS = 5000;

/** Images that may turn out unusable. @param share of the data set, default .05 */
export const badLimit = (images: number, share = 0.05): number => Math.ceil(share * images);

/** @throws DataError when more images cannot be used than may */
export function checkBad(bad: ReadonlyMap<string, string>, limit: number): void {
  if (bad.size <= limit) return;
  const some = [...bad].slice(0, 3).map(([key, reason]) => `\n  ${key}: ${reason}`);
  throw new DataError(
    `${counted(bad.size, "image")} cannot be used; at most ${limit} may be skipped. ` +
      `The first of them:${some.join("")}`,
  );
}

interface Pending {
  readonly done: JobDone[];
  left: number;
}

/**
 * Batches in the order of steps, made by worker threads into a ring of shared buffers.
 *
 * The jobs of all free slots are posted at once, so that workers go on while this thread is busy
 * in a training step. What a batch holds follows from the source, the seed and the step alone.
 */
export class Loader {
  readonly stepsPerEpoch: number;
  private readonly slots: readonly Slot[];
  private readonly pending = new Map<number, Pending>();
  private readonly bad = new Map<string, string>();
  private readonly badLimit: number;
  private readonly order: Order;
  private step: number;
  private posted: number;
  private waitedMs = 0;
  private batches = 0;
  private failure: Error | undefined;
  private wake: (() => void) | undefined;

  /** Starts the workers and waits until each has opened the source. */
  static async open(source: OpenSource, options: LoaderOptions): Promise<Loader> {
    const { images } = options.shape;
    checkBatch(images * (options.place?.size ?? 1), source.size);
    const buffers = Array.from({ length: PREFETCH + 1 }, () => newSlotBuffer(options.shape));
    const closed = new Int32Array(new SharedArrayBuffer(4));
    const count = Math.min(images, options.workers ?? availableParallelism());
    const working = new Int32Array(new SharedArrayBuffer(4 * count)).fill(-1);
    const start: Omit<WorkerStart<unknown>, "worker"> = {
      spec: source.spec,
      shape: options.shape,
      seed: options.seed,
      slots: buffers,
      closed,
      working,
      settings: options.settings,
    };
    const workers = Array.from({ length: count }, (_, worker) => {
      const workerData: WorkerStart<unknown> = { ...start, worker };
      return new Worker(options.worker, { workerData, name: "odis-data" });
    });
    const loader = new Loader(source, options, workers, buffers, closed);
    const nameOf = (worker: number) => {
      const image = Atomics.load(working, worker);
      return image < 0 ? "" : ` at image ${plain(source.key(image))}`;
    };
    try {
      await Promise.all(workers.map((worker, index) => loader.listen(worker, () => nameOf(index))));
    } catch (error) {
      await loader.close();
      throw error;
    }
    loader.post();
    return loader;
  }

  private constructor(
    source: OpenSource,
    private readonly options: LoaderOptions,
    private readonly workers: readonly Worker[],
    buffers: readonly SharedArrayBuffer[],
    private readonly closed: Int32Array,
  ) {
    const { place = { rank: 0, size: 1 } } = options;
    this.order = new Order(options.seed, source, options.shape.images * place.size, place);
    this.stepsPerEpoch = this.order.stepsPerEpoch;
    this.slots = buffers.map((buffer) => slotOver(buffer, options.shape));
    this.badLimit = badLimit(source.size, options.maxBad);
    this.step = options.start ?? 0;
    this.posted = this.step;
  }

  get stats(): LoaderStats {
    return { batches: this.batches, waitedSeconds: this.waitedMs / 1000, bad: this.bad };
  }

  /**
   * The next step's batch. Its arrays are overwritten after the next call: copy what must stay.
   *
   * @throws DataError when too many images cannot be used; whatever a worker threw
   */
  async next(): Promise<Batch> {
    if (this.wake) throw new Error("internal: next() was called before the last call ended");
    this.post();
    const began = performance.now();
    while (this.failure === undefined && this.pending.get(this.step)?.left !== 0) {
      await new Promise<void>((resolve) => {
        this.wake = resolve;
      });
      this.wake = undefined;
    }
    this.waitedMs += performance.now() - began;
    if (this.failure) throw this.failure;
    return this.take();
  }

  /** Ends all workers; a waiting `next` throws. */
  async close(): Promise<void> {
    this.fail(new Error("internal: the loader is closed"));
    if (Atomics.exchange(this.closed, 0, 1) !== 0) return;
    await Promise.all(
      this.workers.map(async (worker) => {
        if (worker.threadId < 0) return; // it has ended already
        const ended = new Promise((resolve) => worker.once("exit", resolve));
        worker.postMessage("close" satisfies ToWorker, []);
        // A worker ends after the image it is at, unless a source of the user's own hangs.
        const impatience = setTimeout(() => void worker.terminate(), PATIENCE_MS);
        await ended;
        clearTimeout(impatience);
      }),
    );
  }

  private take(): Batch {
    const { step, options } = this;
    const done = this.pending.get(step)!.done.toSorted((a, b) => a.row - b.row);
    const skipped = done.flatMap((part) => part.skipped);
    this.pending.delete(step);
    this.step += 1;
    this.batches += 1;
    this.countBad(skipped);
    const keys = done.flatMap((part) => part.keys);
    return batchOver(this.slots[step % this.slots.length]!, options.shape, step, keys, skipped);
  }

  private countBad(skipped: readonly Skipped[]): void {
    for (const { key, reason } of skipped) this.bad.set(key, reason);
    checkBad(this.bad, this.badLimit);
  }

  /** Gives out the jobs of all steps that have a slot; the last batch has given its own back. */
  private post(): void {
    for (; this.posted < this.step + this.slots.length; this.posted += 1) {
      const step = this.posted;
      const { epoch, position, indices } = this.order.step(step);
      const slot = step % this.slots.length;
      this.pending.set(step, { done: [], left: this.workers.length });
      for (const [index, worker] of this.workers.entries()) {
        // Which worker gets the odd image changes from step to step, so that none is always last.
        const part = (index + step) % this.workers.length;
        const row = Math.floor((part * indices.length) / this.workers.length);
        const end = Math.floor(((part + 1) * indices.length) / this.workers.length);
        const job: Job = {
          step,
          epoch,
          slot,
          row,
          position: position + row,
          indices: indices.slice(row, end),
        };
        worker.postMessage(job satisfies ToWorker, []);
      }
    }
  }

  /**
   * @param where says at which image the worker is, for messages
   * @returns when the worker is ready; throws if it fails before
   */
  private listen(worker: Worker, where: () => string): Promise<void> {
    return new Promise((resolve, reject) => {
      const fail = (error: Error) => {
        reject(error);
        this.fail(error);
      };
      worker.on("message", (message: FromWorker) => {
        if (message.kind === "ready") resolve();
        else if (message.kind === "failed") fail(fromWire(message.error));
        else this.finish(message);
      });
      worker.on("error", (cause) =>
        fail(new RunError(`a data worker ended${where()}: ${cause.message}`, { cause })),
      );
      worker.on("exit", (code) =>
        fail(new RunError(`a data worker ended unexpectedly${where()} (exit code ${code})`)),
      );
    });
  }

  private finish(part: JobDone): void {
    const pending = this.pending.get(part.step);
    if (!pending) throw new Error(`internal: nobody waits for step ${part.step}`);
    pending.done.push(part);
    pending.left -= 1;
    if (pending.left === 0) this.wake?.();
  }

  /** The first failure is the one to report: others follow from it. */
  private fail(error: Error): void {
    this.failure ??= error;
    this.wake?.();
  }
}

export interface ViewLoaderOptions
  extends ViewSettings,
    Omit<LoaderOptions, "shape" | "worker" | "settings"> {
  /** images in a batch */
  readonly batch: number;
}

/**
 * Batches of views, made by worker threads.
 *
 * @throws ConfigError when sizes do not fit each other, DataError when a worker cannot open the source
 */
export function openViewLoader(
  source: OpenSource,
  { views, patch, batch, ...options }: ViewLoaderOptions,
): Promise<Loader> {
  checkViewSizes(views, patch);
  const { globals, locals } = views;
  const settings: ViewSettings = { views, patch };
  return Loader.open(source, {
    ...options,
    settings,
    worker: new URL("./worker.js", import.meta.url),
    shape: {
      images: batch,
      objects: views.object.count,
      room: views.drawnBy === "device" ? roomForPicture(views) : 0,
      global: { views: globals.count, size: globals.size, patches: (globals.size / patch) ** 2 },
      local: {
        views: locals.count,
        size: locals.size,
        patches: locals.masked ? (locals.size / patch) ** 2 : 0,
      },
    },
  });
}

/** Settings that change no numbers unless images turn out unusable. */
export interface LoadingOptions {
  /** data threads; default: one per core */
  readonly workers?: number;
  /** share of the images that may turn out unusable before the run ends; default .05 */
  readonly maxBad?: number;
}

/** A recipe's batches from step `start` on; of several processes each gets its images. */
export function openBatches(
  source: OpenSource,
  { seed, views, model, optim }: Recipe,
  start: number,
  { workers, maxBad }: LoadingOptions,
  place: Rank = { rank: 0, size: 1 },
): Promise<Loader> {
  const batch = optim.batch / place.size;
  return openViewLoader(source, {
    seed,
    views,
    patch: model.patch,
    batch,
    start,
    place,
    ...(workers === undefined ? {} : { workers }),
    ...(maxBad === undefined ? {} : { maxBad }),
  });
}
