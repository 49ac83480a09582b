import { createHash } from "node:crypto";
import type { DataSource } from "../data/index.js";
import { BadImageError } from "../core/index.js";
import type { SceneObject } from "../objects/index.js";
import { World } from "../train/index.js";
import { degradeObjects, type MaskConfig } from "../views/index.js";
import {
  type FramedImage,
  type FramedObject,
  frameObject,
  type FrameOptions,
  framePixels,
  wholeFrame,
} from "./frame.js";

/** One labelled object and where it comes from. */
export interface Item {
  /** name of its image */
  readonly key: string;
  /** index of its image in the source */
  readonly image: number;
  /** index of the first image that shows the same picture: `image` itself, nearly always */
  readonly picture: number;
  /** its index in the image's objects */
  readonly object: number;
  /** pixels of its mask, of the original image */
  readonly area: number;
}

/** Is shown every image that has an object to work with, once, in order; in each process those that it reads. */
export interface Consumer {
  push(image: FramedImage): void;
  /** after the last image */
  finish(): void;
}

/** Turns images into feature rows, one per object, in the order in which they are pushed. */
export interface Extractor extends Consumer {
  /** when it has finished */
  rows(): FeatureRows;
}

export interface FeatureRows {
  /** [n, width], row-major */
  readonly features: Float32Array;
  readonly width: number;
}

/** Two images that show one picture. */
export interface Repetition {
  readonly key: string;
  /** name of the other one */
  readonly as: string;
}

/** What an evaluation left out, and why. */
export interface Omissions {
  /** images that could not be read */
  readonly skipped: readonly { readonly key: string; readonly reason: string }[];
  /** images whose picture is in the other data set, too */
  readonly shared: readonly Repetition[];
  /** objects too small to cover a pixel of the framed image, or outside the frame */
  readonly lost: number;
  /** objects without a class */
  readonly unlabelled: number;
  /** objects under `minArea` */
  readonly small: number;
}

