import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import sharp from "sharp";
import { parseCounts } from "../../src/objects/rle.js";
import type { Corners, Picture } from "../../src/segment/found.js";
import { Network } from "../../src/segment/onnx/network.js";

/** A file beside the fixtures' scripts. */
export function fixture(name: string): string {
  return fileURLToPath(new URL(`../fixtures/masks/${name}`, import.meta.url));
}

/** What a library said of one photograph. */
export interface Said {
  readonly boxes?: readonly Corners[];
  readonly scores?: readonly number[];
  readonly labels?: readonly number[];
  readonly masks?: readonly string[];
}

/** What a library said of all of them, and how it was asked. */
export interface Record {
  readonly network: string;
  readonly adapter: string;
  readonly images: { readonly [name: string]: Said };
  readonly [setting: string]: unknown;
}

export function recorded(stem: string): Record {
  return JSON.parse(readFileSync(fixture(`${stem}.json`), "utf8")) as Record;
}

export function openFixture(name: string): Promise<Network> {
  return Network.open(fixture(name), { provider: "cpu", threads: 1 });
}

/** A photograph, decoded to the same bytes as Pillow's. */
export async function photograph(name: string): Promise<Picture> {
  const path = fileURLToPath(new URL(`../fixtures/coco-6/images/${name}`, import.meta.url));
  const { data, info } = await sharp(path).raw().toBuffer({ resolveWithObject: true });
  return { width: info.width, height: info.height, rgb: new Uint8Array(data) };
}

/** Intersection over union of two masks by their runs; 1 for two empty ones. */
export function maskIou(a: ArrayLike<number>, text: string): number {
  const b = parseCounts(text);
  let [inA, inB, atA, atB, leftA, leftB] = [false, false, 0, 0, a[0]!, b[0]!];
  let [shared, either] = [0, 0];
  while (atA < a.length && atB < b.length) {
    const step = Math.min(leftA, leftB);
    if (inA && inB) shared += step;
    if (inA || inB) either += step;
    leftA -= step;
    leftB -= step;
    if (leftA === 0) {
      atA += 1;
      leftA = a[atA] ?? 0;
      inA = !inA;
    }
    if (leftB === 0) {
      atB += 1;
      leftB = b[atB] ?? 0;
      inB = !inB;
    }
  }
  return either === 0 ? 1 : shared / either;
}
