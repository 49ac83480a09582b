import { basename, dirname, join, posix, relative, resolve, sep } from "node:path";
import { ConfigError, DataError, grouped, plain, shellWord } from "../../core/index.js";
import type { DataSpec } from "../dataset.js";
import { IndexBuilder } from "../index-builder.js";
import type { Look } from "../look.js";
import type { PackedIndex } from "../packed-index.js";
import { Place, stemOf } from "../place.js";
import type { Detected, Reader } from "../registry.js";
import { optionalText, textOf } from "../spec.js";
import { readText } from "../text-file.js";
import { onePlace, twoPlaces } from "./places.js";

/** Pictures, and PNGs of the same names whose pixels are numbers: of objects, or of classes. */
export const maps: Reader = {
  ...twoPlaces("maps", "images", "masks"),
  places: "FOLDER or maps:IMAGES,MASKS",
  about:
    "label maps: a PNG for each picture, palette, grey (8 or 16 bits) or colours; #values=objects if every number is an " +
    "object of the picture, #values=classes if it is a class (names in MASKS/classes.txt, a line each, from 0)",
  settings: ["values"],
  detect: detectMaps,
  open: openMaps,
};

function detectMaps(look: Look): Detected | undefined {
  const fits = look.hasPictures("images") && look.has(".png", "masks");
  return fits ? { place: look.place, because: "images/ and masks/ with PNGs" } : undefined;
}

async function openMaps(spec: DataSpec): Promise<PackedIndex> {
  const values = optionalText(spec, "values");
  const text = `${textOf(spec, "images")},${textOf(spec, "annotations")}`;
  if (values === undefined) {
    const commands = ["objects", "classes"].map(
      (choice) => `\n  ${shellWord(`maps:${text}#values=${choice}`)}`,
    );
    throw new ConfigError(
      `data maps:${plain(text)}: say what the numbers in the label maps are, objects of their picture or classes:${commands.join("")}`,
    );
  }
  const [images, masks] = [resolve(textOf(spec, "images")), resolve(textOf(spec, "annotations"))];
  const outside = spec.outside === true;
  const mapPlace = new Place(masks, "folder of masks", outside);
  const byStem = new Map(
    (await mapPlace.walk(new Set([".png"]))).map((file) => [withoutEnding(file), file]),
  );
  const names = values === "classes" ? await classNames(mapPlace) : [];
  const builder = new IndexBuilder({ reader: maps.kind, root: images });
  let without = 0;
  for (const file of await new Place(images, "image folder", outside).walk()) {
    const map = byStem.get(withoutEnding(file));
    builder.image(
      file,
      undefined,
      map === undefined ? "" : inPosix(relative(images, join(masks, map))),
    );
    without += Number(map === undefined);
  }
  if (builder.size === 0)
    throw new DataError(`image folder ${plain(images)}: there is no picture in it`);
  if (without === builder.size)
    throw new DataError(
      `folder of masks ${plain(masks)}: none of its ${byStem.size} PNGs has the name of a picture in ${plain(images)}`,
    );
  if (without > 0)
    builder.remark(`${grouped(without)} of ${grouped(builder.size)} pictures have no label map`);
  const labels = new Map(names.map((_, value) => [value, value]));
  return builder.finish(names, { maps: { unlisted: true, ignore: [0], labels } });
}

const withoutEnding = (file: string): string => posix.join(posix.dirname(file), stemOf(file));
const inPosix = (path: string): string => path.split(sep).join(posix.sep);

/** Lines of classes.txt; without it the classes are numbered. */
async function classNames(place: Place): Promise<string[]> {
  if (!(await place.entries(".")).has("classes.txt"))
    return Array.from({ length: 256 }, (_, value) => `class ${value}`);
  const file = await place.regular("classes.txt");
  const text = await readText(join(place.root, file), "list of classes");
  return text.trimEnd().split(/\r?\n/);
}

/** ImageNet-S names the folders of its sets, and those of their label maps, like this. */
const [MAPS, OTHER, IGNORED] = ["-segmentation", 0, 1000] as const;

/** ImageNet-S: label maps of ImageNet's classes, numbered in the order of their names from 1. */
export const imagenetS: Reader = {
  ...onePlace("imagenet-s"),
  places: "FOLDER",
  about: "ImageNet-S: train-semi/ and train-semi-segmentation/ (#set=validation for others)",
  settings: ["set"],
  detect(look) {
    const set = ["train-semi", "validation"].find((name) => look.hasFolder(`${name}${MAPS}`));
    return set === undefined || !look.hasFolder(set)
      ? undefined
      : { place: look.place, because: `${set}/ and ${set}${MAPS}/` };
  },
  async open(spec) {
    const root = resolve(textOf(spec, "place"));
    const set = optionalText(spec, "set") ?? "train-semi";
    const place = new Place(root, "data folder", spec.outside === true);
    const folders = await place.walk(undefined, undefined, set);
    const found = new Set(await place.walk(new Set([".png"]), undefined, `${set}${MAPS}`));
    // All classes: a set need not hold a picture of each.
    const all = [...(await place.entries("train-semi")), ...(await place.entries(set))];
    const names = [...new Set(all)].filter((name) => /^n\d{8}$/.test(name)).toSorted();
    const builder = new IndexBuilder({ reader: imagenetS.kind, root });
    for (const file of folders) {
      const map = posix.join(`${set}${MAPS}`, basename(dirname(file)), `${stemOf(file)}.png`);
      builder.image(file, undefined, found.has(map) ? map : "");
    }
    if (builder.size === 0)
      throw new DataError(`${plain(join(root, set))}: there is no picture in it`);
    const labels = new Map(names.map((_, label) => [label + 1, label]));
    return builder.finish(names, { maps: { unlisted: true, ignore: [OTHER, IGNORED], labels } });
  },
};
