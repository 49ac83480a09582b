import { type Tensor, tidy } from "@odis/torch";
import type { MetricsRow } from "./loop.js";

/** Mean cosines of the teacher's summaries in the first two global views, -1..1. */
export interface Similarities {
  /** of different images in one view: near 1 when features have collapsed */
  readonly images: number;
  /** of the same object in two views; undefined with one view */
  readonly views: number | undefined;
  /** of different objects of one image in one view; undefined where there is one object an image */
  readonly objects: number | undefined;
}

/**
 * What tells collapse from learning: the same object should be more alike in two views than other
 * objects of its image are, and these more than other images.
 *
 * @param features [G, B * O, D]; undefined when no summary is trained
 * @param present [G, B, O] bytes, default: all present
 */
export function similarities(
  features: Tensor | undefined,
  present: Uint8Array | undefined,
  { B, O }: { readonly B: number; readonly O: number },
): Similarities {
  if (!features) return { images: Number.NaN, views: undefined, objects: undefined };
  const [G, rows] = features.dims(3);
  const [same, across] = tidy(() => {
    const all = features.float();
    const unit = all.div(all.norm(-1, 2, true).clampMin(1e-12));
    const first = unit.select(0, 0);
    return [
      first.matmul(first.transpose(0, 1)).toFloat32(), // [B * O, B * O]
      G > 1 ? first.mul(unit.select(0, 1)).sum(-1).toFloat32() : undefined, // [B * O]
    ] as const;
  });
  const there = (view: number, row: number): boolean =>
    !present || present[view * rows + row] === 1;
  const images = new Mean();
  const objects = new Mean();
  const views = new Mean();
  for (let a = 0; a < rows; a += 1) {
    if (!there(0, a)) continue;
    if (across && there(1, a)) views.add(across[a]!);
    for (let b = a + 1; b < rows; b += 1) {
      if (!there(0, b)) continue;
      const together = Math.floor(a / O) === Math.floor(b / O);
      (together ? objects : images).add(same[a * rows + b]!);
    }
  }
  return {
    images: B > 1 ? images.value : Number.NaN,
    views: across && views.value,
    objects: O > 1 ? objects.value : undefined,
  };
}

class Mean {
  private sum = 0;
  private count = 0;

  add(value: number): void {
    this.sum += value;
    this.count += 1;
  }

  /** NaN of nothing */
  get value(): number {
    return this.sum / this.count;
  }
}

/** Steps that have to agree before a run is called collapsed. */
const WINDOW = 100;
/** Share of a run, and steps at least, in which nothing is concluded: every run begins uniform. */
const GRACE = { share: 0.05, steps: 200 };

type Signs = Pick<MetricsRow, "step" | "teacherEntropy" | "marginalEntropy" | "similarityImages">;

/**
 * Watches for the ways in which self-distillation is known to fail: all targets uniform (teacher
 * too soft, or its centre too slow), one prototype for everything (no centre), or the same features
 * for every image (facts: DINO section 5.3, issues dino#43, dinov2#272).
 *
 * What it reads is the information that targets carry: the entropy of the mean target minus the
 * mean entropy of the targets, nats. Without any, all images are told apart by nothing.
 */
export class CollapseWatch {
  private readonly sums = { teacher: 0, marginal: 0, images: 0 };
  private seen = 0;
  private named: string | undefined;

  /**
   * @param prototypes K of the summaries' head
   * @param totalSteps of the run
   */
  constructor(
    private readonly prototypes: number,
    private readonly totalSteps: number,
  ) {}

  /** @returns a sentence when the last steps show a collapse that was not named before */
  observe({ step, teacherEntropy, marginalEntropy, similarityImages }: Signs): string | undefined {
    if (step < Math.max(GRACE.steps, GRACE.share * this.totalSteps)) return undefined;
    // No summary is trained, or no object was there: nothing can be said.
    if (!Number.isFinite(teacherEntropy) || !Number.isFinite(marginalEntropy)) return undefined;
    this.sums.teacher += teacherEntropy;
    this.sums.marginal += marginalEntropy;
    this.sums.images += similarityImages;
    this.seen += 1;
    if (this.seen < WINDOW) return undefined;
    const found = this.verdict();
    this.sums.teacher = this.sums.marginal = this.sums.images = this.seen = 0;
    if (found?.kind === this.named) return undefined;
    const before = this.named;
    this.named = found?.kind;
    return found
      ? `collapse: ${found.kind} ${found.detail}`
      : `step ${step}: recovered; no more signs of: ${before}`;
  }

  private verdict(): { readonly kind: string; readonly detail: string } | undefined {
    const [teacher, marginal, images] = [
      this.sums.teacher / WINDOW,
      this.sums.marginal / WINDOW,
      this.sums.images / WINDOW,
    ];
    const most = Math.log(this.prototypes);
    const told = marginal - teacher;
    if (told > 0.02 * most && !(images >= 0.99)) return undefined;
    const entropies = `entropy of a target ${teacher.toFixed(2)}, of their mean ${marginal.toFixed(2)}, of ln K = ${most.toFixed(2)}`;
    if (marginal < 0.1 * most)
      return {
        kind: "one prototype takes every image",
        detail: `(${entropies}). Centring is too weak or too slow: lower loss.centerMomentum, or use loss.centering=sinkhorn.`,
      };
    if (teacher > 0.9 * most)
      return {
        kind: "targets are uniform, they say nothing of the image",
        detail: `(${entropies}). The teacher is too soft, its centre too slow, or the batch too small: lower loss.teacherTemperature or loss.centerMomentum, or enlarge optim.batch.`,
      };
    return {
      kind: "every image has the same features",
      detail: `(mean cosine of different images ${images.toFixed(3)}; ${entropies}). Lower optim.lr, or add loss.koleoWeight 0.1.`,
    };
  }
}
