import { mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { formatCounts } from "../../src/objects/index.js";
import { openStore, type Store } from "../../src/search/index.js";
import { writeManifest } from "../../src/search/manifest.js";
import { writeShard } from "../../src/search/shard.js";

const photos = new URL("../fixtures/coco-6", import.meta.url).pathname;

/**
 * A store of any size without a network: its images are six photographs again and again, its vectors
 * what `value` says of each number.
 */
export function madeStore(
  path: string,
  of: {
    readonly shards: number;
    /** in a shard */
    readonly images: number;
    /** in an image */
    readonly objects: number;
    readonly width: number;
  },
  value: (object: number, at: number) => number = (object, at) =>
    Math.sin(1 + of.width * object + at),
  place = `coco:${photos}`,
): Store {
  mkdirSync(join(path, "shards"), { recursive: true });
  const told: { images: { file_name: string; width: number; height: number }[] } = JSON.parse(
    readFileSync(join(photos, "instances.json"), "utf8"),
  );
  const { width } = of;
  const perShard = of.images * of.objects;
  const shards = Array.from({ length: of.shards }, (_, shard) => {
    const lines = Array.from({ length: of.images }, (_, image) => {
      const picture = told.images[image % told.images.length]!;
      const objects = Array.from({ length: of.objects }, (_, id) => ({
        id,
        box: [10 * id, 0, 40, 30] as [number, number, number, number],
        rle: formatCounts([0, picture.width * picture.height]),
        class: `class ${id}`,
      }));
      return { image: picture.file_name, width: picture.width, height: picture.height, objects };
    });
    const vectors = (rows: number) =>
      Float32Array.from({ length: rows * width }, (_, at) =>
        value(shard * perShard + Math.floor(at / width), at % width),
      );
    const name = String(shard).padStart(6, "0");
    const both = { images: vectors(of.images), objects: vectors(perShard) };
    return writeShard(path, { name, place: 0, width }, { lines, ...both });
  });
  const model = {
    from: "/nowhere",
    sha256: "0".repeat(64),
    recipe: "odis",
    size: 32,
    frame: "whole",
  } as const;
  writeManifest(path, {
    odis: "store",
    version: 1,
    model: { ...model, width },
    places: [place],
    shards,
  });
  return openStore(path);
}
