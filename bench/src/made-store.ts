import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { shardName, writeManifest, writeShard } from "../../packages/odis/dist/search/index.js";

/** An image of a made-up store, with its objects. */
type MadeImage = Parameters<typeof writeShard>[2]["lines"][number];

export interface MadeStore {
  readonly shards: number;
  /** in a shard */
  readonly images: number;
  /** in an image */
  readonly objects: number;
  readonly width: number;
  /** of the pictures, as the command line names it */
  readonly place: string;
  /** @param image counted over all shards */
  readonly image: (image: number) => MadeImage;
  /** [width] of an object, counted over all shards */
  readonly vector: (object: number) => Float32Array;
}

/**
 * Writes a store as `odis embed` does, of a network that there is not; its images are like the first object of each.
 *
 * @returns its objects
 */
export function writeMadeStore(path: string, store: MadeStore): number {
  const { images, objects, width, place, image, vector } = store;
  mkdirSync(join(path, "shards"), { recursive: true });
  const shards = Array.from({ length: store.shards }, (_, shard) => {
    const lines = Array.from({ length: images }, (_unused, at) => image(shard * images + at));
    const vectors = new Float32Array(images * objects * width);
    const wholes = new Float32Array(images * width);
    for (let row = 0; row < images * objects; row += 1) {
      const one = vector(shard * images * objects + row);
      vectors.set(one, row * width);
      if (row % objects === 0) wholes.set(one, (row / objects) * width);
    }
    return writeShard(
      path,
      { name: shardName(shard), place: 0, width },
      { lines, images: wholes, objects: vectors },
    );
  });
  const model = { from: "/nowhere", sha256: "0".repeat(64), recipe: "bench", size: 224 };
  writeManifest(path, {
    odis: "store",
    version: 1,
    model: { ...model, frame: "whole", width },
    places: [place],
    shards,
  });
  return store.shards * images * objects;
}
