import { join, posix, resolve } from "node:path";
import { counted, DataError, FileProblem, plain, readRegular } from "../../core/index.js";
import { readAhead } from "../ahead.js";
import { ClassNames } from "../classes.js";
import type { DataSpec } from "../dataset.js";
import { IndexBuilder } from "../index-builder.js";
import type { Look } from "../look.js";
import { Mistakes } from "../mistakes.js";
import type { PackedIndex } from "../packed-index.js";
import { Place, stemOf } from "../place.js";
import type { Detected, Reader } from "../registry.js";
import { optionalText, textOf } from "../spec.js";
import { elements, numberOf, parseXml, textOf as childText } from "../xml.js";
import { onePlace } from "./places.js";

/** Names of WordNet's sets of synonyms, which are ImageNet's classes. */
const SYNSET = /^n\d{8}$/;

/** Largest file of boxes, bytes. */
const LARGEST = 1 << 20;

/**
 * ImageNet: pictures in folders of their classes, XML files with boxes in the same order of folders
 * beside them. A picture without boxes is one object as a whole.
 */
export const imagenet: Reader = {
  ...onePlace("imagenet"),
  places: "FOLDER",
  about:
    "ImageNet: ILSVRC with Data/CLS-LOC and Annotations/CLS-LOC (#set=train or val), or a folder of n01440764/ … with " +
    "XML boxes in bboxes/; pictures without boxes are one object as a whole",
  settings: ["set"],
  detect: detectImagenet,
  open: openImagenet,
};

function detectImagenet(look: Look): Detected | undefined {
  const { place } = look;
  if (look.hasFolder("Data/CLS-LOC")) return { place, because: "Data/CLS-LOC" };
  const synsets = look.folders().filter((name) => SYNSET.test(name));
  return synsets.length > 0 ? { place, because: `folders such as ${synsets[0]}` } : undefined;
}

async function openImagenet(spec: DataSpec): Promise<PackedIndex> {
  const root = resolve(textOf(spec, "place"));
  const place = new Place(root, "data folder", spec.outside === true);
  const isWhole = (await place.entries("Data")).has("CLS-LOC");
  const set = optionalText(spec, "set") ?? "train";
  const [pictures, boxes] = isWhole
    ? [`Data/CLS-LOC/${set}`, `Annotations/CLS-LOC/${set}`]
    : [".", "bboxes"];
  const files = await place.walk(undefined, undefined, pictures);
  if (files.length === 0)
    throw new DataError(`${plain(join(root, pictures))}: there is no picture in it`);
  const builder = new IndexBuilder({ reader: imagenet.kind, root });
  const names = new ClassNames();
  const mistakes = new Mistakes(`ImageNet data ${root}`);
  let bare = 0;
  const boxesOfFile = (file: string) => boxesOf(place, file, pictures, boxes);
  for await (const [file, found] of readAhead(files, boxesOfFile)) {
    const folder = posix.basename(posix.dirname(file));
    const synset = SYNSET.test(folder) ? folder : undefined;
    mistakes.collect(() => addImage(builder, file, synset, found, names));
    bare += Number(found.length === 0);
  }
  mistakes.check();
  if (bare > 0 && bare < files.length)
    builder.remark(
      `${counted(bare, "image has", "images have")} no boxes: each is one object as a whole`,
    );
  const { names: classes, labels } = names.sorted();
  builder.relabel(labels);
  return builder.finish(classes);
}

/** One object of an XML file: the class that it names, and its corners. */
type Found = readonly [name: string, left: number, top: number, right: number, bottom: number];

function addImage(
  builder: IndexBuilder,
  file: string,
  folder: string | undefined,
  found: readonly Found[],
  names: ClassNames,
): void {
  const image = builder.image(file);
  const labelOf = (name: string | undefined) => (name === undefined ? -1 : names.label(name));
  if (found.length === 0)
    builder.object(image, { id: 0, label: labelOf(folder), shape: { form: "whole", parts: [] } });
  for (const [at, [name, left, top, right, bottom]] of found.entries()) {
    if (!(right > left && bottom > top))
      throw new DataError(
        `box ${at + 1} of ${plain(file)} reaches from ${left}, ${top} to ${right}, ${bottom}`,
      );
    const label = labelOf(folder ?? name);
    const parts = [[left, top, right - left, bottom - top]];
    builder.object(image, { id: at, label, shape: { form: "box", parts } });
  }
}

async function boxesOf(
  place: Place,
  file: string,
  pictures: string,
  boxes: string,
): Promise<Found[]> {
  const folder = posix.join(boxes, posix.relative(pictures, posix.dirname(file)));
  const name = `${stemOf(file)}.xml`;
  if (!(await place.entries(folder)).has(name)) return [];
  const path = join(place.root, await place.regular(posix.join(folder, name)));
  const bytes = await readRegular(path, LARGEST).catch((cause: unknown) => {
    throw cause instanceof FileProblem
      ? new DataError(`annotation file ${plain(path)} ${cause.message}`, { cause })
      : cause;
  });
  return asUsual(bytes.toString("utf8")) ?? parsed(bytes, path);
}

const OBJECT =
  /<object>\s*<name>([^<&]+)<\/name>[^]*?<bndbox>\s*<xmin>(\d+)<\/xmin>\s*<ymin>(\d+)<\/ymin>\s*<xmax>(\d+)<\/xmax>\s*<ymax>(\d+)<\/ymax>\s*<\/bndbox>\s*<\/object>/g;

/**
 * The objects of a file that is written as ImageNet's half a million are, by its pattern: a hundred
 * times faster than an XML parser. Undefined for any other file.
 */
function asUsual(text: string): Found[] | undefined {
  const found = [...text.matchAll(OBJECT)];
  const isUsual = text.split("<object>").length === found.length + 1 && !/<!|<part>/.test(text);
  return isUsual
    ? found.map(([, name, ...corners]) => [name!, ...corners.map(Number)] as unknown as Found)
    : undefined;
}

async function parsed(bytes: Buffer, path: string): Promise<Found[]> {
  const where = `annotation file ${plain(path)}`;
  const [annotation] = elements(await parseXml(bytes, where), "annotation");
  if (!annotation) throw new DataError(`${where} has no <annotation>`);
  return elements(annotation, "object").map((object, at) => {
    const [box] = elements(object, "bndbox");
    const name = childText(object, "name");
    if (!box || !name)
      throw new DataError(`${where}: object ${at + 1} has no <name> or no <bndbox>`);
    const [left, top] = [numberOf(box, "xmin"), numberOf(box, "ymin")];
    return [name, left, top, numberOf(box, "xmax"), numberOf(box, "ymax")] as const;
  });
}
