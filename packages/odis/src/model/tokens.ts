import { cat, eye, ones, type Tensor } from "@odis/torch";
import type { Visibility } from "./attention.js";

/**
 * Who is restricted when patches of objects are given. `masked`: the [OBJ] rows (the paper).
 * `separate`: besides, [CLS] sees no [OBJ], and a patch sees the [OBJ] of its own objects only (an
 * option of the published follow-up code, `separate_obj_attn`). `isolated`: besides, an object's [OBJ] and patches see its
 * patches alone, so that nothing around an object reaches its [OBJ] in any layer (ours). `open`: nobody; the object only
 * steers the crops (an ablation).
 */
export type ObjectAttention = "masked" | "separate" | "isolated" | "open";

/**
 * Which tokens a network carries, and where. This file alone knows their order: [CLS] if there is
 * one, then the [OBJ] tokens, then the patches row by row.
 */
export class TokenLayout {
  /** Number of tokens before the patches. */
  readonly special: number;
  /** Index of the first [OBJ] token. */
  readonly firstObject: number;

  /**
   * @param cls whether there is a [CLS] token
   * @param objects number of [OBJ] tokens, 0 for DINO and iBOT
   */
  constructor(
    readonly cls: boolean,
    readonly objects: number,
    readonly attention: ObjectAttention = "masked",
  ) {
    this.firstObject = cls ? 1 : 0;
    this.special = this.firstObject + objects;
  }

  /** The same network on another number of objects, or with other restrictions. */
  withObjects(objects: number, attention = this.attention): TokenLayout {
    return new TokenLayout(this.cls, objects, attention);
  }

  /** [B, T, D] -> [B, 1, D]; only where there is a [CLS]. */
  clsOf(tokens: Tensor): Tensor {
    return tokens.narrow(1, 0, 1);
  }

  /** [B, T, D] -> [B, O, D] */
  objectsOf(tokens: Tensor): Tensor {
    return tokens.narrow(1, this.firstObject, this.objects);
  }

  /** [B, T, D] -> [B, N, D] */
  patchesOf(tokens: Tensor): Tensor {
    const [, T] = tokens.dims(3);
    return tokens.narrow(1, this.special, T - this.special);
  }

  /** Rows of the [CLS] tokens of `images` images in tokens flattened to [B * T, D]. */
  flatCls(images: number, patches: number): number[] {
    return Array.from({ length: images }, (_, image) => image * (this.special + patches));
  }

  /** Rows of the [OBJ] tokens of `images` images in tokens flattened to [B * T, D]: images * O. */
  flatObjects(images: number, patches: number): number[] {
    const first = (image: number): number => image * (this.special + patches) + this.firstObject;
    return Array.from(
      { length: images * this.objects },
      (_, at) => first(Math.floor(at / this.objects)) + (at % this.objects),
    );
  }

  /** Row of patch `patch` of image `image` in tokens flattened to [B * T, D]. */
  flatPatch(image: number, patch: number, patches: number): number {
    return image * (this.special + patches) + this.special + patch;
  }

  /**
   * Who may look at whom when objects are given; undefined when nobody is restricted.
   *
   * An [OBJ] token sees [CLS], itself, and the visible patches of its object. Seeing itself keeps
   * its row non-empty when a crop has lost the object, so no softmax can turn that into NaN. All
   * other queries see everything, which is why isolation holds per layer only: context still
   * reaches [OBJ] in the next layer through patches that saw it (paper section 3), unless attention is
   * `isolated`: then no [OBJ] sees [CLS], and patches of objects see those of the same object; a patch of two sees
   * both. In a network without [OBJ] [CLS] takes its place ("iBOT+Masks").
   *
   * @param visible [B, O, N] bool, `true` = patch belongs to the object; O = 1 without [OBJ]
   */
  visibility(visible: Tensor): Visibility | undefined {
    const [B, O] = visible.dims(3);
    const { device } = visible;
    const trues = (rows: number, columns: number): Tensor =>
      ones([B, rows, columns], { dtype: "bool", device });
    const self = eye(O, { dtype: "bool", device }).unsqueeze(0).expand([B, O, O]);
    const isolated = this.attention === "isolated";
    const theirs = visible.transpose(1, 2); // [B, N, O]
    if (this.objects === 0) {
      const summary = cat([self, visible], 2);
      const patches = isolated ? [cat([theirs, apart(visible, 0)[1]], 2)] : [];
      return { allowed: cat([summary, ...patches], 1), firstRow: 0 };
    }
    if (this.attention === "open") return undefined;

    const cls = this.cls ? 1 : 0;
    const N = visible.dims(3)[2];
    const image = isolated ? trues(O, cls).logicalNot() : trues(O, cls); // whether they see [CLS]
    const objects = cat([image, self, visible], 2); // [B, O, T]
    if (this.attention === "masked") return { allowed: objects, firstRow: this.firstObject };
    const summary = cat([trues(cls, 1), trues(cls, O).logicalNot(), trues(cls, N)], 2);
    const [around, among] = isolated ? apart(visible, cls) : [trues(N, cls), trues(N, N)];
    const patches = cat([around, theirs, among], 2);
    return {
      allowed: cat(this.cls ? [summary, objects, patches] : [objects, patches], 1),
      firstRow: 0,
    };
  }
}

/**
 * What patches see of [CLS] and of patches when objects are isolated: bool, [B, N, cls] and [B, N, N].
 *
 * @param visible [B, O, N] bool
 */
function apart(visible: Tensor, cls: number): readonly [Tensor, Tensor] {
  const each = visible.float();
  const [B, , N] = each.dims(3);
  const outside = each.sum([1]).eq(0).unsqueeze(2); // [B, N, 1]
  const same = each.transpose(1, 2).matmul(each);
  return [outside.expand([B, N, cls]), same.add(outside.float()).gt(0)];
}
