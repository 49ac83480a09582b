import { join, posix, resolve } from "node:path";
import { DataError, plain, show } from "../../core/index.js";
import { readAhead } from "../ahead.js";
import { ClassNames } from "../classes.js";
import type { DataSpec } from "../dataset.js";
import { IndexBuilder } from "../index-builder.js";
import type { Look } from "../look.js";
import { Mistakes } from "../mistakes.js";
import type { PackedIndex } from "../packed-index.js";
import { Place } from "../place.js";
import type { Detected, Reader } from "../registry.js";
import { optionalText, textOf } from "../spec.js";
import { readText } from "../text-file.js";
import { elements, numberOf, readXml, textOf as childText, type XmlElement } from "../xml.js";
import { onePlace } from "./places.js";

/** Where VOC keeps pictures, boxes, label maps of objects, and lists of images. */
const [PICTURES, ANNOTATIONS, MASKS, LISTS] = [
  "JPEGImages",
  "Annotations",
  "SegmentationObject",
  "ImageSets",
] as const;

/** Pascal VOC: an XML file for each picture, with boxes; for some a label map of the same objects. */
export const voc: Reader = {
  ...onePlace("voc"),
  places: "FOLDER",
  about:
    "Pascal VOC: Annotations/*.xml beside JPEGImages/, masks in SegmentationObject/, lists in ImageSets/ " +
    "(#set=train); or pictures and XML files in one folder",
  settings: ["set"],
  detect: detectVoc,
  open: openVoc,
};

function detectVoc(look: Look): Detected | Detected[] | undefined {
  const { place } = look;
  const years = look.folders().filter((name) => /^VOC\d{4}$/.test(name)); // VOCdevkit holds several
  if (years.length > 0)
    return years.map((year) => ({ place: join(place, year), because: `${year}/${ANNOTATIONS}` }));
  if (look.hasFolder(PICTURES) && look.has(".xml", ANNOTATIONS))
    return { place, because: "Annotations/*.xml beside JPEGImages/" };
  const first = look.names().find((name) => name.endsWith(".xml"));
  const isVoc = first !== undefined && look.start(first).includes("<bndbox>") && look.hasPictures();
  return isVoc ? { place, because: "pictures and XML files with boxes in one folder" } : undefined;
}

async function openVoc(spec: DataSpec): Promise<PackedIndex> {
  const root = resolve(textOf(spec, "place"));
  const place = new Place(root, "data folder", spec.outside === true);
  const isVoc = (await place.entries(".")).has(ANNOTATIONS);
  const annotations = isVoc ? ANNOTATIONS : ".";
  const files = await place.picturesByStem(isVoc ? PICTURES : ".");
  const xml = await place.entries(annotations);
  const masks = isVoc ? await place.entries(MASKS) : new Set<string>();

  const builder = new IndexBuilder({ reader: voc.kind, root });
  const classes = new ClassNames();
  const mistakes = new Mistakes(`VOC data ${root}`);
  const stems = (await listed(place, optionalText(spec, "set"))) ?? files.keys();
  const read = async (stem: string) => {
    const mask = posix.join(MASKS, `${stem}.png`);
    const boxes = posix.join(annotations, `${stem}.xml`);
    return {
      mask: masks.has(posix.basename(mask)) ? await place.regular(mask) : "",
      tree: xml.has(posix.basename(boxes))
        ? await readXml(join(root, await place.regular(boxes)), "annotation file")
        : undefined,
    };
  };
  for await (const [stem, { mask, tree }] of readAhead(stems, read)) {
    const file = files.get(stem);
    if (file !== undefined) mistakes.collect(() => addImage(builder, file, mask, tree, classes));
    else mistakes.note(new DataError(`there is no picture of the name ${plain(stem)}`));
  }
  mistakes.check();
  if (builder.size === 0) throw new DataError(`VOC data ${plain(root)}: there is no picture`);
  const { names, labels } = classes.sorted();
  builder.relabel(labels);
  return builder.finish(names, { maps: { unlisted: false, ignore: [0], labels: new Map() } });
}

/** Names of the images in a list of ImageSets: the first word of each line. */
async function listed(place: Place, set: string | undefined): Promise<string[] | undefined> {
  if (set === undefined) return undefined;
  const folders = set.includes("/") ? ["."] : ["Main", "Segmentation", "."];
  for (const folder of folders) {
    const file = posix.join(LISTS, folder, `${set}.txt`);
    if (!(await place.entries(posix.dirname(file))).has(posix.basename(file))) continue;
    const text = await readText(join(place.root, await place.regular(file)), "list of images");
    return text.split("\n").flatMap((line) => line.trim().split(/\s+/)[0] || []);
  }
  throw new DataError(
    `VOC data ${plain(place.root)}: there is no list ${LISTS}/Main/${plain(set)}.txt`,
  );
}

function addImage(
  builder: IndexBuilder,
  file: string,
  mask: string,
  tree: XmlElement | undefined,
  classes: ClassNames,
): void {
  const [annotation] = tree ? elements(tree, "annotation") : [];
  if (tree && !annotation) throw new DataError(`${plain(file)}: its XML file has no <annotation>`);
  const [size] = annotation ? elements(annotation, "size") : [];
  const image = builder.image(file, size && sizeOf(size, file), mask);
  for (const [at, object] of (annotation ? elements(annotation, "object") : []).entries()) {
    try {
      const name = childText(object, "name");
      if (!name) throw new DataError("it has no <name>");
      const [box] = elements(object, "bndbox");
      if (!box) throw new DataError("it has no <bndbox>");
      const label = classes.label(name);
      const numbers = boxOf(box);
      // Masks number the objects of the file from 1.
      const shape =
        mask === ""
          ? { form: "box" as const, parts: [numbers] }
          : { form: "value" as const, parts: [[at + 1, ...numbers]] };
      builder.object(image, { id: at, label, shape });
    } catch (cause) {
      if (!(cause instanceof DataError)) throw cause;
      throw new DataError(`object ${at + 1} of ${plain(file)}: ${cause.message}`, { cause });
    }
  }
}

/** Some tools write 0 × 0 when they did not look at the picture. */
function sizeOf(size: XmlElement, file: string) {
  const [width, height] = [numberOf(size, "width"), numberOf(size, "height")];
  if (width === 0 && height === 0) return undefined;
  if (Number.isInteger(width) && Number.isInteger(height) && width > 0 && height > 0)
    return { width, height };
  throw new DataError(
    `${plain(file)}: <size> is ${show(width)} × ${show(height)}; wanted whole numbers of pixels`,
  );
}

/** VOC counts pixels from 1, and the last one belongs to the box: [x, y, width, height]. */
function boxOf(box: XmlElement): number[] {
  const [left, top] = [numberOf(box, "xmin"), numberOf(box, "ymin")];
  const [right, bottom] = [numberOf(box, "xmax"), numberOf(box, "ymax")];
  if (right < left || bottom < top)
    throw new DataError(`its box reaches from ${left}, ${top} to ${right}, ${bottom}`);
  const [x, y] = [Math.max(0, left - 1), Math.max(0, top - 1)]; // others count from 0
  return [x, y, right - x, bottom - y];
}
