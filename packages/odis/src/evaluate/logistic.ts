import { cat, eye, fromBuffer, noGrad, ones, type Tensor, tidy, zeros } from "@odis/torch";
import { ConfigError } from "../core/index.js";
import { type FeatureSet, pick } from "../features/index.js";
import { type Evaluated, minimised } from "./lbfgs.js";
import { type Labelled, unit } from "./neighbours.js";
import { heldOutPictures } from "./probe.js";
import { classesAhead } from "./votes.js";

export interface LogisticOptions {
  readonly classes: number;
  /** inverse of the penalty's weight, scikit-learn's C */
  readonly c: number;
  readonly device: string;
  /** to start from: with another penalty the weights are near */
  readonly start?: LogisticRegression | undefined;
  readonly stop?: () => boolean;
}

/** scikit-learn's defaults would be 100 steps and 1e-4. */
const [steps, tolerance] = [300, 1e-6];

/**
 * Multinomial logistic regression on features of length 1: the mean cross-entropy plus |W|² / (2 C n),
 * which is the objective of scikit-learn's `LogisticRegression`, in float64. Biases are not
 * penalised. Dispose of it.
 */
export class LogisticRegression implements Disposable {
  /** @param weight [width + 1, classes], the biases last */
  private constructor(
    private readonly weight: Tensor,
    private readonly device: string,
  ) {}

  static fit(
    { features, width, labels }: Labelled,
    { classes, c, device, start, stop }: LogisticOptions,
  ): LogisticRegression {
    const n = labels.length;
    if (n === 0) throw new ConfigError("logistic regression: got no objects; wanted at least one");
    const like = { dtype: "float64", device } as const;
    const weight = noGrad(() =>
      tidy(() => {
        const x = withOnes(features, width, device);
        const rows = fromBuffer(BigInt64Array.from(labels, BigInt), [n], { device });
        const targets = eye(classes, like).indexSelect(0, rows); // [n, classes]
        const penalty = cat([ones([width, 1], like), zeros([1, 1], like)], 0).mul(1 / (c * n));
        const objective = (w: Tensor): Evaluated =>
          tidy(() => {
            const logits = x.matmul(w);
            const losses = logits.logsumexp(1).sub(logits.mul(targets).sum(1));
            const penalised = w.mul(penalty);
            const error = logits.softmax(1).sub(targets).div(n);
            return {
              value: losses.mean().add(penalised.mul(w).sum().mul(0.5)).item(),
              gradient: x.transpose(0, 1).matmul(error).add(penalised),
            };
          });
        const begin = start ? start.weight.clone() : zeros([width + 1, classes], like);
        return minimised(objective, begin, { steps, tolerance, ...(stop && { stop }) });
      }),
    );
    return new LogisticRegression(weight, device);
  }

  /** [m, classes] */
  logits({ features, width }: Pick<Labelled, "features" | "width">): Float32Array {
    return noGrad(() =>
      tidy(() => withOnes(features, width, this.device).matmul(this.weight).toFloat32()),
    );
  }

  /** [width + 1, classes], the biases last */
  weights(): number[] {
    return this.weight.toNumbers();
  }

  [Symbol.dispose](): void {
    this.weight.free();
  }
}

/** [n, width + 1] float64, unit rows and a 1 for the bias */
function withOnes(features: Float32Array, width: number, device: string): Tensor {
  const n = features.length / width;
  const like = { dtype: "float64", device } as const;
  const rows = fromBuffer(features, [n, width], { device }).to({ dtype: "float64" });
  return cat([unit(rows), ones([n, 1], like)], 1);
}

/** Penalties that are tried; few images want a strong one. */
const trials = [0.1, 1, 10, 100, 1000, 10_000];

/**
 * Logistic regression with the penalty that does best on a tenth of the bank's pictures, learned
 * again on all of them.
 *
 * @returns the queries' places of their class among the answers, from 0; Infinity for a class that
 *   the bank does not have
 */
export function logisticPlaces(
  bank: FeatureSet,
  queries: Pick<FeatureSet, "features" | "width" | "labels">,
  {
    classes,
    seed,
    device,
    signal,
    alive,
  }: {
    readonly classes: number;
    readonly seed: number;
    readonly device: string;
    readonly signal?: AbortSignal | undefined;
    /** is called before every step of every fit */
    readonly alive?: (() => void) | undefined;
  },
): readonly number[] {
  const stop = (): boolean => {
    alive?.();
    return signal?.aborted === true;
  };
  const options = { classes, device, stop };
  const c = chosenPenalty(bank, seed, options);
  signal?.throwIfAborted();
  using fitted = LogisticRegression.fit(bank, { ...options, c });
  const logits = fitted.logits(queries);
  const known = new Set(bank.labels);
  return Array.from(queries.labels, (label, row) => {
    const mine = logits
      .subarray(row * classes, (row + 1) * classes)
      .map((score, one) => (known.has(one) ? score : -Infinity));
    return known.has(label) ? classesAhead(mine, label) : Infinity;
  });
}

function chosenPenalty(
  bank: FeatureSet,
  seed: number,
  options: Omit<LogisticOptions, "c" | "start">,
): number {
  const pictures = [...new Set(bank.items.map(({ picture }) => picture))];
  if (pictures.length < 2) return 1;
  const held = heldOutPictures(pictures, seed);
  const part = (isHeld: boolean): FeatureSet =>
    pick(
      bank,
      [...bank.items.keys()].filter((row) => held.has(bank.items[row]!.picture) === isHeld),
    );
  const [training, validation] = [part(false), part(true)];
  let start: LogisticRegression | undefined;
  let best = { c: trials[0]!, right: -1 };
  for (const c of trials) {
    const fitted = LogisticRegression.fit(training, { ...options, c, start });
    start?.[Symbol.dispose]();
    start = fitted;
    const right = accuracy(fitted.logits(validation), validation.labels, options.classes);
    if (right > best.right) best = { c, right };
  }
  start?.[Symbol.dispose]();
  return best.c;
}

function accuracy(logits: Float32Array, labels: Int32Array, classes: number): number {
  let right = 0;
  for (const [row, label] of labels.entries())
    right += Number(classesAhead(logits.subarray(row * classes, (row + 1) * classes), label) === 0);
  return right / labels.length;
}
