import type { Box } from "../objects/index.js";
import type { Rng } from "../core/index.js";
import type { CropConfig } from "./config.js";

/** Sizes drawn before the central crop is taken. */
export const SIZE_TRIES = 10;

/**
 * A random crop: area uniform in `scale`, aspect (width over height) log-uniform, position uniform
 * among the places where it fits; the distribution of torchvision's RandomResizedCrop. What does
 * not fit ten times in a row is replaced by the largest central crop of a permitted aspect.
 */
export function drawCropBox(
  width: number,
  height: number,
  { scale, aspect }: Pick<CropConfig, "scale" | "aspect">,
  rng: Rng,
): Box {
  for (let attempt = 0; attempt < SIZE_TRIES; attempt += 1) {
    const area = width * height * rng.uniform(...scale);
    const ratio = Math.exp(rng.uniform(Math.log(aspect[0]), Math.log(aspect[1])));
    const [w, h] = cropSize(area, ratio);
    if (w > 0 && w <= width && h > 0 && h <= height) {
      const y = rng.int(0, height - h);
      return { x: rng.int(0, width - w), y, width: w, height: h };
    }
  }
  return centralCrop(width, height, aspect);
}

/** Whole pixels of a crop of this area and aspect (width over height). */
export function cropSize(area: number, ratio: number): [width: number, height: number] {
  return [Math.round(Math.sqrt(area * ratio)), Math.round(Math.sqrt(area / ratio))];
}

/** The largest crop of a permitted aspect, in the middle. */
export function centralCrop(width: number, height: number, aspect: CropConfig["aspect"]): Box {
  const ratio = Math.min(Math.max(width / height, aspect[0]), aspect[1]);
  const w = Math.min(width, Math.max(1, Math.round(height * ratio)));
  const h = Math.min(height, Math.max(1, Math.round(width / ratio)));
  return { x: Math.floor((width - w) / 2), y: Math.floor((height - h) / 2), width: w, height: h };
}

/** Cells of the plane of sizes: steps of the area, steps of the logarithm of the aspect. */
const [AREAS, ASPECTS] = [32, 8];

/** Rounding of positions may let one more sample in; a bound must not miss it. */
const SLACK = 1e-6;

/**
 * Proposals, most of them dropped without a look, before an object that the bounds leave possible is
 * taken for one that no crop can show: a few hundredths of a second.
 */
const PATIENCE = 20_000;

interface Picture {
  readonly width: number;
  readonly height: number;
}

/** What a view must show of an object to be accepted. */
export interface Wanted {
  /** the smallest box round the object, not empty */
  readonly box: Box;
  /** side of the view, pixels */
  readonly size: number;
  /** view pixels that must be object, 1 or more */
  readonly least: number;
}

/** Sizes that are drawn with equal chances: ranges of the area's share and of log aspect. */
interface Cell {
  readonly share: readonly [number, number];
  readonly logAspect: readonly [number, number];
  /** No size of the cell has more than this share of its positions admissible. */
  readonly most: number;
  /** Whether some of its sizes may be larger than the image. */
  readonly mayNotFit: boolean;
}

/**
 * Proposes crops that are likely to show an object, so that those accepted by the true test follow
 * exactly the distribution of {@link drawCropBox} given that the object is present: what redrawing
 * would give with endless patience.
 *
 * A plain crop draws a size (share of the area uniform, aspect log-uniform) until it fits, at most
 * ten times, then a position among the N(size) where it fits; if no size fits, it is the central
 * crop. With q the chance that a size does not fit, a box of size s has the probability
 * (1 + q + ... + q⁹) p(s) / N(s), the central crop q¹⁰ more. The object can be present only at
 * *admissible* positions, where the crop overlaps the object's box by as many rows and columns as
 * the wanted number of samples needs; of the N(s) they are the share f(s) = fx fy.
 *
 * 1. The plane of sizes is cut into cells of equal chance, each with a bound m ≥ f on its sizes and
 *    the knowledge whether all of them fit. f grows with the size, so m is taken at the largest.
 *    Let C be the mean of m, and Q ≥ q the share of cells in which a size may not fit.
 * 2. A number k of failures before the size that fits is chosen with weight Qᵏ C, k = 0..9, or the
 *    central crop with weight Q¹⁰ if it shows the object. k sizes from the cells of Q must all not
 *    fit, else the proposal is dropped: it survives with (q/Q)ᵏ.
 * 3. A cell is chosen with weight m, a size s in it, which is kept with chance f(s) / m, then one of
 *    the admissible positions with equal chances.
 *
 * A box at an admissible position is proposed with probability ∝ Qᵏ C (q/Q)ᵏ · (m / C) p(s) · f / m ·
 * 1 / (f N) = qᵏ p(s) / N(s), summed over k, and the central crop with q¹⁰: the plain distribution,
 * cut to a set that holds everything the true test accepts. Drawing from it until the test accepts is
 * the conditional distribution. Nothing depends on how tight m and Q are but the time.
 */
export class ExactCrops {
  private readonly cells: readonly Cell[];
  private readonly mosts: readonly number[];
  private readonly unfit: readonly Cell[];
  /** of 0..9 failures before a size that fits, and of the central crop */
  private readonly attempts: readonly number[];
  private readonly central: Box;
  private possible: boolean;

