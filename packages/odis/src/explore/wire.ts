/** What the page and its server tell each other: JSON, one type for each path below `/api/`. */

/** `/api/store` */
export interface StoreFacts {
  readonly name: string;
  readonly objects: number;
  readonly images: number;
  /** what made its vectors, in words */
  readonly model: string;
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
}

/** `/api/image?row=0` */
export interface ImageFacts {
  readonly row: number;
  readonly key: string;
  readonly place: string;
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

/** `/api/near?object=0&top=24` and `/api/near?image=0&box=1,2,3,4&top=24`, best first. */
export interface NearList {
  readonly hits: readonly NearObject[];
}

/**
 * `/api/patches?image=0&x=10&y=20&in=0,5,9`: how like the patches of some images are to the one at a
 * point of the first.
 */
export interface PatchMaps {
  readonly maps: readonly (PatchValues & { readonly image: number })[];
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

/** `/api/map`: all objects on a plane, in the order of rows. */
export interface ObjectMap {
  /** [objects × 2] x, y, -1000..1000 */
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
