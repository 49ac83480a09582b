/** Planar RGB: bytes 0..255 as the loader makes them, or floats that are normalised already. */
export type Pixels = Uint8Array | Float32Array;

/** A batch in host memory. Rows are view-major: index = view * B + image. */
export interface Batch {
  /** step of the run that this batch belongs to, from 0 */
  readonly step: number;
  /** B, images */
  readonly size: number;
  /** O, rows for objects that every image has; one with fewer leaves its last rows empty */
  readonly objects: number;
  /** names of the images, in batch order */
  readonly keys: readonly string[];
  readonly global: GlobalViews;
  readonly local: LocalViews;
  readonly stats: BatchStats;
}

/** Large views: teacher and student see them. */
export interface GlobalViews {
  /** G */
  readonly views: number;
  /** side S, pixels */
  readonly size: number;
  /** [G, B, 3, S, S] */
  readonly pixels: Pixels;
  /** [G, B, O, N], 1 = the patch belongs to the object: its [OBJ] may look at it */
  readonly visible: Uint8Array;
  /** [G, B, N], 1 = the student must guess the patch */
  readonly hidden: Uint8Array;
  /** [G, B, O], 1 = the object is in the view */
  readonly present: Uint8Array;
}

/** Small views: students only. */
export interface LocalViews {
  /** L, may be 0 */
  readonly views: number;
  /** side s, pixels */
  readonly size: number;
  /** [L, B, 3, s, s] */
  readonly pixels: Pixels;
  /** [L, B, O, n], as in global views; undefined unless `views.locals.masked` */
  readonly visible?: Uint8Array;
  /**
   * [L, B, O], 1 = counts as showing the object: every view for every object that there is, unless
   * `views.locals` says `masked` or `aware`; then 1 = the object is in the view
   */
  readonly present: Uint8Array;
}

export interface BatchStats {
  /** crops drawn per global view, mean over the batch: [G] */
  readonly tries: readonly number[];
  /**
   * share of (global view, object) in which the object is not present, 0..1, over the objects that
   * there are; an image without any counts as one that is never present
   */
  readonly absent: number;
  /** images that could not be used; each was replaced by another */
  readonly skipped: readonly { readonly key: string; readonly reason: string }[];
}
