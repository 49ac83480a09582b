import { JsonLines } from "../core/index.js";
import type { MetricsRow } from "../train/index.js";
import type { RunFolder } from "./folder.js";
import { EventWriter } from "./tensorboard.js";

/** Metrics, events and the list of unusable images of a run. */
export class Journal implements Disposable {
  private readonly metrics: JsonLines<MetricsRow>;
  private readonly skipped: JsonLines<{ step: number; key: string; reason: string }>;
  private readonly events: EventWriter;

  /** @param step the first step that will be done; what files say of it and later ones is cut off */
  constructor({ layout }: RunFolder, step: number) {
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
