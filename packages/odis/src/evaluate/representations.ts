import type { Network } from "../model/index.js";
import {
  type Consumer,
  type Extractor,
  type InferenceMode,
  NetworkFeatures,
  Passes,
  type PassReader,
} from "../features/index.js";
import type { CommonSettings } from "./suite.js";
import { PixelExtractor, pixelWidth } from "./pixels.js";
import { type Columns, probedBlocks, type ProbedFeature, probedFeatures } from "./probe.js";

/** Whose features are compared. */
export const representationNames = ["pixels", "untrained", "trained"] as const;
export type RepresentationName = (typeof representationNames)[number];

export interface Extraction {
  /** side of the framed images, pixels */
  readonly size: number;
  /** whether its rows hold all columns that probes are tried on, or the summary alone */
  readonly wide: boolean;
  /** of the same passes */
  readonly readers: readonly PassReader[];
}

/** A way to come from an object in an image to a feature. */
export interface Representation {
  readonly name: RepresentationName;
  readonly network?: Network;
  readonly extractor: (mode: InferenceMode, how: Extraction) => Extractor;
  /** the columns that are compared by similarity */
  readonly summary: (wide: boolean) => Columns;
  /** those that linear classifiers are tried on, of wide rows */
  readonly probed: readonly ProbedFeature[];
  /** shows readers the whole images; for when no extractor's passes do */
  readonly whole?: (readers: readonly PassReader[]) => Consumer;
}

export function rawPixels(): Representation {
  const all = { from: 0, width: pixelWidth };
  return {
    name: "pixels",
    extractor: (mode) => new PixelExtractor(mode),
    summary: () => all,
    probed: [{ ...all, blocks: 0, average: false }],
  };
}

/** Where linear probes want several blocks, the same passes give them. */
export function networkTokens(
  name: RepresentationName,
  network: Network,
  { size, feature: kind }: Pick<CommonSettings, "size" | "feature">,
): Representation {
  const { depth, dim } = network.backbone.config;
  return {
    name,
    network,
    whole: (readers) => new Passes(network, "none", kind, size, readers),
    extractor: (mode, { size: side, wide, readers }) =>
      new NetworkFeatures(network, {
        mode,
        size: side,
        kind,
        readers,
        blocks: wide ? probedBlocks : 1,
        average: wide && kind === "token",
      }),
    summary: (wide) => ({
      from: wide ? (Math.min(probedBlocks, depth) - 1) * dim : 0,
      width: dim,
    }),
    probed: probedFeatures(depth, dim, kind),
  };
}
