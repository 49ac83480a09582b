import fc from "fast-check";
import { Generator, noGrad, type Tensor, tensor, tensorScope, zeros } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { Rng } from "../../src/core/rng.js";
import { Backbone } from "../../src/model/backbone.js";
import { packObjects } from "../../src/model/packing.js";
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

  it("what is around it need not be computed: value, and gradient of every weight", () => {
    const N = side ** 2;
    const some = fc.uniqueArray(fc.nat(N - 1), { maxLength: N }); // none, too
    fc.assert(
      fc.property(fc.array(some, { minLength: 1, maxLength: 4 }), fc.nat(), (objects, seed) => {
        using _scope = tensorScope();
        const B = objects.length;
        const images = noise(`images ${seed}`, [B, 3, 2 * side, 2 * side]);
        const visible = new Uint8Array(B * N);
        for (const [image, own] of objects.entries())
          for (const patch of own) visible[image * N + patch] = 1;
        const rng = new Rng("hidden", seed);
        const hidden = tensor(
          visible.map((inside) => inside * rng.int(0, 1)),
          [B, N],
        ).bool();
        const scales = tensor(Float32Array.from({ length: B }, () => rng.int(0, 2)));
        const keptRows = Array.from(scales.toFloat32(), (scale, image) => (scale > 0 ? image : -1));
        const kept = keptRows.filter((image) => image >= 0);
        const dropped = {
          images: tensor(BigInt64Array.from(kept, BigInt), [kept.length]),
          count: kept.length,
          scale: 1.25,
          scales: tensor(scales.toFloat32().map((scale) => (scale > 0 ? 1.25 : 0))),
        };
        const drops = Array.from({ length: config.depth }, () => ({
          attention: dropped,
          feedForward: dropped,
        }));
        const layout = new TokenLayout(false, 1, "isolated");
        const packed = packObjects(layout, visible, N, "cpu");
        const rowsOf = (
          objectRows: readonly number[],
          patchRow: (image: number, patch: number) => number,
        ): Tensor => {
          const own = objects.flatMap((list, image) => list.map((patch) => patchRow(image, patch)));
          return tensor(BigInt64Array.from([...objectRows, ...own], BigInt));
        };
        const [all, alone] = [
          {
            visible: tensor(visible, [B, 1, N]).bool(),
            rows: rowsOf(layout.flatObjects(B, N), (image, patch) =>
              layout.flatPatch(image, patch, N),
            ),
          },
          { packing: packed.packing, rows: rowsOf(packed.summaryRows, packed.patchRow) },
        ].map((options) => {
          const network = new Backbone(config, layout, true).init(new Generator(7));
          network.requiresGrad_(true);
          const features = network.forward(images, { ...options, hidden, drops });
          features.mul(noise("projection", features.shape)).sum().backward();
          // Where every image drops a branch its weights get no gradient at all, which is none here.
          const gradients = network
            .parameters()
            .map((weight) => weight.grad ?? zeros(weight.shape));
          return [features, ...gradients].map((one) => one.detach().double());
        });
        for (const [at, wanted] of all!.entries()) {
          const most = wanted.sub(alone![at]!).abs().amax().item();
          expect([at, most < 1e-4 * Math.max(1, wanted.abs().amax().item())]).toEqual([at, true]);
        }
      }),
      { numRuns: 25 },
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