export interface GatherOptions extends FrameOptions {
  /** images to read at most; the first ones */
  readonly limit?: number | undefined;
  /** objects that cover less than this share of their image are left out, 0..1 */
  readonly minArea?: number | undefined;
  /** objects without a class are items, too, of label -1; default: they are left out */
  readonly unlabelled?: boolean | undefined;
  /** how good the masks are that the network is told; default: as annotated */
  readonly masks?: MaskConfig | undefined;
  /** names of images of another data set by their pictures: nothing is an item in both */
  readonly elsewhere?: ReadonlyMap<string, string> | undefined;
  /** the processes that share the images; all of them call this with the same options. Default: alone */
  readonly world?: World | undefined;
  /** of this process's images */
  readonly onProgress?: ((done: number, of: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** The objects of a source, in the order in which consumers were shown them; those of all processes. */
export interface Gathered {
  readonly items: readonly Item[];
  /** [n] classes */
  readonly labels: Int32Array;
  /** the rows that this process's consumers were shown */
  readonly own: { readonly first: number; readonly count: number };
  /** images that were read */
  readonly images: number;
  /** their names by their pictures; the first one of those that show the same */
  readonly pictures: ReadonlyMap<string, string>;
  /** images that show a picture once more; they stay, but never stand on two sides of anything */
  readonly repeated: readonly Repetition[];
  readonly omitted: Omissions;
}

/** Images being decoded while the engine works on earlier ones. */
const readAhead = 8;

/**
 * Reads a source once and feeds every consumer; images that cannot be read are named and left out.
 * Of several processes each reads its share of the images, and feeds consumers with that alone.
 */
export async function gather(
  source: DataSource,
  options: GatherOptions,
  consumers: readonly Consumer[],
): Promise<Gathered> {
  const { world = World.alone } = options;
  const of = Math.min(source.size, options.limit ?? source.size);
  const [begin, end] = [world.rank, world.rank + 1].map((at) => Math.floor((of * at) / world.size));
  const mine = await world.together(readShare(source, options, consumers, begin!, end!));
  return gathered(world, mine);
}

/** What a process finds in its share of the images; plain JSON. */
interface ReadShare {
  readonly items: readonly Omit<Item, "picture">[];
  readonly labels: readonly number[];
  /** images of this data set alone that could be read: which picture each shows */
  readonly seen: readonly {
    readonly index: number;
    readonly key: string;
    readonly shown: string;
  }[];
  readonly images: number;
  readonly omitted: Omissions;
}

async function readShare(
  source: DataSource,
  options: GatherOptions,
  consumers: readonly Consumer[],
  begin: number,
  end: number,
): Promise<ReadShare> {
  const items: Omit<Item, "picture">[] = [];
  const labels: number[] = [];
  const skipped: { key: string; reason: string }[] = [];
  const shared: Repetition[] = [];
  const seen: ReadShare["seen"][number][] = [];
  const counts = { lost: 0, unlabelled: 0, small: 0 };
  let images = 0;
  const take = (index: number, { sample, picture: shown }: Opened): void => {
    images += 1;
    const { key } = sample;
    const other = options.elsewhere?.get(shown);
    if (other !== undefined) {
      shared.push({ key, as: other });
      return;
    }
    seen.push({ index, key, shown });
    const objects = frameObjects(sample, options, counts);
    if (objects.length === 0) return;
    const image = { index, sample, pixels: framePixels(sample, options), objects };
    for (const consumer of consumers) consumer.push(image);
    for (const { index: object, object: found } of objects) {
      items.push({ key, image: index, object, area: found.area });
      labels.push(found.label);
    }
  };
  for await (const { index, read } of readInOrder(source, begin, end, options.signal)) {
    if (read instanceof BadImageError) skipped.push({ key: read.key, reason: read.reason });
    else take(index, read);
    options.onProgress?.(index + 1 - begin, end - begin);
  }
  for (const consumer of consumers) consumer.finish();
  return { items, labels, seen, images, omitted: { skipped, shared, ...counts } };
}

/** What all processes have found, in the order of the images. */
function gathered(world: World, mine: ReadShare): Gathered {
  const all = world.shareValues(mine);
  const pictures = new Map<string, { readonly index: number; readonly key: string }>();
  const firsts = new Map<number, number>(); // of images that show a picture once more
  const repeated: Repetition[] = [];
  for (const { index, key, shown } of all.flatMap(({ seen }) => seen)) {
    const first = pictures.get(shown);
    if (first === undefined) pictures.set(shown, { index, key });
    else {
      firsts.set(index, first.index);
      repeated.push({ key, as: first.key });
    }
  }
  const total = (of: (share: ReadShare) => number): number =>
    all.reduce((sum, share) => sum + of(share), 0);
  return {
    items: all.flatMap(({ items }) =>
      items.map(({ key, image, object, area }) => {
        const picture = firsts.get(image) ?? image;
        return { key, image, picture, object, area };
      }),
    ),
    labels: Int32Array.from(all.flatMap(({ labels }) => labels)),
    own: {
      first: all.slice(0, world.rank).reduce((sum, { items }) => sum + items.length, 0),
      count: mine.items.length,
    },
    images: total(({ images }) => images),
    pictures: new Map([...pictures].map(([shown, { key }]) => [shown, key])),
    repeated,
    omitted: {
      skipped: all.flatMap(({ omitted }) => omitted.skipped),
      shared: all.flatMap(({ omitted }) => omitted.shared),
      lost: total(({ omitted }) => omitted.lost),
      unlabelled: total(({ omitted }) => omitted.unlabelled),
      small: total(({ omitted }) => omitted.small),
    },
  };
}

type Sample = Awaited<ReturnType<DataSource["read"]>>;

/** An image with a text that is equal for images that show the same picture. */
interface Opened {
  readonly sample: Sample;
  readonly picture: string;
}

/**
 * A text that is equal for images that show the same picture. A source that does not tell is asked
 * for the picture itself.
 *
 * @param sample where it has been read already
 */
export async function pictureOf(
  source: DataSource,
  index: number,
  sample?: Sample,
): Promise<string> {
  if (source.picture) return source.picture(index);
  const { width, height, rgb } = sample ?? (await source.read(index));
  return createHash("sha1").update(`${width}x${height}:`).update(rgb).digest("base64");
}

async function* readInOrder(
  source: DataSource,
  begin: number,
  end: number,
  signal?: AbortSignal,
): AsyncGenerator<{ readonly index: number; readonly read: Opened | BadImageError }> {
  const open = async (index: number): Promise<Opened | BadImageError> => {
    try {
      const sample = await source.read(index);
      return { sample, picture: await pictureOf(source, index, sample) };
    } catch (error) {
      if (error instanceof BadImageError) return error;
      throw error;
    }
  };
  const waiting: Promise<Opened | BadImageError>[] = [];
  for (let index = begin; index < end; index += 1) {
    signal?.throwIfAborted();
    while (waiting.length < readAhead && index + waiting.length < end) {
      const next = open(index + waiting.length);
      next.catch(() => undefined); // reported when its turn comes
      waiting.push(next);
    }
    yield { index, read: await waiting.shift()! };
  }
}

function frameObjects(
  sample: Sample,
  options: GatherOptions,
  counts: { lost: number; unlabelled: number; small: number },
): FramedObject[] {
  const least = (options.minArea ?? 0) * sample.width * sample.height;
  const told = options.masks ? degradeObjects(sample, options.masks) : sample;
  return sample.objects.flatMap((object, index) => {
    if (object.label < 0 && options.unlabelled !== true) counts.unlabelled += 1;
    else if (object.area < least) counts.small += 1;
    else {
      const framed = frameObject(sample, object, options);
      if (framed && told === sample) return [{ index, object, seen: object, ...framed }];
      if (framed) return [{ index, object, ...seenIn(told, object, options) }];
      counts.lost += 1;
    }
    return [];
  });
}

/**
 * An object as degraded masks show it. One that was overlooked, or displaced out of the frame, is
 * pointed at by nobody: the whole frame stands in for it, so that it stays an item.
 */
function seenIn(
  told: Sample,
  { id, label }: SceneObject,
  options: GatherOptions,
): Pick<FramedObject, "seen" | "inside" | "visible"> {
  const seen = told.objects.find((object) => object.id === id);
  const framed = seen && frameObject(told, seen, options);
  if (framed) return { seen, ...framed };
  const whole = { id, label, ...wholeFrame(told, options.frame) };
  return { seen: whole, ...frameObject(told, whole, options)! };
}
