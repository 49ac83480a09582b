import { dirname, join, posix, relative, resolve, sep } from "node:path";
import { DataError, plain, readJsonLists, record, show } from "../../core/index.js";
import type { DataSpec } from "../dataset.js";
import { IndexBuilder } from "../index-builder.js";
import { Mistakes } from "../mistakes.js";
import type { PackedIndex } from "../packed-index.js";
import { Place, stemOf } from "../place.js";
import type { Reader } from "../registry.js";
import { textOf } from "../spec.js";
import { detectCoco } from "./coco.js";
import { isCrowd } from "./coco-json.js";
import { twoPlaces } from "./places.js";

/**
 * COCO panoptic: a PNG for each picture whose colours are numbers of segments (R + 256 G + 65536 B),
 * in a folder named as the JSON file that says what the segments are.
 */
export const panoptic: Reader = {
  ...twoPlaces("panoptic", "images", "panoptic.json"),
  places: "FOLDER or panoptic:IMAGES,PANOPTIC.json",
  about:
    "COCO panoptic: panoptic.json, the PNGs in panoptic/ beside it; things only, unless #stuff asks for all segments",
  settings: ["crowd", "stuff"],
  detect: (look) => detectCoco(look, "panoptic", /"segments_info"/, /"neg_category_ids"/),
  open: openPanoptic,
};

interface Segment {
  readonly image: unknown;
  readonly map: string;
  readonly segments: readonly unknown[];
}

async function openPanoptic(spec: DataSpec): Promise<PackedIndex> {
  const images = resolve(textOf(spec, "images"));
  const path = resolve(textOf(spec, "annotations"));
  const maps = join(dirname(path), stemOf(path));
  const names: string[] = [];
  const ids = new Map<unknown, number>();
  const sizes: { width: number; height: number }[] = [];
  const categories = new Map<number, { name: string; thing: boolean }>();
  const annotations: Segment[] = [];
  const where = (list: string, at: number) => `${plain(path)}: ${list}[${at}]`;

  const rest = await readJsonLists(path, "annotation file", {
    images(entry, at) {
      const { id, file_name: file, width, height } = record(entry, where("images", at));
      if (typeof file !== "string" || file === "" || !isSide(width) || !isSide(height))
        throw new DataError(
          `${where("images", at)} is ${show(entry)}; wanted "file_name", "width" and "height"`,
        );
      ids.set(id, names.length);
      names.push(file);
      sizes.push({ width, height });
    },
    categories(entry, at) {
      const { id, name, isthing = 1 } = record(entry, where("categories", at));
      if (typeof id !== "number" || typeof name !== "string")
        throw new DataError(
          `${where("categories", at)} is ${show(entry)}; wanted a number "id" and a text "name"`,
        );
      categories.set(id, { name, thing: isthing === 1 });
    },
    annotations(entry, at) {
      const {
        image_id: image,
        file_name: map,
        segments_info: segments,
      } = record(entry, where("annotations", at));
      if (typeof map !== "string" || !Array.isArray(segments))
        throw new DataError(
          `${where("annotations", at)} is ${show(entry)}; wanted "file_name" and the list "segments_info"`,
        );
      annotations.push({ image, map, segments });
    },
  });
  for (const list of ["images", "annotations", "categories"])
    if (!rest.lists.has(list))
      throw new DataError(
        `annotation file ${plain(path)} is not in COCO's panoptic format: the list "${list}" is missing`,
      );

  const outside = spec.outside === true;
  const files = await new Place(images, "image folder", outside).find(names, plain(path));
  const mapPlace = new Place(maps, "folder of PNGs", outside);
  const mapFiles = await mapPlace.find(
    annotations.map(({ map }) => map),
    plain(path),
  );
  const classes = [...categories].filter(([, { thing }]) => thing || spec.stuff === true);
  const labels = new Map(classes.toSorted(([a], [b]) => a - b).map(([id], label) => [id, label]));
  const builder = new IndexBuilder({ reader: panoptic.kind, root: images });
  const mistakes = new Mistakes(`annotation file ${path}`);
  const byImage = new Map(annotations.map((annotation, at) => [ids.get(annotation.image), at]));
  for (const [number, file] of files.entries()) {
    const at = byImage.get(number);
    const map = at === undefined ? "" : posixRelative(images, join(maps, mapFiles[at]!));
    const image = builder.image(file, sizes[number], map);
    for (const segment of at === undefined ? [] : annotations[at]!.segments)
      mistakes.collect(() =>
        addSegment(
          builder,
          image,
          segment,
          `segment of ${plain(file)}`,
          labels,
          categories,
          spec.crowd === true,
        ),
      );
  }
  for (const { image } of annotations)
    if (!ids.has(image))
      mistakes.note(new DataError(`"image_id" ${show(image)} is no image of the file`));
  mistakes.check();
  const named = [...labels.keys()].map((id) => categories.get(id)!.name);
  return builder.finish(named, { maps: { unlisted: false, ignore: [0], labels: new Map() } });
}

function addSegment(
  builder: IndexBuilder,
  image: number,
  value: unknown,
  where: string,
  labels: ReadonlyMap<number, number>,
  categories: ReadonlyMap<number, unknown>,
  crowd: boolean,
): void {
  const { id, category_id: category, iscrowd } = record(value, where);
  if (typeof id !== "number" || !Number.isInteger(id) || id < 1 || id >= 2 ** 24)
    throw new DataError(`${where}: "id" is ${show(id)}; wanted a colour, 1 to ${2 ** 24 - 1}`);
  if (typeof category !== "number" || !categories.has(category))
    throw new DataError(`${where}: "category_id" ${show(category)} is no category of the file`);
  const label = labels.get(category);
  if (label === undefined)
    builder.leave("segment of stuff (#stuff takes it)", "segments of stuff (#stuff takes them)");
  else if (isCrowd(iscrowd) && !crowd)
    builder.leave("crowd region (iscrowd)", "crowd regions (iscrowd)");
  else builder.object(image, { id, label, shape: { form: "value", parts: [[id]] } });
}

const posixRelative = (from: string, to: string): string =>
  relative(from, to).split(sep).join(posix.sep);

const isSide = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 1 && value < 2 ** 31;
