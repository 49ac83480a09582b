import { posix, resolve } from "node:path";
import { DataError, plain, show } from "../../core/index.js";
import { ClassNames } from "../classes.js";
import { readTable, type Row } from "../csv.js";
import type { DataSpec } from "../dataset.js";
import { IndexBuilder } from "../index-builder.js";
import type { Look } from "../look.js";
import { Mistakes } from "../mistakes.js";
import type { PackedIndex } from "../packed-index.js";
import { Place, stemOf } from "../place.js";
import type { Detected, Reader } from "../registry.js";
import { optionalText, textOf } from "../spec.js";
import { onePlace } from "./places.js";

/** How Open Images names its tables: `oidv6-train-annotations-bbox.csv`, `validation-annotations-…`. */
const BOXES = /(?:^|-)(train|validation|test)-annotations-bbox\.csv$/;
const MASKS = /(?:^|-)(train|validation|test)-annotations-object-segmentation\.csv$/;
const NAMES = /^(?:oidv\d-)?class-descriptions(?:-boxable)?\.csv$/;

/**
 * Open Images: tables of boxes in shares of the sides, and of masks that are PNGs. Objects with a mask
 * stand in both tables.
 */
export const openImages: Reader = {
  ...onePlace("open-images"),
  places: "FOLDER",
  about:
    "Open Images: *-annotations-bbox.csv, *-object-segmentation.csv and class-descriptions*.csv, pictures in train/ … or " +
    "images/, masks in train-masks/ … or masks/ (#set=train, validation or test)",
  settings: ["set", "crowd"],
  detect: detectOpenImages,
  open: openOpenImages,
};

function detectOpenImages(look: Look): Detected | undefined {
  const table = look.names().find((name) => BOXES.test(name) || MASKS.test(name));
  return table === undefined ? undefined : { place: look.place, because: table };
}

async function openOpenImages(spec: DataSpec): Promise<PackedIndex> {
  const root = resolve(textOf(spec, "place"));
  const place = new Place(root, "data folder", spec.outside === true);
  const names = [...(await place.entries("."))].toSorted();
  const sets = new Set(names.flatMap((name) => (BOXES.exec(name) ?? MASKS.exec(name))?.[1] ?? []));
  const set =
    optionalText(spec, "set") ?? ["train", "validation", "test"].find((name) => sets.has(name));
  if (set === undefined || !sets.has(set))
    throw new DataError(
      `Open Images data ${plain(root)}: there is no table of boxes for ${set === undefined ? "any set" : plain(set)}; ` +
        `wanted a file such as train-annotations-bbox.csv`,
    );
  const builder = new IndexBuilder({ reader: openImages.kind, root });
  const images = new Map<string, number>();
  const folder = (await place.entries(".")).has(set) ? set : "images";
  for (const file of await place.walk(undefined, undefined, folder))
    images.set(stemOf(file), builder.image(file));
  if (builder.size === 0)
    throw new DataError(`${plain(posix.join(root, folder))}: there is no picture in it`);

  const table = (pattern: RegExp) => names.find((name) => pattern.exec(name)?.[1] === set);
  const reading: Reading = {
    place,
    builder,
    images,
    classes: new ClassNames(),
    names: await classNames(
      place,
      names.find((name) => NAMES.test(name)),
    ),
    masked: new Set(),
    crowd: spec.crowd === true,
  };
  const mistakes = new Mistakes(`Open Images data ${root}`);
  const masks = table(MASKS);
  if (masks !== undefined) await readMasks(masks, reading, set, mistakes);
  const boxes = table(BOXES);
  if (boxes !== undefined) await readBoxes(boxes, reading, mistakes);
  mistakes.check();
  const { names: sorted, labels } = reading.classes.sorted();
  builder.relabel(labels);
  return builder.finish(sorted);
}

