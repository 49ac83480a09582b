import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import sharp from "sharp";
import type { CocoSpec } from "../../src/data/readers/coco.js";
import { Rng } from "../../src/core/rng.js";

const size = { width: 64, height: 48 };

/** A new folder for files of a test. */
export function scratchFolder(): string {
  return mkdtempSync(join(tmpdir(), "odis-evaluate-"));
}

/**
 * A COCO data set of real files: noise, a red rectangle and a green triangle in each picture, at
 * places that follow from the seed.
 *
 * @param names file names, one a picture
 */
export async function tinyCoco(
  folder: string,
  names: readonly string[],
  seed: number,
): Promise<CocoSpec> {
  const images = join(folder, "images");
  mkdirSync(images, { recursive: true });
  const annotations: object[] = [];
  for (const [index, name] of names.entries()) {
    const rng = new Rng("tiny", seed, index);
    const rgb = Uint8Array.from({ length: 3 * size.width * size.height }, () => rng.int(90, 160));
    const [rx, ry] = [rng.int(2, 12), rng.int(4, 20)];
    const [tx, ty] = [rng.int(34, 40), rng.int(4, 20)];
    for (let y = 0; y < 20; y += 1)
      for (let x = 0; x < 20; x += 1) {
        paint(rgb, rx + x, ry + y, [220, 30, 30]);
        if (x <= y) paint(rgb, tx + x, ty + y, [20, 200, 40]);
      }
    await sharp(rgb, { raw: { ...size, channels: 3 } })
      .png()
      .toFile(join(images, name));
    const common = { image_id: index + 1, iscrowd: 0 };
    annotations.push(
      {
        ...common,
        id: 2 * index + 1,
        category_id: 7,
        bbox: [rx, ry, 20, 20],
        area: 400,
        segmentation: [[rx, ry, rx + 20, ry, rx + 20, ry + 20, rx, ry + 20]],
      },
      {
        ...common,
        id: 2 * index + 2,
        category_id: 9,
        bbox: [tx, ty, 20, 20],
        area: 200,
        segmentation: [[tx, ty, tx + 20, ty + 20, tx, ty + 20]],
      },
    );
  }
  const file = {
    images: names.map((file_name, index) => ({ id: index + 1, file_name, ...size })),
    annotations,
    categories: [
      { id: 7, name: "rectangle" },
      { id: 9, name: "triangle" },
    ],
  };
  writeFileSync(join(folder, "instances.json"), JSON.stringify(file));
  return { kind: "coco", images, annotations: join(folder, "instances.json") };
}

function paint(rgb: Uint8Array, x: number, y: number, color: readonly number[]): void {
  for (let c = 0; c < 3; c += 1) rgb[3 * (y * size.width + x) + c] = color[c]!;
}
