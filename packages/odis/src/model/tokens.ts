import { cat, eye, ones, type Tensor } from "@odis/torch";

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
  ) {
    this.firstObject = cls ? 1 : 0;
    this.special = this.firstObject + objects;
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
   * Which keys each [OBJ] query may look at: [B, O, T] bool, `true` = may look.
   *
   * An [OBJ] token sees [CLS], itself, and the visible patches of its object. Seeing itself keeps
   * its row non-empty when a crop has lost the object, so no softmax can turn that into NaN. All
   * other queries see everything, which is why isolation holds per layer only: context still
   * reaches [OBJ] in the next layer through patches that saw it (method: paper section 3).
   *
   * @param visible [B, O, N] bool, `true` = patch belongs to the object
   */
  allowed(visible: Tensor): Tensor {
    const [B, O] = visible.dims(3);
    const self = eye(O, { dtype: "bool", device: visible.device }).unsqueeze(0).expand([B, O, O]);
    const special = this.cls
      ? [ones([B, O, 1], { dtype: "bool", device: visible.device }), self]
      : [self];
    return cat([...special, visible], 2);
  }
}
