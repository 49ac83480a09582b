import { arange, cat, fromBuffer, stack, type Tensor, tidy, where, zeros } from "@odis/torch";
import type { CarriedPicture, UndrawnViews, ViewPlan } from "../views/index.js";

/** Values that the largest tensor of a group of pictures may have: 64 MiB of floats. */
const MOST_VALUES = 1 << 24;

/**
 * Cuts, resizes and mirrors views: Pillow's antialiased bicubic as two products of matrices, along rows and
 * then down columns. Letters: b pictures of one size h × w, V views of each, S the side of a view.
 *
 * @returns [V * B, 3, S, S] float32, whole numbers 0..255
 */
export function resample({ pictures, plans }: UndrawnViews, size: number, device: string): Tensor {
  const B = pictures.length;
  const views = plans.length / B;
  /** where each view's row is among those that groups give, one after the other */
  const rows = new BigInt64Array(plans.length);
  let done = 0;
  const parts = groups(pictures, views, size).map((group) => {
    for (const [at, image] of group.entries())
      for (let view = 0; view < views; view += 1)
        rows[view * B + image] = BigInt(done + at * views + view);
    done += group.length * views;
    return tidy(() =>
      ofOneSize(
        group.map((image) => pictures[image]!),
        group.flatMap((image) =>
          Array.from({ length: views }, (_, view) => plans[view * B + image]!),
        ),
        size,
        device,
      ),
    );
  });
  return cat(parts).indexSelect(0, fromBuffer(rows, [rows.length], { device }));
}

/** Pictures of one size together, as many as memory allows. @returns their numbers */
function groups(pictures: readonly CarriedPicture[], views: number, size: number): number[][] {
  const bySize = new Map<string, number[]>();
  const all: number[][] = [];
  for (const [image, { width, height }] of pictures.entries()) {
    const key = `${width} ${height}`;
    const most = MOST_VALUES / (views * size * Math.max(3 * height, width));
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

/** @param plans [b, V] @returns [b * V, 3, S, S] */
function ofOneSize(
  pictures: readonly CarriedPicture[],
  plans: readonly ViewPlan[],
  S: number,
  device: string,
): Tensor {
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
  const bytes = pictures.map(({ rgb }) => fromBuffer(rgb, [h, w, 3], { device }));
  const lines = stack(bytes)
    .permute([0, 1, 3, 2])
    .float()
    .reshape([b, 3 * h, w]);
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
