import { DataError, plain, readJsonLists, record, show, WHOLE } from "../../core/index.js";
import { boxRle, parsePolygons, parseRle } from "../../objects/index.js";
import type { IndexBuilder } from "../index-builder.js";
import { Mistakes } from "../mistakes.js";
import type { Place } from "../place.js";
import type { Shape } from "../packed-index.js";

/** What an annotation file of this family is called in messages. */
export interface CocoFormat {
  /** "COCO's instances format" */
  readonly name: string;
  /** name of an image's file, from its record; undefined if there is none */
  readonly fileName: (image: Readonly<Record<string, unknown>>) => unknown;
}

type Id = number | string;

interface Sizes {
  readonly width: number;
  readonly height: number;
}

/**
 * Reads and checks an annotation file in COCO's instances format or a relative of it into an index,
 * entry by entry, whatever its size and the order of its lists.
 *
 * Labels are positions in the returned classes, which follow the category ids. An annotation without
 * a segmentation gets its box as mask. Regions marked `iscrowd` are no single object and are left
 * out unless `crowd` asks for them.
 *
 * @returns the classes
 * @throws DataError naming the file and, where there is one, the annotation and its image
 */
export async function readCoco(
  path: string,
  builder: IndexBuilder,
  place: Pick<Place, "find">,
  format: CocoFormat,
  crowd: boolean,
): Promise<readonly string[]> {
  const images = new Images(path, format);
  const categories = new Categories(path);
  const mistakes = new Mistakes(`annotation file ${path}`);
  const annotations = new Annotations(images, categories, builder, mistakes, crowd);
  let tooEarly = false;

  const rest = await readJsonLists(path, "annotation file", {
    images: (entry, index) => images.add(entry, index, builder),
    categories: (entry, index) => categories.add(entry, index),
    annotations: (entry, index) => {
      if (images.size === 0) tooEarly = true;
      else annotations.add(entry, index);
    },
  });
  for (const key of ["images", "annotations", "categories"]) {
    if (rest.lists.has(key)) continue;
    if (rest.lists.has(WHOLE))
      throw new DataError(
        `annotation file ${plain(path)} is a list, as detectors' results are; wanted ${format.name}, an ` +
          `object with the lists "images", "annotations" and "categories"`,
      );
    const found = rest.passed.has(key) ? "an object" : show(rest.values.get(key));
    throw new DataError(
      `annotation file ${plain(path)} is not in ${format.name}: "${key}" is ${found}; wanted the lists ` +
        `"images", "annotations" and "categories"`,
    );
  }
  if (images.size === 0)
    throw new DataError(
      `annotation file ${plain(path)}: "images" is empty; wanted at least one image`,
    );
  if (tooEarly)
    await readJsonLists(path, "annotation file", {
      annotations: (entry, index) => annotations.add(entry, index),
    });
  const { names, labels } = categories.finish(mistakes);
  mistakes.check();
  builder.relabel(labels);
  builder.rename(await place.find(images.files, plain(path)));
  return names;
}

/** The list of images, by id. */
class Images {
  readonly files: string[] = [];
  private readonly sizes: Sizes[] = [];
  private readonly byId = new Map<unknown, number>();

  constructor(
    private readonly path: string,
    private readonly format: CocoFormat,
  ) {}

  get size(): number {
    return this.files.length;
  }

  add(value: unknown, index: number, builder: IndexBuilder): void {
    const where = `${plain(this.path)}: images[${index}]`;
    const entry = record(value, where);
    const { id, width, height } = entry;
    const file = this.format.fileName(entry);
    if (!isId(id)) throw new DataError(`${where}: "id" is ${show(id)}; wanted a number`);
    if (typeof file !== "string" || file === "")
      throw new DataError(`${where}: "file_name" is ${show(file)}; wanted the name of a picture`);
    const named = `${where} (${plain(file)})`;
    if (!isSide(width) || !isSide(height))
      throw new DataError(
        `${named}: "width" and "height" are ${show(width)} and ${show(height)}; ` +
          `wanted whole numbers of pixels, 1 or more`,
      );
    if (this.byId.has(id)) throw new DataError(`${named}: image id ${show(id)} is used twice`);
    this.byId.set(id, this.files.length);
    this.files.push(file);
    this.sizes.push({ width, height });
    builder.image(file, { width, height });
  }

  /** The image's number and what is known of it. */
  find(id: unknown): { number: number; file: string; size: Sizes } | undefined {
    const number = this.byId.get(id);
    return number === undefined
      ? undefined
      : { number, file: this.files[number]!, size: this.sizes[number]! };
  }
}

/** The list of categories, which mostly comes after the annotations that refer to it. */
class Categories {
  private readonly names = new Map<Id, string>();
  /** provisional labels, in the order in which annotations mention them; and who did first */
  private readonly mentioned = new Map<unknown, { label: number; by: string; times: number }>();

  constructor(private readonly path: string) {}

  add(value: unknown, index: number): void {
    const where = `${plain(this.path)}: categories[${index}]`;
    const { id, name } = record(value, where);
    if (!isId(id) || typeof name !== "string")
      throw new DataError(`${where} is ${show(value)}; wanted a number "id" and a text "name"`);
    if (this.names.has(id)) throw new DataError(`${where}: category id ${show(id)} is used twice`);
    this.names.set(id, name);
  }

