import { Stream } from "@odis/torch";
import type { Batch } from "../batches/index.js";
import {
  type Length,
  type ScheduleValues,
  scheduleValuesAt,
  summaryKind,
} from "../recipe/index.js";
import type { TrainState } from "./state.js";
import { type StepReport, trainStep } from "./step.js";
import { type DeviceBatch, tensorsOf, upload } from "./upload.js";

/** Where batches come from, in the order of steps. */
export interface BatchStream {
  next(): Promise<Batch>;
}

/** One line of a run's metrics. */
export interface MetricsRow {
  readonly step: number;
  readonly epoch: number;
  /** seconds of training so far, earlier sessions of the run included */
  readonly time: number;
  /** of this step, waiting for data included */
  readonly imagesPerSecond: number;
  /** share of this step's time spent waiting for data, 0..1 */
  readonly dataWait: number;
  /** what was optimised: the sum of the weighted terms cls, object, patch and koleo */
  readonly loss: number;
  readonly cls: number;
  readonly object: number;
  readonly patch: number;
  readonly koleo: number;
  readonly teacherEntropy: number;
  readonly marginalEntropy: number;
  readonly kl: number;
  /** mean cosine of the teacher's summaries of different images; near 1 when they have collapsed */
  readonly similarityImages: number;
  /** of the same object in two global views */
  readonly similarityViews: number | undefined;
  /** of different objects of one image, where a pass has several */
  readonly similarityObjects: number | undefined;
  /** norm of all gradients together, before clipping */
  readonly gradNorm: number;
  readonly lr: number;
  readonly weightDecay: number;
  readonly teacherMomentum: number;
  /** of the summaries: [OBJ], else [CLS] */
  readonly teacherTemperature: number;
  readonly patchTemperature: number;
  /** share of global views without the object */
  readonly absent: number;
  /** crops drawn per global view, mean over the batch */
  readonly tries: readonly number[];
}

/** A finished step: its metrics, and the images that could not be used in it. */
export interface StepResult {
  readonly row: MetricsRow;
  readonly skipped: Batch["stats"]["skipped"];
}

/** Uploads a batch and trains on it. */
export function trainOn(state: TrainState, batch: Batch, values: ScheduleValues): StepReport {
  using ready = upload(state, batch, values);
  return trainStep(state, ready, values);
}

/**
 * Runs steps `from` to the end of the run, one at a time. Everything that happens only now and then
 * (checkpoints, logs, stopping) is the caller's, between two steps.
 *
 * @param secondsBefore training time of earlier sessions of the run
 */
export async function* trainSteps(
  state: TrainState,
  batches: BatchStream,
  length: Length,
  from: number,
  secondsBefore: number,
): AsyncGenerator<StepResult> {
  const began = performance.now();
  let stepBegan = began;
  using ahead = new Ahead(state, batches, length);
  for (let step = from; step < length.totalSteps; step += 1) {
    const { batch, ready, values } = await ahead.take(step);
    const dataCame = performance.now();
    const report = trainStep(state, ready, values);
    ready[Symbol.dispose]();
    const now = performance.now();
    const row = {
      step,
      epoch: values.epoch,
      time: secondsBefore + (now - began) / 1000,
      imagesPerSecond: (1000 * batch.size) / (now - stepBegan),
      dataWait: (dataCame - stepBegan) / (now - stepBegan),
      ...termsOf(report),
      ...scheduled(state, values),
      absent: batch.stats.absent,
      tries: batch.stats.tries,
    };
    stepBegan = now;
    yield { row, skipped: batch.stats.skipped };
  }
}

/** A batch on the device, for one step. */
interface Uploaded {
  /** only its plain facts: the loader overwrites its arrays */
  readonly batch: Pick<Batch, "size" | "stats">;
  readonly ready: DeviceBatch;
  readonly values: ScheduleValues;
}

/**
 * The batches of a run on its device. A GPU is sent the next one, in a queue of its own, before it is
 * given work on this one, so that it copies and computes at once; the CPU would only hold two.
 */
class Ahead implements Disposable {
  private next: Uploaded | undefined;
  private readonly uploads: Stream | undefined;

  constructor(
    private readonly state: TrainState,
    private readonly batches: BatchStream,
    private readonly length: Length,
  ) {
    if (state.device !== "cpu") this.uploads = new Stream(state.device);
  }

  async take(step: number): Promise<Uploaded> {
    const now = this.next ?? (await this.upload(step));
    this.uploads?.join([...tensorsOf(now.ready)]);
    const more = this.uploads !== undefined && step + 1 < this.length.totalSteps;
    this.next = more ? await this.upload(step + 1) : undefined;
    return now;
  }

  private async upload(step: number): Promise<Uploaded> {
    const batch = await this.batches.next();
    if (batch.step !== step) throw new Error(`internal: got batch ${batch.step} for step ${step}`);
    const values = scheduleValuesAt(this.state.recipe, this.length, step);
    const send = (): DeviceBatch => upload(this.state, batch, values);
    const ready = this.uploads ? this.uploads.run(send) : send();
    return { batch: { size: batch.size, stats: batch.stats }, ready, values };
  }

  [Symbol.dispose](): void {
    this.next?.ready[Symbol.dispose]();
  }
}

function termsOf({ terms, similarities, ...report }: StepReport) {
  const { total: loss, cls, object, patch, koleo } = terms;
  const { teacherEntropy, marginalEntropy, kl, gradient: gradNorm } = report;
  const alike = {
    similarityImages: similarities.images,
    similarityViews: similarities.views,
    similarityObjects: similarities.objects,
  };
  return {
    loss,
    cls,
    object,
    patch,
    koleo,
    teacherEntropy,
    marginalEntropy,
    kl,
    ...alike,
    gradNorm,
  };
}

function scheduled({ recipe }: TrainState, values: ScheduleValues) {
  const { lr, weightDecay, teacherMomentum, patchTemperature } = values;
  const teacherTemperature =
    summaryKind(recipe) === "object" ? values.objectTemperature : values.teacherTemperature;
  return { lr, weightDecay, teacherMomentum, teacherTemperature, patchTemperature };
}
