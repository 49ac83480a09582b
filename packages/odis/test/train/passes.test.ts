import { fromBuffer, type Tensor, tensor, tensorScope } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { pool } from "../../src/train/forward.js";
import {
  reduced,
  type Similarities,
  similaritiesOf,
  similaritySums,
} from "../../src/train/objective.js";
import { expectClose } from "../close.js";

describe("pooled object features", () => {
  // two images of three patches, width 2
  const patches = () =>
    tensor(Float32Array.from([1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12]), [2, 3, 2]);

  it("are the mean of the visible patches, and 0 for an absent object", () => {
    using _scope = tensorScope();
    const bits = Uint8Array.from([1, 0, 1, 0, 1, 0, 0, 0, 0, 1, 1, 1]); // [2, 2 objects, 3]
    const visible = fromBuffer(bits, [2, 2, 3], { dtype: "bool" });
    const features = pool(patches(), visible, 2);
    expect(features.shape).toEqual([4, 2]);
    expectClose(features.toFloat32(), [3, 4, 3, 4, 0, 0, 9, 10]);
  });

  it("are the mean of all patches for every object where no patches are given", () => {
    using _scope = tensorScope();
    expectClose(pool(patches(), undefined, 2).toFloat32(), [3, 4, 3, 4, 9, 10, 9, 10]);
  });
});

/** As a step has them: sums, then what is read of them. */
function similarities(features: Tensor, present: Uint8Array | undefined, O: number): Similarities {
  const [G, R] = features.dims(3);
  const flags = present && fromBuffer(Float64Array.from(present), [G, R]);
  const sums = Object.entries(reduced(similaritySums(features, flags, O)));
  return similaritiesOf(Object.fromEntries(sums.map(([name, sum]) => [name, sum.item()])), O);
}

describe("similarities of summaries", () => {
  // one view after the other: image A with objects a1, a2; image B with b1, b2 (absent)
  const first = [1, 0, 0, 2, 3, 3, 5, 5];
  const second = [2, 0, 0, -1, 1, 0, 5, 5];
  const present = Uint8Array.from([1, 1, 1, 0, 1, 1, 1, 1]);

  it("compare objects of an image, images, and views, absent objects left out", () => {
    using _scope = tensorScope();
    const features = tensor(Float32Array.from([...first, ...second]), [2, 4, 2]);
    const found = similarities(features, present, 2);
    expect(found.objects).toBeCloseTo(0, 6); // a1 with a2
    expect(found.images).toBeCloseTo(Math.SQRT1_2, 6); // a1 with b1, a2 with b1
    expect(found.views).toBeCloseTo((1 - 1 + Math.SQRT1_2) / 3, 6); // a1, a2, b1
  });

  it("know no other object where an image has one, and no other view of one view", () => {
    using _scope = tensorScope();
    const features = tensor(Float32Array.from(first), [1, 4, 2]);
    const found = similarities(features, undefined, 1);
    expect(found.objects).toBeUndefined();
    expect(found.views).toBeUndefined();
    expect(found.images).toBeCloseTo((0 + Math.SQRT1_2 * 4 + 1) / 6, 6);
  });

  it("are unknown where there is nothing to compare", () => {
    using _scope = tensorScope();
    const features = tensor(Float32Array.from(first), [1, 4, 2]);
    const none = { images: Number.NaN, views: undefined };
    expect(similarities(features.narrow(1, 0, 1), undefined, 1)).toMatchObject(none);
    expect(similarities(features, new Uint8Array(4), 2)).toMatchObject({
      ...none,
      objects: Number.NaN,
    });
  });
});
