import { arange, cat, fromBuffer, stack, type Tensor, tidy, where, zeros } from "@odis/torch";
import type { CarriedPicture, ViewPlan } from "../views/index.js";

/** Values that the largest tensor of a group of pictures may have: 64 MiB of floats. */
const MOST_VALUES = 1 << 24;

/** Views of one size that are to be drawn of B pictures. */
export interface ViewsOfSize {
  /** [V * B]: that of view v of picture b is `plans[v * B + b]` */
  readonly plans: readonly ViewPlan[];
  /** S, side of the views in pixels */
  readonly size: number;
}

/**
 * Cuts, resizes and mirrors views: Pillow's antialiased bicubic as two products of matrices, along rows and
 * then down columns. Letters: b pictures of one size h × w, V views of each, S the side of a view.
 *
 * @returns of each kind [V * B, 3, S, S] float32, whole numbers 0..255, in the order of its plans
 */
export function resample(
  pictures: readonly CarriedPicture[],
  kinds: readonly ViewsOfSize[],
  device: string,
): Tensor[] {
  const B = pictures.length;
  const widest = Math.max(...kinds.map(({ plans, size }) => (plans.length / B) * size));
  const all = groups(pictures, widest);
  const parts = all.map((group) =>
    tidy(() => {
      const some = group.map((image) => pictures[image]!);
      const lines = linesOf(some, device);
      return kinds.map(({ plans, size }) => {
        const own = numbersOf(group, plans.length, B).map((at) => plans[at]!);
        return ofOneSize(lines, some, own, size);
      });
    }),
  );
  return kinds.map(({ plans }, kind) => {
    /** where each view's row is among those that groups give, one after the other */
    const rows = new BigInt64Array(plans.length);
    const given = all.flatMap((group) => numbersOf(group, plans.length, B));
    for (const [row, at] of given.entries()) rows[at] = BigInt(row);
    const order = fromBuffer(rows, [rows.length], { device });
    return tidy(() => cat(parts.map((part) => part[kind]!)).indexSelect(0, order));
  });
}

/** Which of a kind's views are of some pictures: all of the first, then all of the second. */
const numbersOf = (images: readonly number[], views: number, B: number): number[] =>
  images.flatMap((image) => Array.from({ length: views / B }, (_, view) => view * B + image));

/**
 * Pictures of one size together, as many as memory allows.
 *
 * @param across pixels in a row of each view of a picture, all together
 * @returns their numbers
 */
function groups(pictures: readonly CarriedPicture[], across: number): number[][] {
  const bySize = new Map<string, number[]>();
  const all: number[][] = [];
  for (const [image, { width, height }] of pictures.entries()) {
    const key = `${width} ${height}`;
    const most = MOST_VALUES / (across * Math.max(3 * height, width));
    let group = bySize.get(key);
    if (!group || group.length + 1 > most) {
      group = [];
      bySize.set(key, group);
      all.push(group);
    }
    group.push(image);
  }
  return all;
}

/** Rows of pixels, the channels apart: [b, 3 * h, w] float32, row 3 * y + channel. */
function linesOf(pictures: readonly CarriedPicture[], device: string): Tensor {
  const { width: w, height: h } = pictures[0]!;
  return stack(pictures.map(({ rgb }) => fromBuffer(rgb, [h, w, 3], { device })))
    .permute([0, 1, 3, 2])
    .float()
    .reshape([pictures.length, 3 * h, w]);
}

/**
 * @param lines of the pictures
 * @param plans [b * V], all of the first picture, then all of the second
 * @returns [b * V, 3, S, S]
 */
