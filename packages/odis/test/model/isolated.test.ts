import fc from "fast-check";
import { Generator, noGrad, type Tensor, tensor, tensorScope } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { Rng } from "../../src/core/rng.js";
import { Backbone } from "../../src/model/backbone.js";
import { type ObjectAttention, TokenLayout } from "../../src/model/tokens.js";

const side = 4; // patches; N = 16
const config = {
  dim: 12,
  depth: 3,
  heads: 2,
  mlpRatio: 2,
  ffn: "mlp",
  patch: 2,
  imageSize: 2 * side,
  dropPath: 0,
  dropPathDepth: "linear",
  dropRule: "sample",
  layerScale: 0,
  normEpsilon: 1e-6,
  objectEmbedding: "shared",
  objectPosition: "shared",
} as const;

function backboneOf(attention: ObjectAttention, cls: boolean, objects: number): Backbone {
  const layout = new TokenLayout(cls, objects, attention);
  return new Backbone(config, layout, false).init(new Generator(7)).requiresGrad_(true);
}

/** Uniform from -1 to 1. */
function noise(name: string, shape: readonly number[]): Tensor {
  const rng = new Rng("isolated", name);
  const count = shape.reduce((a, b) => a * b, 1);
  return tensor(
    Float32Array.from({ length: count }, () => rng.uniform(-1, 1)),
    shape,
  );
}

/** Patches of each object: [1, O, N] bool, and which pixels of [3, 2 side, 2 side] are of any patch of `patches`. */
const visibleOf = (objects: readonly (readonly number[])[]): Tensor =>
  tensor(
    Uint8Array.from(
      objects.flatMap((own) =>
        Array.from({ length: side ** 2 }, (_, at) => (own.includes(at) ? 1 : 0)),
      ),
    ),
    [1, objects.length, side ** 2],
  ).bool();

const isOf = (patches: readonly number[], pixel: number): boolean => {
  const [y, x] = [Math.floor(pixel / (2 * side)) % (2 * side), pixel % (2 * side)];
  return patches.includes(side * Math.floor(y / 2) + Math.floor(x / 2));
};

/** How [OBJ] number `at`, or [CLS] without any, depends on each pixel: the gradient of a random projection of it. */
function dependence(
  backbone: Backbone,
  objects: readonly (readonly number[])[],
  at: number,
  attention?: ObjectAttention,
): readonly number[] {
  using _scope = tensorScope();
  const images = noise("image", [1, 3, 2 * side, 2 * side]).requiresGrad_(true);
  const tokens = backbone.forward(images, { visible: visibleOf(objects), attention });
  const object = tokens.select(
    1,
    backbone.layout.objects > 0 ? backbone.layout.firstObject + at : 0,
  );
  object
    .mul(noise("projection", [1, config.dim]))
    .sum()
    .backward();
  return [...images.grad!.toFloat32()];
}

const patches = fc.uniqueArray(fc.nat(side ** 2 - 1), { minLength: 1, maxLength: 15 });

describe("isolated objects", () => {
  it.each([false, true])("nothing around the object reaches [OBJ], beside [CLS]: %s", (cls) => {
    const [isolated, masked] = (["isolated", "masked"] as const).map((attention) =>
      backboneOf(attention, cls, 1),
    );
    fc.assert(
      fc.property(patches, (own) => {
        const around = (gradient: readonly number[]) =>
          gradient.filter((_, pixel) => !isOf(own, pixel)).map(Math.abs);
        expect(Math.max(...around(dependence(isolated!, [own], 0)))).toBe(0);
        // What the published rule lets through from the second layer on.
        expect(Math.max(...around(dependence(masked!, [own], 0)))).toBeGreaterThan(0);
      }),
      { numRuns: 30 },
    );
  });

  it.each([0, 1])(
    "the same may be asked of a network that was trained otherwise, of %s [OBJ]",
    (objects) => {
      const backbone = backboneOf("masked", true, objects);
      fc.assert(
        fc.property(patches, (own) => {
          const around = (attention?: ObjectAttention) =>
            dependence(backbone, [own], 0, attention).filter((_, pixel) => !isOf(own, pixel));
          expect(Math.max(...around("isolated").map(Math.abs))).toBe(0);
          expect(Math.max(...around().map(Math.abs))).toBeGreaterThan(0);
          const inside = dependence(backbone, [own], 0, "isolated").map(Math.abs);
          // Every patch of the object still counts.
          for (const patch of own)
            expect(Math.max(...inside.filter((_, pixel) => isOf([patch], pixel)))).toBeGreaterThan(
              0,
            );
        }),
        { numRuns: 30 },
      );
    },
  );

  it("each of several depends on its own patches, and on those of what it shares a patch with", () => {
    const backbone = backboneOf("isolated", true, 3);
    const objects = [
      [0, 1, 4],
      [10, 11],
      [11, 15],
    ] as const;
    const reach = [
      [0, 1, 4],
      [10, 11, 15],
      [10, 11, 15],
    ] as const;
    for (const [at, reached] of reach.entries()) {
      const gradient = dependence(backbone, objects, at);
      for (const patch of Array.from({ length: side ** 2 }, (_, n) => n)) {
        const most = Math.max(...gradient.filter((_, p) => isOf([patch], p)).map(Math.abs));
        expect([patch, most > 0]).toEqual([patch, (reached as readonly number[]).includes(patch)]);
      }
    }
  });

  it("one that covers everything is seen as the paper has it", () => {
    using _scope = tensorScope();
    const images = noise("images", [2, 3, 2 * side, 2 * side]);
    const all = visibleOf([Array.from({ length: side ** 2 }, (_, at) => at)]).expand([2, 1, 16]);
    const [isolated, masked] = (["isolated", "masked"] as const).map((attention) =>
      noGrad(() => backboneOf(attention, false, 1).forward(images, { visible: all }).toFloat32()),
    );
    expect(Math.max(...isolated!.map((value, at) => Math.abs(value - masked![at]!)))).toBeLessThan(
      1e-5,
    );
  });

  it("one that is not in the view leaves no row empty", () => {
    using _scope = tensorScope();
    const images = noise("image", [1, 3, 2 * side, 2 * side]);
    const tokens = noGrad(() =>
      backboneOf("isolated", true, 1).forward(images, { visible: visibleOf([[]]) }),
    );
    expect([...tokens.toFloat32()].every(Number.isFinite)).toBe(true);
  });
});
