import { existsSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import { DataError, plain, show } from "../../core/index.js";
import { ClassNames } from "../classes.js";
import type { DataSpec } from "../dataset.js";
import { IndexBuilder } from "../index-builder.js";
import { Mistakes } from "../mistakes.js";
import type { PackedIndex, Shape } from "../packed-index.js";
import { Place } from "../place.js";
import type { Reader } from "../registry.js";
import { ellipse, pairs, patchRuns, turnedBox } from "../shapes.js";
import { textOf } from "../spec.js";
import { elements, numberOf, readXml, textOf as childText, type XmlElement } from "../xml.js";
import { twoPlaces } from "./places.js";

/** "CVAT for images 1.1": one XML file with all shapes, pictures in images/. */
export const cvat: Reader = {
  ...twoPlaces("cvat", "images", "annotations.xml"),
  places: "FOLDER or cvat:IMAGES,ANNOTATIONS.xml",
  about:
    "CVAT for images 1.1: boxes, polygons, ellipses, masks; shapes of one label and group are one object",
  detect(look) {
    const file = look.isFile ? "" : "annotations.xml";
    const text = look.start(file);
    if (!text.includes("<annotations>") || !/<(version|image|meta)\b/.test(text)) return undefined;
    if (look.isFolder) return { place: look.place, because: "annotations.xml" };
    const images = join(dirname(look.place), "images");
    return {
      place: `${existsSync(images) ? images : dirname(look.place)},${look.place}`,
      because: "a file of CVAT's",
    };
  },
  open: openCvat,
};

async function openCvat(spec: DataSpec): Promise<PackedIndex> {
  const path = textOf(spec, "annotations");
  const images = resolve(textOf(spec, "images"));
  const root = existsSync(images) ? images : dirname(images); // older exports have pictures beside the file
  const place = new Place(root, "image folder", spec.outside === true);
  const tree = await readXml(path, "annotation file");
  const [annotations] = elements(tree, "annotations");
  if (!annotations) throw new DataError(`annotation file ${plain(path)} has no <annotations>`);
  if (annotations.track !== undefined)
    throw new DataError(
      `annotation file ${plain(path)} holds tracks of a video; wanted pictures. Export it as "CVAT for images 1.1"`,
    );
  const found = elements(annotations, "image");
  if (found.length === 0) throw new DataError(`annotation file ${plain(path)} has no <image>`);
  const names = found.map((image, at) => {
    const name = childText(image, "@name");
    if (!name) throw new DataError(`annotation file ${plain(path)}: image ${at + 1} has no name`);
    return name;
  });
  const files = await findPictures(place, names, found, plain(path));
  // The program shows and stores shapes on the picture as EXIF turns it.
  const builder = new IndexBuilder({ reader: cvat.kind, root, turning: "turned" });
  const classes = new ClassNames();
  const mistakes = new Mistakes(`annotation file ${path}`);
  for (const [at, image] of found.entries())
    mistakes.collect(() => addImage(builder, files[at]!, image, classes));
  mistakes.check();
  const { names: sorted, labels } = classes.sorted();
  builder.relabel(labels);
  return builder.finish(sorted);
}

/** Pictures of a task with sets lie in folders of those names. */
async function findPictures(
  place: Place,
  names: readonly string[],
  images: readonly XmlElement[],
  source: string,
): Promise<string[]> {
  const spelled: string[] = [];
  for (const [at, name] of names.entries()) {
    const set = childText(images[at]!, "@subset");
    const inSet = set === undefined ? undefined : await place.look(`${set}/${name}`, source);
    spelled.push(inSet ?? ((await place.look(name, source)) !== undefined ? name : basename(name)));
  }
  return place.find(spelled, source);
}

function addImage(
  builder: IndexBuilder,
  file: string,
  element: XmlElement,
  classes: ClassNames,
): void {
  const size = { width: numberOf(element, "@width"), height: numberOf(element, "@height") };
  if (
    !Number.isInteger(size.width) ||
    !Number.isInteger(size.height) ||
    size.width < 1 ||
    size.height < 1
  )
    throw new DataError(
      `${plain(file)}: its size is ${size.width} × ${size.height}; wanted whole numbers of pixels`,
    );
  const image = builder.image(file, size);
  const groups = new Map<string, { id: number; label: number; parts: ArrayLike<number>[] }>();
  const add = (id: number, label: number, shape: Shape) => {
    try {
      builder.object(image, { id, label, shape });
    } catch (cause) {
      if (!(cause instanceof DataError)) throw cause;
      throw new DataError(`${plain(file)}: ${cause.message}`, { cause });
    }
  };
  let id = 0;
  for (const [kind, draw] of Object.entries(kinds)) {
    for (const shape of elements(element, kind)) {
      id += 1;
      const name = childText(shape, "@label");
      if (!name) throw new DataError(`${plain(file)}: a <${kind}> has no label`);
      const drawn = within(`${plain(file)}: <${kind}> ${plain(name)}`, () => draw(shape, size));
      const group = childText(shape, "@group_id");
      const key = `${group} ${name}`;
      const label = classes.label(name);
      if (group === undefined || drawn.form !== "polygons") add(id, label, drawn);
      else if (groups.has(key)) groups.get(key)!.parts.push(...drawn.parts);
      else groups.set(key, { id, label, parts: [...drawn.parts] });
    }
  }
  for (const { id: first, label, parts } of groups.values())
    add(first, label, { form: "polygons", parts });
  for (const kind of ["polyline", "points", "tag", "cuboid", "skeleton"]) {
    builder.leave(`${kind} shape`, `${kind} shapes`, elements(element, kind).length);
  }
}

function within<T>(where: string, run: () => T): T {
  try {
    return run();
  } catch (cause) {
    if (!(cause instanceof DataError)) throw cause;
    throw new DataError(`${where}: ${cause.message}`, { cause });
  }
}

type Size = { readonly width: number; readonly height: number };

/** What each kind of shape covers. */
const kinds: Readonly<Record<string, (shape: XmlElement, size: Size) => Shape>> = {
  box(shape) {
    const [left, top] = [numberOf(shape, "@xtl"), numberOf(shape, "@ytl")];
    const [right, bottom] = [numberOf(shape, "@xbr"), numberOf(shape, "@ybr")];
    if (!(right > left && bottom > top))
      throw new DataError(`it reaches from ${left}, ${top} to ${right}, ${bottom}`);
    const angle = childText(shape, "@rotation") === undefined ? 0 : numberOf(shape, "@rotation");
    if (angle !== 0)
      return { form: "polygons", parts: [turnedBox(left, top, right, bottom, angle)] };
    return { form: "box", parts: [[left, top, right - left, bottom - top]] };
  },
  polygon(shape) {
    const corners = pairs(
      (childText(shape, "@points") ?? "").split(";").map((point) => point.split(",").map(numeral)),
    );
    if (corners.length < 6)
      throw new DataError(`it has ${corners.length / 2} points; wanted 3 or more`);
    return { form: "polygons", parts: [corners] };
  },
  ellipse(shape) {
    const [x, y] = [numberOf(shape, "@cx"), numberOf(shape, "@cy")];
    return {
      form: "polygons",
      parts: [ellipse(x, y, numberOf(shape, "@rx"), numberOf(shape, "@ry"))],
    };
  },
  /** Runs of a patch, row by row, beginning outside. */
  mask(shape, size) {
    const [left, top] = [numberOf(shape, "@left"), numberOf(shape, "@top")];
    const [width, height] = [numberOf(shape, "@width"), numberOf(shape, "@height")];
    if (
      ![left, top, width, height].every(Number.isInteger) ||
      width < 1 ||
      height < 1 ||
      width > size.width ||
      height > size.height
    )
      throw new DataError(`its patch is ${width} × ${height} at ${left}, ${top}`);
    const runs = (childText(shape, "@rle") ?? "").split(",").map(numeral);
    const sum = runs.reduce((total, run) => total + run, 0);
    if (sum !== width * height || runs.some((run) => !(Number.isInteger(run) && run >= 0)))
      throw new DataError(`its runs add up to ${show(sum)} pixels; wanted ${width * height}`);
    const values = new Uint8Array(width * height);
    let position = 0;
    for (const [at, run] of runs.entries()) {
      if (at % 2 === 1) values.fill(1, position, position + run);
      position += run;
    }
    return { form: "runs", parts: [patchRuns({ values, width, height }, left, top, size)] };
  },
};

const numeral = (text: string): number => (text.trim() === "" ? Number.NaN : Number(text));
