import type { SceneObject } from "../objects/object.js";

/** One picture and the objects in it. Plain host memory: no tensor exists before batching. */
export interface Sample {
  /** Names the picture in errors, logs and reports; unique within its source. */
  readonly key: string;
  readonly width: number;
  readonly height: number;
  /** height × width × 3, row-major. */
  readonly rgb: Uint8Array;
  /** May be empty: views are then cut freely. */
  readonly objects: readonly SceneObject[];
}

/** Where samples come from. `read` is pure: the same index gives the same sample. */
export interface DataSource {
  /** Number of samples; indices run from 0 to size - 1. */
  readonly size: number;
  /** Names of the labels, by `SceneObject.label`; empty where nothing is labelled. */
  readonly classes: readonly string[];
  key(index: number): string;
  /** @throws BadImageError for a picture that cannot be used; the loader skips and names it */
  read(index: number): Promise<Sample>;
}
