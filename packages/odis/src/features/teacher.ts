import { noGrad, type Tensor, tidy } from "@odis/torch";
import type { Sample } from "../data/index.js";
import { ConfigError } from "../core/index.js";
import type { SceneObject } from "../objects/index.js";
import type { Network } from "../model/index.js";
import { headAttention } from "./attention.js";
import type { Recipe } from "../recipe/index.js";
import { type FeatureRow, featuresOf } from "./object-features.js";
import { frameObject, type FrameOptions, framePixels } from "./frame.js";
import { type Frame, frameBox, type PatchGrid } from "../portable/index.js";
import { loadTeacher } from "../run/index.js";
import { forwardRows, rowsAtOnce } from "./passes.js";

/** A trained network, ready for pictures (method: inference). `free()` it, or bind it with `using`. */
export interface Teacher extends Disposable {
  readonly recipe: Recipe;
  /** what computes, for whoever writes it elsewhere; freed with the teacher */
  readonly network: Network;
  /** steps of training that were done */
  readonly step: number;
  /** width of a feature */
  readonly width: number;
  /**
   * The [OBJ] token after the final norm ([CLS] in a network without [OBJ]; the mean of patch tokens
   * in one that was trained on it): [width].
   *
   * @param object only its patches are read; without it, everything
   * @throws ConfigError when no pixel of the object is inside the frame
   */
  features(sample: Sample, object?: SceneObject): Float32Array;
  /**
   * The same of many, computed together: [queries, width], in their order. Objects of one image stand
   * best side by side, so that it is framed once.
   *
   * @throws ConfigError when no pixel of an object is inside the frame
   */
  featuresOf(queries: readonly FeatureQuery[]): Float32Array;
  /** Whether a pixel of an object is inside the frame: others have no feature. */
  sees(sample: Sample, object: SceneObject): boolean;
  /** The patch tokens after the final norm: [N, width], row by row of the patch grid. */
  patchFeatures(sample: Sample): Float32Array;
  /**
   * `featuresOf`, and by the same passes the patch tokens of those queries that are whole images, in
   * their order: [N, width] each, bits of float16. The features of whole images round differently from
   * those of `featuresOf`, which computes no patches in the last block.
   *
   * @throws ConfigError when no pixel of an object is inside the frame
   */
  featuresAndPatches(queries: readonly FeatureQuery[]): {
    readonly features: Float32Array;
    readonly patches: readonly Uint16Array[];
  };
  /**
   * Where [OBJ] looks ([CLS] in a network without it), head by head: [heads][N], a share per patch.
   *
   * @param object only its patches can be looked at; without it, all of them
   * @param block from 0; default: the last one
   * @throws ConfigError when no pixel of the object is inside the frame, or there is no such block
   */
  attention(sample: Sample, object?: SceneObject, block?: number): readonly Float32Array[];
  /** the part of a picture that the network sees, as a grid of patches */
  grid(sample: Sample): PatchGrid;
  free(): void;
}

/** An image, and an object of it; without one, all of it. */
export interface FeatureQuery {
  readonly sample: Sample;
  readonly object?: SceneObject | undefined;
}

export interface LoadOptions {
  /** side of the network's input, pixels; default: the recipe's global views */
  readonly size?: number;
  /** what is seen of an image; default `whole`: all of it, squeezed to a square */
  readonly frame?: Frame;
  readonly device?: string;
}

/**
 * Loads the teacher of a run.
 *
 * @param path run folder (its newest whole checkpoint is taken), one checkpoint, a file of `odis export
 *   --format odis`, or the name of a network that comes with odis
 * @throws RunError when there is none, or it is torn; ConfigError when the size does not fit
 */
export function load(path: string, { size, frame = "whole", device }: LoadOptions = {}): Teacher {
  const { network, recipe, step } = loadTeacher(path, device);
  const { dim: width, patch } = recipe.model;
  const view: FrameOptions = { frame, patch, size: size ?? recipe.views.globals.size };
  if (view.size % patch !== 0) {
    network.free();
    throw new ConfigError(`size: got ${view.size}; wanted a multiple of the patch size ${patch}`);
  }
  // Whoever asks whether an object is seen asks for its feature next: its mask is drawn once.
  const drawn = new WeakMap<SceneObject, Uint8Array | null>();
  const patchesOf = (sample: Sample, object: SceneObject): Uint8Array | null => {
    const known = drawn.get(object);
    if (known !== undefined) return known;
    const visible = frameObject(sample, object, view)?.visible ?? null;
    drawn.set(object, visible);
    return visible;
  };
  const visibleIn = (sample: Sample, object: SceneObject): Uint8Array => {
    const visible = patchesOf(sample, object);
    if (visible) return visible;
    throw new ConfigError(
      `${sample.key}: no pixel of object ${object.id} is inside the ${frame} frame`,
    );
  };
  const rowsOf = (queries: readonly FeatureQuery[]): readonly FeatureRow[] => {
    const framed = new Map<Sample, Uint8Array>();
    return queries.map(({ sample, object }) => {
      const pixels = framed.get(sample) ?? framePixels(sample, view);
      framed.set(sample, pixels);
      return { pixels, visible: object && visibleIn(sample, object) };
    });
  };
  const featuresOfAll = (
    queries: readonly FeatureQuery[],
    onPatches?: (tokens: Tensor, of: readonly FeatureQuery[]) => void,
  ): Float32Array => {
    const features = new Float32Array(queries.length * width);
    const most = rowsAtOnce(network, view.size);
    for (let from = 0; from < queries.length; from += most) {
      const some = queries.slice(from, from + most);
      const told =
        onPatches &&
        ((tokens: Tensor, of: readonly number[]) => {
          onPatches(
            tokens,
            of.map((at) => some[at]!),
          );
        });
      const rows = rowsOf(some);
      const got = featuresOf(network, view.size, rows, recipe.loss.objectFrom, told);
      features.set(got, from * width);
    }
    return features;
  };
  const featuresAndPatches = (queries: readonly FeatureQuery[]) => {
    const patches: Uint16Array[] = [];
    const features = featuresOfAll(queries, (tokens, of) => {
      const bits = tokens.to({ dtype: "float16" }).toArray() as Uint16Array;
      const each = bits.length / of.length;
      for (const [at, { object }] of of.entries())
        if (!object) patches.push(bits.slice(at * each, (at + 1) * each));
    });
    return { features, patches };
  };
  const free = (): void => network.free();
  return {
    recipe,
    network,
    step,
    width,
    features: (sample, object) => featuresOfAll([{ sample, object }]),
    featuresOf: (queries) => featuresOfAll(queries),
    sees: (sample, object) => patchesOf(sample, object) !== null,
    patchFeatures: (sample) =>
      noGrad(() =>
        tidy(() => {
          const rows = [{ pixels: framePixels(sample, view) }];
          const wanted = { blocks: 1, patches: true };
          return forwardRows(network, view.size, rows, wanted).patches[0]!.toFloat32();
        }),
      ),
    featuresAndPatches,
    attention: (sample, object, block) => {
      const { depth } = recipe.model;
      if (block !== undefined && !(Number.isInteger(block) && block >= 0 && block < depth))
        throw new ConfigError(`block ${block}: the network has ${depth}, from 0`);
      const visible = object && visibleIn(sample, object);
      return headAttention(network, view.size, framePixels(sample, view), visible, block);
    },
    grid: (sample) => ({ side: view.size / patch, box: frameBox(sample, frame) }),
    free,
    [Symbol.dispose]: free,
  };
}
