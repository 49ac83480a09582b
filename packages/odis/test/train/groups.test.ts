import { ones, tensorScope } from "@odis/torch";
import { describe, expect, it } from "vitest";
import { parameterGroups } from "../../src/train/state.js";
import { recipeSchema } from "../../src/recipe/schema.js";
import { createState } from "../../src/train/state.js";

const tiny = {
  model: { dim: 16, depth: 2, heads: 2, patch: 8 },
  head: { hidden: 16, bottleneck: 8, prototypes: 16 },
  views: { globals: { size: 24 }, locals: { size: 16 } },
};

describe("parameter groups", () => {
  it("hold every trained weight exactly once, two groups without layer decay", () => {
    const recipe = recipeSchema.parse(tiny);
    using state = createState(recipe);
    const groups = parameterGroups(state.student.namedParameters(), recipe);
    expect(groups.map(({ decay, lrScale }) => [decay, lrScale])).toEqual([
      [true, 1],
      [false, 1],
    ]);
    const names = groups.flatMap(({ parameters }) => parameters.map(([name]) => name));
    expect(names.toSorted()).toEqual(
      state.student
        .namedParameters()
        .map(([name]) => name)
        .toSorted(),
    );
  });

  it("give each depth its share of the learning rate, as DINOv2 does", () => {
    using _scope = tensorScope();
    const recipe = recipeSchema.parse({ ...tiny, optim: { layerDecay: 0.5, patchLr: 0.2 } });
    const names = [
      "backbone.patch_embed.proj.weight",
      "backbone.obj_token",
      "backbone.blocks.0.attn.qkv.weight",
      "backbone.blocks.1.mlp.fc1.weight",
      "backbone.norm.weight",
      "head.mlp.0.weight",
    ];
    const weights = names.map((name) => [name, ones([2, 2]).requiresGrad_()] as const);
    const scales = new Map(
      parameterGroups(weights, recipe).flatMap(({ lrScale, parameters }) =>
        parameters.map(([name]) => [name, lrScale] as const),
      ),
    );
    // 2 blocks: 0.5 ** (3 - layer), layers 0 (before), 1, 2 (blocks), 3 (above)
    expect(names.map((name) => scales.get(name))).toEqual([0.125 * 0.2, 0.125, 0.25, 0.5, 1, 1]);
  });
});