function ofOneSize(
  lines: Tensor,
  pictures: readonly CarriedPicture[],
  plans: readonly ViewPlan[],
  S: number,
): Tensor {
  const { device } = lines;
  const { width: w, height: h } = pictures[0]!;
  const b = pictures.length;
  const V = plans.length / b;
  const ofPlan = (at: number) => pictures[Math.floor(at / V)]!;
  const across = plans.map(({ box, flip }, at): Stretch => {
    const [columns] = ofPlan(at).reduced;
    return { from: box.x / columns, length: box.width / columns, flip };
  });
  const down = plans.map(({ box }, at): Stretch => {
    const [, rows] = ofPlan(at).reduced;
    return { from: box.y / rows, length: box.height / rows, flip: false };
  });
  const toColumns = filters(across, w, S, device)
    .reshape([b, V * S, w])
    .transpose(1, 2)
    .contiguous();
  const short = toBytes(lines.matmul(toColumns)); // [b, h * 3, V * S]
  const columns = short.reshape([b, h, 3, V, S]).permute([0, 3, 1, 2, 4]);
  const views = filters(down, h, S, device).bmm(columns.reshape([b * V, h, 3 * S]));
  return toBytes(views)
    .reshape([b * V, S, 3, S])
    .permute([0, 2, 1, 3])
    .contiguous();
}

/** To the nearest of 0..255, halves up; overwrites what it gets. */
export const toBytes = (x: Tensor): Tensor => x.add_(0.5).clamp_(0, 255).floor();

/** A piece of one axis that becomes S samples. */
interface Stretch {
  /** pixels, whole unless the picture was reduced */
  readonly from: number;
  readonly length: number;
  readonly flip: boolean;
}

/** Fractional bits of Pillow's weights. */
const FIXED = 2 ** 22;

/**
 * Weights of the antialiased bicubic, as Pillow computes and rounds them; nothing from outside a stretch
 * leaks in.
 *
 * @param extent pixels of the axis
 * @returns [n, S, extent] float32
 */
function filters(stretches: readonly Stretch[], extent: number, S: number, device: string): Tensor {
  const n = stretches.length;
  const perView = (of: (stretch: Stretch) => number): Tensor =>
    fromBuffer(Float64Array.from(stretches, of), [n, 1, 1], { device });
  const first = ({ from }: Stretch): number => Math.floor(from);
  const end = ({ from, length }: Stretch): number => Math.min(extent, Math.ceil(from + length));
  const zoom = ({ length }: Stretch): number => Math.max(1, length / S);
  const taps = Math.max(...stretches.map((one) => Math.ceil(4 * zoom(one)) + 2));

  const i = arange(S, { dtype: "float64", device }).reshape([1, S, 1]);
  const turned = i
    .mul(perView(({ flip }) => (flip ? -1 : 1)))
    .add_(perView(({ flip }) => (flip ? S - 1 : 0)));
  const center = turned
    .add_(0.5)
    .mul_(perView(({ length }) => length / S))
    .add_(perView((one) => one.from - first(one))); // [n, S, 1]
  const reach = perView((one) => 2 * zoom(one));
  const begin = center.sub(reach).add_(0.5).floor().clamp_(0);
  const beyond = center
    .add(reach)
    .add_(0.5)
    .floor()
    .minimum(perView((one) => end(one) - first(one)));
  const at = begin.add(arange(taps, { dtype: "float64", device })); // [n, S, taps]
  const distance = at
    .sub(center)
    .add_(0.5)
    .mul_(perView((one) => 1 / zoom(one)));
  const window = where(at.lt(beyond), cubic(distance.abs()), 0);
  const share = window.div(window.sum(-1, true)).mul_(FIXED);
  const weights = share.abs().add_(0.5).floor().mul_(share.sign()).div_(FIXED).float();
  const index = at
    .add_(perView(first))
    .clamp_(0, extent - 1)
    .to({ dtype: "int64" });
  // Those beyond the end weigh nothing, wherever they go.
  return zeros([n, S, extent], { device }).scatterAdd(2, index, weights);
}

/** Keys' cubic with a = -0.5, of distances. */
function cubic(d: Tensor): Tensor {
  const a = -0.5;
  const near = d
    .mul(a + 2)
    .sub_(a + 3)
    .mul_(d)
    .mul_(d)
    .add_(1);
  const far = d.sub(5).mul_(d).add_(8).mul_(d).sub_(4).mul_(a);
  return where(d.lt(1), near, where(d.lt(2), far, 0));
}
