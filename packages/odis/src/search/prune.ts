import type { DataSource } from "../data/index.js";
import {
  type Manifest,
  nextShard,
  removeLeftovers,
  type ShardEntry,
  shardName,
  writeManifest,
} from "./manifest.js";
import { isSkipped, readLines, readShard, type Shard, writeShard } from "./shard.js";

/**
 * A store without the images that its source has no more. Shards that change are written anew under
 * new names, so that the store is as before or as after, whatever happens.
 *
 * @param place whose images
 */
export function pruned(
  store: string,
  manifest: Manifest,
  place: number,
  source: DataSource,
): { readonly manifest: Manifest; readonly dropped: number } {
  const there = new Set(Array.from({ length: source.size }, (_, image) => source.key(image)));
  let dropped = 0;
  let next = nextShard(manifest);
  const shards = manifest.shards.flatMap((entry): ShardEntry[] => {
    if (entry.place !== place) return [entry];
    const lines = readLines(store, entry);
    const gone = lines.filter(({ image }) => !there.has(image)).length;
    dropped += gone;
    if (gone === 0) return [entry];
    if (gone === lines.length) return [];
    const { width } = manifest.model;
    const all = { lines, ...readShard(store, manifest, entry) };
    const rest = restOf(all, width, (image) => there.has(image));
    const written = writeShard(store, { name: shardName(next), place, width }, rest);
    next += 1;
    return [written];
  });
  if (dropped === 0) return { manifest, dropped };
  const after = { ...manifest, index: undefined, shards };
  writeManifest(store, after);
  removeLeftovers(store, after);
  return { manifest: after, dropped };
}

function restOf(
  { lines, images, objects, patches }: Shard,
  width: number,
  stays: (image: string) => boolean,
): Shard {
  const rows = { images: [] as number[], objects: [] as number[] };
  let [image, object] = [0, 0];
  for (const line of lines) {
    if (isSkipped(line)) continue;
    const here = line.objects.map((_, at) => object + at);
    if (stays(line.image)) {
      rows.images.push(image);
      rows.objects.push(...here);
    }
    image += 1;
    object += here.length;
  }
  return {
    lines: lines.filter((line) => stays(line.image)),
    images: picked(images, width, rows.images),
    objects: picked(objects, width, rows.objects),
    ...(patches ? { patches: rows.images.map((row) => patches[row]!) } : {}),
  };
}

function picked(from: Float32Array, width: number, rows: readonly number[]): Float32Array {
  const out = new Float32Array(rows.length * width);
  for (const [to, row] of rows.entries())
    out.set(from.subarray(row * width, (row + 1) * width), to * width);
  return out;
}