  /** @returns a provisional label */
  mention(id: unknown, by: string): number {
    const known = this.mentioned.get(id);
    if (known) {
      known.times += 1;
      return known.label;
    }
    const label = this.mentioned.size;
    this.mentioned.set(id, { label, by, times: 1 });
    return label;
  }

  /** @returns the classes in the order of their ids, and the label of each provisional one */
  finish(mistakes: Mistakes): { names: string[]; labels: number[] } {
    const sorted = [...this.names].toSorted(([a], [b]) => compareIds(a, b));
    const labels = new Map<unknown, number>(sorted.map(([id], label) => [id, label]));
    const found = [...this.mentioned].map(([id, { by, times }]) => {
      const label = labels.get(id);
      if (label === undefined)
        mistakes.note(
          new DataError(`${by}: "category_id" ${show(id)} is no category of the file`),
          times,
        );
      return label ?? -1;
    });
    return { names: sorted.map(([, name]) => name), labels: found };
  }
}

/** The list of annotations; each becomes an object of its image, a count, or a mistake. */
class Annotations {
  private readonly seen = new Set<Id>();

  constructor(
    private readonly images: Images,
    private readonly categories: Categories,
    private readonly builder: IndexBuilder,
    private readonly mistakes: Mistakes,
    private readonly crowd: boolean,
  ) {}

  add(value: unknown, index: number): void {
    this.mistakes.collect(() => this.read(value, `annotations[${index}]`, index));
  }

  private read(value: unknown, nth: string, index: number): void {
    const annotation = record(value, nth);
    const { id, image_id: imageId, category_id: categoryId } = annotation;
    if (!isId(id) || (typeof id === "number" && !Number.isInteger(id)))
      throw new DataError(`${nth}: "id" is ${show(id)}; wanted a whole number`);
    if (this.seen.has(id)) throw new DataError(`${nth}: annotation id ${show(id)} is used twice`);
    this.seen.add(id);
    const name = typeof id === "number" ? id : show(id);
    const image = this.images.find(imageId);
    if (!image)
      throw new DataError(
        `annotation ${name}: "image_id" ${show(imageId)} is no image of the file`,
      );
    const where = `annotation ${name} of image ${show(imageId)} (${plain(image.file)})`;
    const label = this.categories.mention(categoryId, where);
    try {
      if (isCrowd(annotation.iscrowd) && !this.crowd) {
        this.builder.leave("crowd region (iscrowd)", "crowd regions (iscrowd)");
        return;
      }
      const shape = readShape(annotation, image.size);
      if (isEmpty(shape)) this.builder.leave("empty mask", "empty masks");
      // A text for an id is one that is too large for a number: its place tells it from others.
      else
        this.builder.object(image.number, {
          id: typeof id === "number" ? id : index,
          label,
          score: readScore(annotation.score),
          shape,
        });
    } catch (cause) {
      if (!(cause instanceof DataError)) throw cause;
      throw new DataError(`${where}: ${cause.message}`, { cause });
    }
  }
}

/** Annotations by people have none; masks that odis made, and many detectors', do. */
function readScore(value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined;
  if (typeof value === "number" && value >= 0 && value <= 1) return value;
  throw new DataError(`"score" is ${show(value)}; wanted a number from 0 to 1`);
}

/** Whatever is not known to mean no is not taken for it: a crowd as an object spoils the data. */
export function isCrowd(value: unknown): boolean {
  if (value === undefined || value === 0 || value === false) return false;
  if (value === 1 || value === true) return true;
  throw new DataError(`"iscrowd" is ${show(value)}; wanted 0 or 1`);
}

/** A mask of COCO's: polygons, run lengths, or the box where there is neither. */
export function readShape(annotation: Readonly<Record<string, unknown>>, size: Sizes): Shape {
  const { segmentation, bbox } = annotation;
  const { width, height } = size;
  if (Array.isArray(segmentation) && segmentation.length > 0)
    return { form: "polygons", parts: parsePolygons(segmentation) };
  if (typeof segmentation === "object" && segmentation !== null && !Array.isArray(segmentation))
    return { form: "runs", parts: [parseRle(segmentation, width, height).counts] };
  if (segmentation !== undefined && segmentation !== null && !Array.isArray(segmentation))
    throw new DataError(`"segmentation" is ${show(segmentation)}; wanted polygons or an RLE`);
  if (bbox === undefined) throw new DataError(`neither "segmentation" nor "bbox" is there`);
  boxRle(bbox, width, height); // throws unless it is four numbers; the mask is drawn when it is read
  return { form: "box", parts: [bbox as number[]] };
}

const isEmpty = ({ form, parts }: Shape): boolean => form === "runs" && parts[0]!.length < 2;

const isId = (value: unknown): value is Id =>
  typeof value === "number" || (typeof value === "string" && value !== "");

function compareIds(a: Id, b: Id): number {
  if (typeof a === "number" && typeof b === "number") return a - b;
  const [left, right] = [String(a), String(b)];
  return left.length - right.length || (left < right ? -1 : Number(left > right));
}

function isSide(value: unknown): value is number {
  return typeof value === "number" && Number.isInteger(value) && value >= 1 && value < 2 ** 31;
}
