import { BadImageError } from "../core/index.js";
import type { OpenSource } from "./dataset.js";
import { isOrdinary, metadata, turns } from "./decode.js";
import { pictureGroups } from "./picture.js";
import { encodePng } from "./png.js";
import { ContactSheet } from "./sheet.js";

/** Shares of an image that a smallest object may be asked to cover. */
const LEAST = [0.001, 0.0025, 0.01, 0.04] as const;

/** Pictures on the contact sheet. */
const SHOWN = 25;

/** Lowest, quarter, middle, three quarters, highest. */
export type Spread = readonly [number, number, number, number, number];

/** What was found by reading images, spread evenly over the data set. */
export interface Inspection {
  readonly images: number;
  /** images that were read */
  readonly read: number;
  readonly widths: Spread | undefined;
  readonly heights: Spread | undefined;
  readonly objects: number;
  readonly perImage: Spread | undefined;
  /** images without an object, of those that were read */
  readonly bare: number;
  /** shares of their images that objects cover */
  readonly shares: Spread | undefined;
  /** objects below a least share, and images that would have none left */
  readonly below: readonly {
    readonly share: number;
    readonly objects: number;
    readonly images: number;
  }[];
  /** objects by class, most first; without a class last, under the name "" */
  readonly classes: readonly (readonly [name: string, objects: number])[];
  /** photographs that EXIF turns */
  readonly turned: number;
  /** names that show one picture */
  readonly copies: readonly (readonly string[])[];
  /** images that cannot be used, and why */
  readonly problems: readonly { readonly key: string; readonly reason: string }[];
  /** a PNG of some pictures with their masks */
  readonly sheet: Buffer | undefined;
}

export interface InspectOptions {
  /** images to read at most, spread over the data set; default 1000 */
  readonly limit?: number;
  readonly onProgress?: (done: number, of: number) => void;
  readonly signal?: AbortSignal;
}

/** Reads some images of a data set and says what they hold. */
export async function inspect(
  source: OpenSource,
  { limit = 1000, onProgress, signal }: InspectOptions = {},
): Promise<Inspection> {
  const count = Math.min(limit, source.size);
  const indices = Array.from({ length: count }, (_, at) => Math.floor((at * source.size) / count));
  const problems: { key: string; reason: string }[] = [];
  const [widths, heights, perImage, shares]: number[][] = [[], [], [], []];
  const below = LEAST.map((share) => ({ share, objects: 0, images: 0 }));
  const byClass = new Map<string, number>();
  const sheet = new ContactSheet();
  const shown = new Set(indices.filter((_, at) => at % Math.ceil(count / SHOWN) === 0));
  let turned = 0;
  for (const [at, index] of indices.entries()) {
    signal?.throwIfAborted();
    try {
      const sample = await source.read(index);
      const pixels = sample.width * sample.height;
      const covered = sample.objects.map(({ area }) => area / pixels);
      widths!.push(sample.width);
      heights!.push(sample.height);
      perImage!.push(covered.length);
      shares!.push(...covered);
      for (const entry of below) {
        const small = covered.filter((share) => share < entry.share).length;
        entry.objects += small;
        entry.images += Number(small > 0 && small === covered.length);
      }
      for (const { label } of sample.objects) {
        const name = source.classes[label] ?? "";
        byClass.set(name, (byClass.get(name) ?? 0) + 1);
      }
      turned += Number(await isTurned(source, index));
      if (shown.has(index)) await sheet.add(sample);
    } catch (error) {
      if (!(error instanceof BadImageError)) throw error;
      problems.push({ key: error.key, reason: error.reason });
    }
    onProgress?.(at + 1, count);
  }
  const drawn = widths!.length > 0 ? sheet.draw() : undefined;
  return {
    images: source.size,
    read: widths!.length,
    widths: spread(widths!),
    heights: spread(heights!),
    objects: shares!.length,
    perImage: spread(perImage!),
    bare: perImage!.filter((objects) => objects === 0).length,
    shares: spread(shares!),
    below,
    classes: [...byClass].toSorted(
      ([a, m], [b, n]) => Number(a === "") - Number(b === "") || n - m || (a < b ? -1 : 1),
    ),
    turned,
    copies: await copiesOf(source, indices),
    problems,
    sheet: drawn && (await encodePng(drawn.rgb, drawn.width, drawn.height)),
  };
}

async function isTurned(source: OpenSource, index: number): Promise<boolean> {
  const file = await source.file?.(index);
  return file !== undefined && !isOrdinary(file) && turns(await metadata(file));
}

function spread(values: number[]): Spread | undefined {
  if (values.length === 0) return undefined;
  const sorted = Float64Array.from(values).toSorted();
  const at = (share: number) => sorted[Math.round(share * (sorted.length - 1))]!;
  return [at(0), at(0.25), at(0.5), at(0.75), at(1)];
}

async function copiesOf(source: OpenSource, indices: readonly number[]): Promise<string[][]> {
  const groups = await pictureGroups(source, indices);
  const names = new Map<number, string[]>();
  for (const [at, group] of groups.entries()) {
    const list = names.get(group) ?? [];
    list.push(source.key(indices[at]!));
    names.set(group, list);
  }
  return [...names.values()].filter((list) => list.length > 1);
}
