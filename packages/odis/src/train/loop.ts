import { Stream } from "@odis/torch";
import type { Batch, BatchStats } from "../batches/index.js";
import {
  type Length,
  type ScheduleValues,
  scheduleValuesAt,
  summaryKind,
} from "../recipe/index.js";
import type { TrainState } from "./state.js";
import { type StepReport, trainStep } from "./step.js";
import { type DeviceBatch, tensorsOf, upload } from "./upload.js";
import type { World } from "./world.js";

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

/** A finished step: its metrics, and the images that could not be used in it; the same in all processes. */
export interface StepResult {
  readonly row: MetricsRow;
  readonly skipped: Skipped;
  /** what processes asked for with the step's batch, added up; see `StepOptions.ask` */
  readonly asked: readonly number[];
  /** what this process has sent in it */
  readonly traffic: World["traffic"];
}

type Skipped = Batch["stats"]["skipped"];

export interface StepOptions {
  /** first step */
  readonly from: number;
  /** training time of earlier sessions of the run */
  readonly secondsBefore: number;
  /** numbers that all processes hear with the batch of a step, e.g. that somebody wants to stop */
  readonly ask?: () => Promise<readonly number[]>;
}

/** Uploads a batch and trains on it. */
export function trainOn(state: TrainState, batch: Batch, values: ScheduleValues): StepReport {
  using ready = upload(state, batch, values);
  return trainStep(state, ready, values);
}

/**
 * Runs steps to the end of the run, one at a time. Everything that happens only now and then
 * (checkpoints, logs, stopping) is the caller's, between two steps.
 *
 * @param batches of this process's images
 */
export async function* trainSteps(
  state: TrainState,
  batches: BatchStream,
  length: Length,
  { from, secondsBefore, ask }: StepOptions,
): AsyncGenerator<StepResult> {
  const { world } = state;
  const began = performance.now();
  let stepBegan = began;
  let sent = world.traffic;
  using ahead = new Ahead(state, batches, length, ask);
  for (let step = from; step < length.totalSteps; step += 1) {
    const { images, stats, asked, ready, values } = await ahead.take(step);
    const waited = ahead.takeWait();
    const report = trainStep(state, ready, values);
    ready[Symbol.dispose]();
    const now = performance.now();
    const row = {
      step,
      epoch: values.epoch,
      time: secondsBefore + (now - began) / 1000,
      imagesPerSecond: (1000 * images) / (now - stepBegan),
      dataWait: waited / (now - stepBegan),
      ...termsOf(report),
      ...scheduled(state, values),
      absent: stats.absent,
      tries: stats.tries,
    };
    stepBegan = now;
    const { messages, bytes } = world.traffic;
    const traffic = { messages: messages - sent.messages, bytes: bytes - sent.bytes };
    sent = world.traffic;
    yield { row, skipped: stats.skipped, asked, traffic };
  }
}

/** A batch on the device, for one step. */
interface Uploaded {
  /** of all processes */
  readonly images: number;
  readonly stats: BatchStats;
  readonly asked: readonly number[];
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
  private waitedMs = 0;

  constructor(
    private readonly state: TrainState,
    private readonly batches: BatchStream,
    private readonly length: Length,
    private readonly ask: StepOptions["ask"],
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

  /** Milliseconds spent waiting for workers since it was asked last; not those of copying and drawing. */
  takeWait(): number {
    const waited = this.waitedMs;
    this.waitedMs = 0;
    return waited;
  }

  private async upload(step: number): Promise<Uploaded> {
    const { state, uploads } = this;
    const { world } = state;
    const asked = (await this.ask?.()) ?? [];
    const began = performance.now();
    const batch = await world.together(this.batches.next());
    this.waitedMs += performance.now() - began;
    if (batch.step !== step) throw new Error(`internal: got batch ${batch.step} for step ${step}`);
    const values = scheduleValuesAt(state.recipe, this.length, step);
    const say = [...asked, ...numbersOf(batch.stats)];
    const send = (): DeviceBatch => upload(state, batch, values, say);
    const ready = uploads ? uploads.run(send) : send();
    const heard = ready.said.map((said) => said.slice(asked.length));
    return {
      images: batch.size * world.size,
      stats: statsOfAll(world, batch.stats, heard),
      asked: asked.map((_, at) => ready.said.reduce((sum, said) => sum + said[at]!, 0)),
      ready,
      values,
    };
  }

  [Symbol.dispose](): void {
    this.next?.ready[Symbol.dispose]();
  }
}

const numbersOf = ({ absent, wanted, tries, skipped }: BatchStats): number[] => [
  skipped.length,
  wanted,
  absent * wanted,
  ...tries,
];

/** Statistics of the images of all processes. */
function statsOfAll(
  world: World,
  own: BatchStats,
  heard: readonly (readonly number[])[],
): BatchStats {
  if (world.size === 1) return own;
  const total = (at: number): number => heard.reduce((sum, numbers) => sum + numbers[at]!, 0);
  const wanted = total(1);
  // Names are sent only when there are any.
  const skipped = total(0) > 0 ? world.shareValues(own.skipped).flat() : [];
  return {
    wanted,
    absent: total(2) / wanted,
    tries: own.tries.map((_, view) => total(3 + view) / world.size),
    skipped,
  };
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
