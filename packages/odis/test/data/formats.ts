import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { type DataSpec, openSource } from "../../src/data/dataset.js";
import { formatCounts, rleFromMask } from "../../src/objects/rle.js";

export const formats = join(import.meta.dirname, "../fixtures/formats");

interface Expected {
  readonly width: number;
  readonly height: number;
  /** by file name: the objects in the order of the files */
  readonly pictures: Readonly<
    Record<string, readonly Record<"name" | "outline" | "box", string>[]>
  >;
}

/** What `make.py` says a reader has to find. */
export const expected: Expected = JSON.parse(readFileSync(join(formats, "expected.json"), "utf8"));

/** Objects of each picture as [class, run lengths], by file name. */
export async function found(spec: DataSpec): Promise<Record<string, [string, string][]>> {
  const source = await openSource(spec);
  const pictures: Record<string, [string, string][]> = {};
  for (let image = 0; image < source.size; image += 1) {
    const { key, width, height, rgb, objects } = await source.read(image);
    expect(rgb).toHaveLength(3 * width * height);
    pictures[key.split("/").at(-1)!] = objects.map((object) => {
      const { counts } = rleFromMask(object.pixels(), width, height);
      return [source.classes[object.label] ?? "-", formatCounts(counts)];
    });
  }
  return pictures;
}

/** The same, as it should be: outlines, or only their boxes. */
export function wanted(
  mask: (picture: string) => "outline" | "box",
  pictures = Object.keys(expected.pictures),
): Record<string, [string, string][]> {
  return Object.fromEntries(
    pictures.map((picture) => [
      picture,
      expected.pictures[picture]!.map((object) => [object.name, object[mask(picture)]]),
    ]),
  );
}
