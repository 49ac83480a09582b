import { Generator, readSafetensors, type TensorInfo, type TypedArray } from "@odis/torch";
import type { Settings } from "../../src/core/schema.js";
import type { Network } from "../../src/model/network.js";
import type { Recipe } from "../../src/recipe/schema.js";
import { resolveRecipe } from "../../src/recipe/schema.js";
import { type RecipeName, recipeLayers } from "../../src/recipe/methods.js";
import { buildNetwork } from "../../src/train/state.js";
import type { WeightFile } from "../../src/formats/index.js";
import { fixture } from "./fixture.js";

/** The sizes of the networks in `fixtures/weights`. */
export const small = {
  model: { dim: 8, depth: 2, heads: 2, patch: 4, dropPath: 0 },
  head: { hidden: 12, bottleneck: 6, prototypes: 10 },
  views: { globals: { size: 12 }, locals: { size: 8 } },
} as const;
/** What those of DINOv2 have besides. */
export const gated = { model: { ffn: "swiglu", layerScale: 1e-5 } } as const;

/** A recipe at those sizes. */
export function smallRecipe(name: RecipeName, ...more: readonly Settings[]): Recipe {
  return resolveRecipe([
    ...recipeLayers(name),
    ...[small, ...more].map((values) => ({ source: "test", values })),
  ]);
}

export function studentOf(recipe: Recipe, seed = 1): Network {
  return buildNetwork(recipe, "student").init(new Generator(seed));
}

const features = readSafetensors(fixture("features.safetensors"));

/** Images that PyTorch saw, and what it made of them: [2, 3, 12, 12] and [2, 10, 8]. */
export function pythonTokens(name: string): Float32Array {
  return features.get(name)!.data as Float32Array;
}

/** A file that exists in memory only. */
export function memoryFile(
  tensors: Readonly<Record<string, TensorInfo & { readonly data?: TypedArray }>>,
  plain: WeightFile["plain"] = new Map(),
): WeightFile {
  const names = Object.keys(tensors);
  return {
    path: "memory.pth",
    names,
    plain,
    unreadable: new Map(),
    has: (name) => names.includes(name),
    info: (name) => tensors[name]!,
    read: (name) => tensors[name]!.data!,
    [Symbol.dispose]: () => undefined,
  };
}
