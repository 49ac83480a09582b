/** What the explorer's page is told, by its server (JSON below `/api/`) or by files. */
import type { Frame } from "./geometry.js";

/** `/api/store` */
export interface StoreFacts {
  readonly name: string;
  readonly objects: number;
  readonly images: number;
  /** whose vectors it is searched by: its own network, then that of a store beside it */
  readonly networks: readonly {
    /** of the store */
    readonly name: string;
    /** what the network is, in words */
    readonly model: string;
  }[];
  /** by their number of objects, most first; objects without a class are none */
  readonly classes: readonly { readonly name: string; readonly count: number }[];
  /** stands in the addresses of pictures, so that a browser does not show another store's */
  readonly version: string;
}

/** An object as lists show it. */
export interface ObjectFacts {
  readonly row: number;
  /** row of its image */
  readonly image: number;
  readonly key: string;
  readonly class: string | null;
  readonly score: number | null;
}

/**
 * `/api/objects?from=0&count=100&class=NAME`: a part of the library, in its order; `/api/objects?rows=3,5`:
 * some of it.
 */
export interface ObjectList {
  /** of the class, or in all */
  readonly total: number;
  readonly objects: readonly ObjectFacts[];
}

/** An object with where it is. */
export interface OutlinedObject extends ObjectFacts {
  readonly box: readonly [x: number, y: number, width: number, height: number];
  /** its outline as the path of an SVG whose units are those of `width` and `height` */
  readonly outline: string;
  /** of a library of files with a network: its patches as that sees them, as `packedBits` writes them */
  readonly patches?: string | undefined;
}

/** `/api/image?row=0` */
export interface ImageFacts {
  readonly row: number;
  readonly key: string;
  readonly width: number;
  readonly height: number;
  readonly objects: readonly OutlinedObject[];
}

/** What is like the query, with the size of its photograph. */
export interface NearObject extends OutlinedObject {
  /** cosine, -1..1 */
  readonly similarity: number;
  readonly width: number;
  readonly height: number;
}

/**
 * `/api/near?object=0&top=24`, `/api/near?image=0&box=1,2,3,4&top=24`, or `point=1,2`, or nothing for all of
 * the photograph; `own=0` in place of `image` for a visitor's. `network=1` asks the store beside. Best first.
 */
export interface NearList {
  readonly hits: readonly NearObject[];
  /** of what was taken for the thing at a point */
  readonly outline: string | null;
}

/** `/api/photo`, with a file in the request: a photograph of the visitor's own, for questions about it. */
export interface OwnPhoto {
  readonly own: number;
  readonly width: number;
  readonly height: number;
}

/**
 * `/api/patches?image=0&x=10&y=20&in=0,5,9`: how like the patches of a photograph, and of some others, are
 * to the one at a point of it.
 */
export interface PatchMaps {
  readonly here: PatchValues;
  readonly others: readonly (PatchValues & { readonly image: number })[];
}

/** A value for each patch of a grid on a photograph. */
export interface PatchValues {
  /** patches in a row, and in a column */
  readonly side: number;
  /** the part of the photograph that the grid lies on, pixels */
  readonly region: readonly [x: number, y: number, width: number, height: number];
  /** [side, side]: cosines times 100, whole numbers */
  readonly values: readonly number[];
}

/** `/api/attention?object=0&block=11`: where a token looks, with the object's mask and without. */
export interface AttentionMaps extends Omit<PatchValues, "values"> {
  /** which */
  readonly token: string;
  readonly blocks: number;
  readonly block: number;
  /** [heads][side, side]: shares of a head's attention, per mille */
  readonly masked: readonly (readonly number[])[];
  readonly open: readonly (readonly number[])[];
}

/** Units of the map from its middle to its ends: fine enough to be enlarged two hundred times. */
export const MAP_HALF = 50_000;

/** `/api/map`: all objects on a plane, in the order of rows. */
export interface ObjectMap {
  /** [objects × 2] x, y, whole numbers, -MAP_HALF..MAP_HALF */
  readonly places: readonly number[];
  /** [objects] index into the classes of the store, -1 for none */
  readonly classes: readonly number[];
  /** share of the variance that the plane keeps, 0..1 */
  readonly kept: number;
}

/** Any path, when it cannot be answered. */
export interface Problem {
  readonly error: string;
}

/** What a network needs to be shown a picture as the library's were shown to it. */
export interface LookOptions {
  readonly frame: Frame;
  /** side of its input, pixels */
  readonly size: number;
  readonly patch: number;
  /** of the channels from 0 to 1 */
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** The network of a library of files, an ONNX file. */
export interface NetworkFacts extends LookOptions {
  readonly bytes: number;
  /** bytes of what runs it */
  readonly runtime: number;
  /** which of its outputs are vectors like the library's */
  readonly output: "object" | "cls" | "pooled";
  /** whether it takes the patches of several objects */
  readonly several: boolean;
  /** of its output `attention`; without it, it does not tell where it looks with a mask */
  readonly attention: {
    readonly token: AttentionMaps["token"];
    readonly heads: number;
    readonly blocks: number;
  } | null;
}

/** Of a library of files; a page reads its own release's only. */
export const folderVersion = 2;

/** `library.json` of a library of files; `folder.ts` says where its other files are. */
export interface LibraryFile {
  readonly odis: "explorer";
  readonly version: typeof folderVersion;
  readonly facts: StoreFacts;
  /** objects in one of its lists */
  readonly list: number;
  /** float32, little-endian, row by row */
  readonly vectors: { readonly width: number; readonly rows: number; readonly bytes: number };
  /** without it, visitors can look at what is there, and not ask for anything else */
  readonly network: NetworkFacts | null;
}
