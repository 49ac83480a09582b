import { join, posix, resolve } from "node:path";
import { DataError, plain, readJson, record, show } from "../../core/index.js";
import { readAhead } from "../ahead.js";
import { ClassNames } from "../classes.js";
import type { DataSpec } from "../dataset.js";
import { IndexBuilder } from "../index-builder.js";
import { Mistakes } from "../mistakes.js";
import { decodeLabelMap } from "../label-map.js";
import type { PackedIndex, Shape } from "../packed-index.js";
import { Place } from "../place.js";
import type { Reader } from "../registry.js";
import { textOf } from "../spec.js";
import { ellipse, pairs, patchRuns } from "../shapes.js";
import { onePlace } from "./places.js";

/** A file may carry its picture inside. */
const LARGEST = 1 << 28;

/** labelme: a JSON file beside each picture, with the shapes that people drew. */
export const labelme: Reader = {
  ...onePlace("labelme"),
  places: "FOLDER",
  about: "labelme: a JSON file beside each picture; shapes of one label and group are one object",
  detect(look) {
    const first = look
      .names()
      .find((name) => name.endsWith(".json") && isLabelme(look.glimpse(name)));
    return first === undefined ? undefined : { place: look.place, because: `${first} with shapes` };
  },
  open: openLabelme,
};

const isLabelme = (text: string): boolean =>
  text.includes('"shapes"') && text.includes('"imagePath"');

async function openLabelme(spec: DataSpec): Promise<PackedIndex> {
  const root = resolve(textOf(spec, "place"));
  const place = new Place(root, "data folder", spec.outside === true);
  // The program shows and stores shapes on the picture as EXIF turns it.
  const builder = new IndexBuilder({ reader: labelme.kind, root, turning: "turned" });
  const classes = new ClassNames();
  const mistakes = new Mistakes(`labelme data ${root}`);
  const files = await place.walk(new Set([".json"]));
  const read = (file: string) => readJson(join(root, file), "annotation file", LARGEST);
  for await (const [file, value] of readAhead(files, read)) {
    const annotation = record(value, plain(file));
    if (!("shapes" in annotation)) continue; // another program's
    const { imagePath: path, imageWidth: width, imageHeight: height, shapes } = annotation;
    const picture =
      typeof path === "string"
        ? await place.look(posix.join(posix.dirname(file), path.replaceAll("\\", "/")), plain(file))
        : undefined;
    mistakes.collect(() => {
      if (picture === undefined)
        throw new DataError(`${plain(file)}: "imagePath" is ${show(path)}, which is not there`);
      if (!Array.isArray(shapes))
        throw new DataError(`${plain(file)}: "shapes" is ${show(shapes)}; wanted a list`);
      const size = isSide(width) && isSide(height) ? { width, height } : undefined;
      addShapes(builder, builder.image(picture, size), shapes, size, plain(file), classes);
    });
  }
  mistakes.check();
  if (builder.size === 0)
    throw new DataError(`labelme data ${plain(root)}: there is no JSON file of labelme's`);
  const { names, labels } = classes.sorted();
  builder.relabel(labels);
  return builder.finish(names);
}

type Size = { readonly width: number; readonly height: number };

function addShapes(
  builder: IndexBuilder,
  image: number,
  shapes: readonly unknown[],
  size: Size | undefined,
  file: string,
  classes: ClassNames,
): void {
  /** parts of objects that were drawn in several pieces, by label and group */
  const groups = new Map<string, { id: number; label: number; parts: ArrayLike<number>[] }>();
  for (const [at, value] of shapes.entries()) {
    const where = `${file}: shapes[${at}]`;
    const { label: name, group_id: group, ...drawn } = record(value, where);
    if (typeof name !== "string")
      throw new DataError(`${where}: "label" is ${show(name)}; wanted a name`);
    const shape = within(where, () => shapeOf(drawn, size));
    if (!shape) {
      builder.leave("point or line", "points and lines");
      continue;
    }
    const label = classes.label(name);
    const isGrouped = shape.form === "polygons" && group !== undefined && group !== null;
    const key = `${String(group)} ${name}`;
    const known = isGrouped ? groups.get(key) : undefined;
    if (known) known.parts.push(...shape.parts);
    else if (isGrouped) groups.set(key, { id: at, label, parts: [...shape.parts] });
    else within(where, () => builder.object(image, { id: at, label, shape }));
  }
  for (const { id, label, parts } of groups.values())
    within(`${file}: shapes[${id}]`, () =>
      builder.object(image, { id, label, shape: { form: "polygons", parts } }),
    );
}

function within<T>(where: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new DataError(`${where}: ${cause.message}`, { cause });
  }
}

/** @returns undefined for what covers nothing */
function shapeOf(
  { shape_type: type = "polygon", points, mask }: Readonly<Record<string, unknown>>,
  size: Size | undefined,
): Shape | undefined {
  if (["point", "points", "line", "linestrip"].includes(type as string)) return undefined;
  const corners = pairs(points);
  const [x0, y0, x1, y1] = corners;
  if (type === "polygon") {
    if (corners.length < 6)
      throw new DataError(`a polygon of ${corners.length / 2} points; wanted 3 or more`);
    return { form: "polygons", parts: [corners] };
  }
  if (x0 === undefined || y0 === undefined || x1 === undefined || y1 === undefined)
    throw new DataError(`a ${show(type)} of ${corners.length / 2} points; wanted 2`);
  if (type === "circle") {
    const radius = Math.hypot(x1 - x0, y1 - y0);
    return { form: "polygons", parts: [ellipse(x0, y0, radius, radius)] };
  }
  const [left, top] = [Math.min(x0, x1), Math.min(y0, y1)];
  const [width, height] = [Math.abs(x1 - x0), Math.abs(y1 - y0)];
  if (type === "rectangle") {
    if (width === 0 || height === 0) throw new DataError(`a rectangle of ${width} × ${height}`);
    return { form: "box", parts: [[left, top, width, height]] };
  }
  if (type === "mask" && typeof mask === "string" && size) {
    const map = decodeLabelMap(Buffer.from(mask, "base64"), "mask");
    return { form: "runs", parts: [patchRuns(map, Math.round(left), Math.round(top), size)] };
  }
  throw new DataError(
    `a shape of the type ${show(type)}; wanted polygon, rectangle, circle or mask`,
  );
}

const isSide = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 1 && value < 2 ** 31;
