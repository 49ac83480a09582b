import { type Tensor, tidy } from "@odis/torch";

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