interface Reading {
  readonly place: Place;
  readonly builder: IndexBuilder;
  readonly images: ReadonlyMap<string, number>;
  readonly classes: ClassNames;
  /** of the labels' identifiers */
  readonly names: ReadonlyMap<string, string>;
  /** boxes of objects that have a mask */
  readonly masked: Set<string>;
  readonly crowd: boolean;
}

async function classNames(place: Place, file: string | undefined): Promise<Map<string, string>> {
  const names = new Map<string, string>();
  if (file === undefined) return names;
  // Older files have no line of names.
  for await (const { cells } of readTable(place, file, "list of classes"))
    if (cells[0]?.startsWith("/") && cells[1]) names.set(cells[0], cells[1]);
  return names;
}

/** @returns the image and label of a row; undefined for a picture that was not downloaded */
function subject(row: Row, { images, classes, names, builder }: Reading) {
  const image = images.get(row.text("ImageID"));
  if (image === undefined) {
    builder.leave(
      "object of a picture that is not there",
      "objects of pictures that are not there",
    );
    return undefined;
  }
  const name = row.text("LabelName");
  return { image, label: classes.label(names.get(name) ?? name) };
}

const boxKey = (row: Row, prefix: string): string =>
  [
    row.text("ImageID"),
    row.text("LabelName"),
    ...["XMin", "XMax", "YMin", "YMax"].map((name) => row.number(prefix + name).toFixed(4)),
  ].join(" ");

async function readMasks(
  file: string,
  reading: Reading,
  set: string,
  mistakes: Mistakes,
): Promise<void> {
  const { place, builder, masked } = reading;
  const entries = await place.entries(".");
  const folder = [`${set}-masks`, "masks"].find((name) => entries.has(name));
  const there = folder === undefined ? new Set<string>() : await place.entries(folder);
  for await (const row of readTable(place, file, "table of masks", [
    "MaskPath",
    "ImageID",
    "LabelName",
  ])) {
    mistakes.collect(() => {
      const about = subject(row, reading);
      if (!about) return;
      const path = row.text("MaskPath");
      if (!there.has(path)) {
        builder.leave(
          "mask that is not there (its box is taken)",
          "masks that are not there (their boxes are taken)",
        );
        return;
      }
      masked.add(boxKey(row, "Box"));
      const number = builder.maskFile(posix.join(folder!, path));
      builder.object(about.image, {
        id: row.at,
        label: about.label,
        shape: { form: "file", parts: [[number]] },
      });
    });
  }
}

async function readBoxes(file: string, reading: Reading, mistakes: Mistakes): Promise<void> {
  const { place, builder, masked, crowd } = reading;
  const columns = ["ImageID", "LabelName", "XMin", "XMax", "YMin", "YMax"];
  for await (const row of readTable(place, file, "table of boxes", columns)) {
    mistakes.collect(() => {
      const about = subject(row, reading);
      if (!about || masked.has(boxKey(row, ""))) return;
      if (!crowd && isTrue(row.optional("IsGroupOf"))) {
        builder.leave(
          "group (IsGroupOf; #crowd takes it)",
          "groups (IsGroupOf; #crowd takes them)",
        );
        return;
      }
      const [left, top] = [row.number("XMin"), row.number("YMin")];
      const [width, height] = [row.number("XMax") - left, row.number("YMax") - top];
      if (!(width > 0 && height > 0))
        throw new DataError(`${row.where}: the box is ${width} × ${height}; wanted sides above 0`);
      // Numbers of masks come first, so that no two objects of an image have one.
      const shape = { form: "share box" as const, parts: [[left, top, width, height]] };
      builder.object(about.image, { id: 1e9 + row.at, label: about.label, shape });
    });
  }
}

function isTrue(text: string | undefined): boolean {
  if (text === undefined || text === "0" || text === "-1") return false; // -1: not known of this box
  if (text === "1") return true;
  throw new DataError(`IsGroupOf is ${show(text)}; wanted 0, 1 or -1`);
}
