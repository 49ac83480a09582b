import type { MetricsRow } from "./loop.js";

/** Steps that have to agree before a run is called collapsed. */
const WINDOW = 100;
/** Share of a run, and steps at least, in which nothing is concluded: every run begins uniform. */
const GRACE = { share: 0.05, steps: 200 };

type Signs = Pick<MetricsRow, "step" | "teacherEntropy" | "marginalEntropy" | "similarityImages">;

/**
 * Watches for the ways in which self-distillation is known to fail: all targets uniform (teacher
 * too soft, or its centre too slow), one prototype for everything (no centre), or the same features
 * for every image (DINO section 5.3; issues 43 of facebookresearch/dino, 272 of dinov2).
 *
 * What it reads is the information that targets carry: the entropy of the mean target minus the
 * mean entropy of the targets, nats. Without any, all images are told apart by nothing.
 */
export class CollapseWatch {
  private readonly sums = { teacher: 0, marginal: 0, images: 0 };
  private seen = 0;
  private named: string | undefined;
  private detail = "";

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
    this.detail = found?.detail ?? "";
    return this.collapse ?? `step ${step}: recovered; no more signs of: ${before}`;
  }

  /** How the run has collapsed by now, a sentence; undefined where it has not, or has recovered. */
  get collapse(): string | undefined {
    return this.named === undefined ? undefined : `collapse: ${this.named} ${this.detail}`;
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
