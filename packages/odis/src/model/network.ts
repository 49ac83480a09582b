import { cat, fromBuffer, type Generator, Module, type Tensor, tensor } from "@odis/torch";
import { Backbone, type BackboneConfig, type BackboneOptions } from "./backbone.js";
import { Head, type TokenKind, tokenKinds } from "./head.js";
import type { TokenLayout } from "./tokens.js";
import type { Pixels } from "../views/index.js";

/** How the kinds of token share heads. */
export interface HeadsConfig {
  readonly hidden: number;
  readonly bottleneck: number;
  /** K of [CLS] and [OBJ] */
  readonly prototypes: number;
  /** K of [OBJ] beside [CLS], when it differs */
  readonly objectPrototypes?: number | undefined;
  /** K of patches, when it differs */
  readonly patchPrototypes?: number | undefined;
  /** bottleneck of the patches' own head, when it differs */
  readonly patchBottleneck?: number | undefined;
  /**
   * `all`: one head for every token (iBOT's and ODIS's choice); `mlp`: one MLP, prototypes for each
   * kind; `none`: a head for each kind (DINOv2)
   */
  readonly share: "all" | "mlp" | "none";
}

/** Something per kind of token, for the kinds that there are. */
export type PerKind<T> = Readonly<Partial<Record<TokenKind, T>>>;

/** Backbone and projection heads: what a student is, and what a teacher copies. */
export class Network extends Module {
  readonly backbone: Backbone;
  readonly head: Head;
  readonly headObj: Head | undefined;
  readonly headPatch: Head | undefined;

  /** @param kinds of token that a loss reads */
  constructor(
    backbone: BackboneConfig,
    heads: HeadsConfig,
    layout: TokenLayout,
    kinds: readonly TokenKind[],
    hides: boolean,
  ) {
    super();
    const { dim } = backbone;
    const { hidden, bottleneck, prototypes, share } = heads;
    const { objectPrototypes = prototypes } = heads;
    const { patchPrototypes = prototypes, patchBottleneck = bottleneck } = heads;
    const common = { hidden, bottleneck, prototypes };
    const both = kinds.includes("cls") && kinds.includes("object");
    const patches = kinds.includes("patch");
    this.backbone = new Backbone(backbone, layout, hides);
    this.head = new Head(dim, {
      ...common,
      objectPrototypes: share === "mlp" && both ? objectPrototypes : undefined,
      patchPrototypes: share === "mlp" && patches ? patchPrototypes : undefined,
    });
    this.headObj =
      share === "none" && both
        ? new Head(dim, { ...common, prototypes: objectPrototypes })
        : undefined;
    this.headPatch =
      share === "none" && patches
        ? new Head(dim, { hidden, bottleneck: patchBottleneck, prototypes: patchPrototypes })
        : undefined;
  }

  init(generator: Generator): this {
    this.backbone.init(generator);
    for (const head of this.heads) head.init(generator);
    return this;
  }

  get heads(): readonly Head[] {
    return [this.head, this.headObj, this.headPatch].filter((head) => head !== undefined);
  }

  headOf(kind: TokenKind): Head {
    const own = { cls: undefined, object: this.headObj, patch: this.headPatch }[kind];
    return own ?? this.head;
  }

  /** Tokens as `Backbone.forward` gives them; `project` is called on those that a loss reads. */
  forward(images: Tensor, options?: BackboneOptions): Tensor {
    return this.backbone.forward(images, options);
  }

  /**
   * Rows [R, D] of each kind -> prototype logits [R, K]. Rows that share layers go through them
   * together: few large matrix products.
   */
  project(rows: PerKind<Tensor>): PerKind<Tensor> {
    const kinds = tokenKinds.filter((kind) => rows[kind]);
    const logits: Partial<Record<TokenKind, Tensor>> = {};
    for (const head of this.heads) {
      const mine = kinds.filter((kind) => this.headOf(kind) === head);
      if (mine.length === 0) continue;
      const joined = head.embed(together(mine, rows));
      const embedded = apart(joined, mine, rows);
      for (const layer of head.lastLayers) {
        const users = mine.filter((kind) => head.prototypesOf(kind) === layer);
        if (users.length === 0) continue;
        const all = users.length === mine.length;
        const scores = layer.forward(all ? joined : together(users, embedded));
        Object.assign(logits, apart(scores, users, embedded));
      }
    }
    return logits;
  }
}

/** Rows of several kinds, one kind after the other. */
function together(kinds: readonly TokenKind[], rows: PerKind<Tensor>): Tensor {
  const all = kinds.map((kind) => rows[kind]!);
  return all.length === 1 ? all[0]! : cat(all, 0);
}

/** The reverse: as many rows for each kind as `like` has. */
function apart(
  joined: Tensor,
  kinds: readonly TokenKind[],
  like: PerKind<Tensor>,
): PerKind<Tensor> {
  let from = 0;
  return Object.fromEntries(
    kinds.map((kind) => {
      const [length] = like[kind]!.dims(2);
      from += length;
      return [kind, joined.narrow(0, from - length, length)];
    }),
  );
}

/** Mean and deviation of ImageNet's RGB channels on a 0..1 scale: what every recipe normalises by. */
export const imageNet = { mean: [0.485, 0.456, 0.406], std: [0.229, 0.224, 0.225] } as const;

/**
 * Pixels to network input.
 *
 * @param pixels [B, 3, H, W]; floats are taken as they are
 * @returns [B, 3, H, W] float32, (x / 255 - mean) / std per channel
 */
export function normalise(pixels: Pixels, shape: readonly number[], device = "cpu"): Tensor {
  if (pixels instanceof Float32Array) return fromBuffer(pixels, shape).to({ device });
  return standardise(fromBuffer(pixels, shape).to({ device }).float());
}

/** Values 0..255 [B, 3, H, W] to network input, in place; see {@link normalise}. */
export function standardise(values: Tensor): Tensor {
  const perChannel = (numbers: readonly number[]): Tensor =>
    tensor(Float32Array.from(numbers), [1, 3, 1, 1], { device: values.device });
  return values
    .mul_(perChannel(imageNet.std.map((std) => 1 / (255 * std))))
    .sub_(perChannel(imageNet.mean.map((mean, c) => mean / imageNet.std[c]!)));
}