  /** @param showsObject the true test, asked once: of the central crop */
  constructor(
    private readonly image: Picture,
    private readonly crops: Pick<CropConfig, "scale" | "aspect">,
    private readonly wanted: Wanted,
    showsObject: (box: Box) => boolean,
  ) {
    this.cells = Array.from({ length: AREAS * ASPECTS }, (_, index) => this.cell(index));
    this.mosts = this.cells.map(({ most }) => most);
    this.unfit = this.cells.filter(({ mayNotFit }) => mayNotFit);
    this.central = centralCrop(image.width, image.height, crops.aspect);
    const mean = this.mosts.reduce((sum, most) => sum + most, 0) / this.cells.length;
    const share = this.unfit.length / this.cells.length;
    const shown = share > 0 && showsObject(this.central);
    this.attempts = Array.from({ length: SIZE_TRIES + 1 }, (_, k) =>
      k < SIZE_TRIES ? share ** k * mean : shown ? share ** k : 0,
    );
    this.possible = this.attempts.some((weight) => weight > 0);
  }

  /**
   * Draws until a crop is accepted.
   *
   * @param accept the true test: returns what is made of an accepted crop
   * @returns that, and how many crops were looked at; nothing if no crop can show the object
   */
  draw<Made>(rng: Rng, accept: (box: Box) => Made | undefined) {
    let looks = 0;
    for (let tries = 0; this.possible && tries < PATIENCE; tries += 1) {
      const box = this.propose(rng);
      if (!box) continue;
      looks += 1;
      const crop = accept(box);
      if (crop !== undefined) return { crop, looks };
    }
    this.possible = false;
    return undefined;
  }

  /** A crop for the true test, or nothing: the proposal was dropped. */
  private propose(rng: Rng): Box | undefined {
    const failures = rng.weighted(this.attempts);
    for (let k = 0; k < failures; k += 1) {
      const [w, h] = this.sizeIn(this.unfit[rng.int(0, this.unfit.length - 1)]!, rng);
      if (this.fits(w, h)) return undefined;
    }
    if (failures === SIZE_TRIES) return this.central;

    const cell = this.cells[rng.weighted(this.mosts)]!;
    const [w, h] = this.sizeIn(cell, rng);
    if (!this.fits(w, h)) return undefined;
    const { box } = this.wanted;
    const overlap = this.leastOverlap([w, w], [h, h]);
    const xs = positions(box.x, box.width, w, this.image.width, overlap.x);
    const ys = positions(box.y, box.height, h, this.image.height, overlap.y);
    if (!rng.bool((xs.share * ys.share) / cell.most)) return undefined;
    const y = rng.int(ys.first, ys.last);
    return { x: rng.int(xs.first, xs.last), y, width: w, height: h };
  }

  private sizeIn({ share, logAspect }: Cell, rng: Rng): [width: number, height: number] {
    const area = this.image.width * this.image.height * rng.uniform(...share);
    return cropSize(area, Math.exp(rng.uniform(...logAspect)));
  }

  private fits(w: number, h: number): boolean {
    return w > 0 && w <= this.image.width && h > 0 && h <= this.image.height;
  }

  private cell(index: number): Cell {
    const { image, crops, wanted } = this;
    const part = ([low, high]: readonly [number, number], at: number, count: number) =>
      [low + ((high - low) * at) / count, low + ((high - low) * (at + 1)) / count] as const;
    const share = part(crops.scale, Math.floor(index / ASPECTS), AREAS);
    const [low, high] = crops.aspect;
    const logAspect = part([Math.log(low), Math.log(high)], index % ASPECTS, ASPECTS);

    const pixels = image.width * image.height;
    const [flat, tall] = logAspect.map(Math.exp) as [number, number];
    // One pixel more on each side: the corners of a cell are rounded, too.
    const widths = [
      cropSize(pixels * share[0], flat)[0] - 1,
      cropSize(pixels * share[1], tall)[0] + 1,
    ] as const;
    const heights = [
      cropSize(pixels * share[0], tall)[1] - 1,
      cropSize(pixels * share[1], flat)[1] + 1,
    ] as const;
    const overlap = this.leastOverlap(widths, heights);
    const bound = (
      start: number,
      length: number,
      crop: readonly [number, number],
      limit: number,
      least: number,
    ) =>
      crop[0] > limit ? 0 : positions(start, length, Math.min(crop[1], limit), limit, least).share;
    const { box } = wanted;
    return {
      share,
      logAspect,
      most:
        bound(box.x, box.width, widths, image.width, overlap.x) *
        bound(box.y, box.height, heights, image.height, overlap.y),
      mayNotFit:
        widths[1] > image.width || heights[1] > image.height || widths[0] < 1 || heights[0] < 1,
    };
  }

  /**
   * Columns and rows of the object's box that a crop must hold at least, for all sizes in these
   * ranges: n samples of a row of a view lie step = side / size apart, so an interval of l pixels
   * holds at most l / step + 1 of them, and columns × rows must reach the wanted number.
   */
  private leastOverlap(
    widths: readonly [number, number],
    heights: readonly [number, number],
  ): { readonly x: number; readonly y: number } {
    const { box, size, least } = this.wanted;
    const most = (length: number, crop: number) =>
      Math.min(size, Math.floor((Math.min(length, crop) / crop) * size + SLACK) + 1);
    const [w, h] = [Math.max(1, widths[0]), Math.max(1, heights[0])];
    const need = (others: number, crop: number) =>
      Math.max(1, Math.ceil(((Math.ceil(least / others) - 1) * crop) / size - SLACK));
    return { x: need(most(box.height, h), w), y: need(most(box.width, w), h) };
  }
}

/** Where along one axis a crop overlaps an interval by at least so much, as a share of all places. */
function positions(start: number, length: number, crop: number, limit: number, least: number) {
  const first = Math.max(0, start - crop + least);
  const last = Math.min(limit - crop, start + length - least);
  const count = least > Math.min(length, crop) ? 0 : Math.max(0, last - first + 1);
  return { first, last, share: count / (limit - crop + 1) };
}
