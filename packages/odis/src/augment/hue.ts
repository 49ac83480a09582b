import { fromBuffer, full, stack, type Tensor, where } from "@odis/torch";

/** A number as floats have it. */
const f = Math.fround;

/**
 * Turns the colour circle through 8-bit hue, saturation and value, as Pillow and torchvision do; lossy
 * even at 0, as published.
 *
 * @param x [n, 3, S, S] float32, whole numbers 0..255
 * @param amounts [n], shares of the circle
 * @returns the like of `x`
 */
export function turnHue(x: Tensor, amounts: readonly number[]): Tensor {
  const { device } = x;
  const turns = amounts.map((amount) => Math.trunc(amount * 255) & 255);
  const turn = fromBuffer(Float32Array.from(turns), [turns.length, 1, 1], { device });
  const [r, g, b] = x.unbind(1) as [Tensor, Tensor, Tensor];
  const most = r.maximum(g).maximum(b);
  const least = r.minimum(g).minimum(b);
  const range = most.sub(least);
  const saturation = range.div(most.clampMin(1)).mul_(255).floor();
  const moved = hueOf([r, g, b], most, least, range).add_(turn);
  const hue = where(moved.ge(256), moved.sub(256), moved);

  // Sixths of the circle: the middle channel rises in every other one, and falls in between.
  const sixths = hue.mul_(6);
  const whole = sixths.div(full([], 255, { device })).floor();
  const within = sixths.sub(whole.mul(255));
  const sector = where(whole.eq(6), 0, whole);
  const odd = sector.eq(1).add(sector.eq(3)).add(sector.eq(5));
  const away = where(odd, within, within.neg().add_(255));
  const low = most
    .mul(
      saturation
        .mul(f(1 / 255))
        .neg()
        .add_(1),
    )
    .add_(0.5)
    .floor();
  const between = most
    .sub(most.mul(saturation.mul(away).mul_(f(1 / 65025))))
    .add_(0.5)
    .floor();
  const channel = (high: readonly [number, number], part: readonly [number, number]): Tensor =>
    where(either(sector, high), most, where(either(sector, part), between, low));
  const turned = stack(
    [channel([0, 5], [1, 4]), channel([1, 2], [0, 3]), channel([3, 4], [2, 5])],
    1,
  );
  return where(range.eq(0).unsqueeze(1), x, turned);
}

const either = (x: Tensor, [a, b]: readonly [number, number]): Tensor => x.eq(a).add(x.eq(b));

/** Hue in 0..255, a fresh tensor. */
function hueOf(
  [r, g, b]: readonly [Tensor, Tensor, Tensor],
  most: Tensor,
  least: Tensor,
  range: Tensor,
): Tensor {
  const { device } = range;
  const middle = r.add(g).add_(b).sub_(most).sub_(least);
  const part = most.sub(middle).div_(range.clampMin(1));
  const [redMost, greenMost] = [r.eq(most), g.eq(most)];
  const peak = where(redMost, 1, where(greenMost, 3, full([], 5, { device })));
  const before = where(redMost, b, where(greenMost, r, g));
  const h = where(before.eq(least), peak.sub(part), peak.sub(2).add_(part));
  // Divided by a tensor: by a number some devices multiply with its inverse, which is not the same.
  return h
    .div(full([], 6, { device }))
    .add_(h.lt(0).float())
    .mul_(255)
    .floor();
}
