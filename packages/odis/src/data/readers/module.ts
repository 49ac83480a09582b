import { resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { BadImageError, DataError, isRecord, plain, reasonOf, show } from "../../core/index.js";
import { type Box, objectFromPixels, type SceneObject } from "../../objects/index.js";
import type { Reader } from "../registry.js";
import type { DataSource, DataSpec, Sample } from "../dataset.js";
import { textOf } from "../spec.js";

/** A data set of the user's own: an ES module that exports `open(options): CustomSource`, or a promise of one. */
export interface ModuleSpec extends DataSpec {
  readonly kind: "module";
  readonly path: string;
  /** Handed to `open`; must be JSON, since every worker thread opens the source again. */
  readonly options?: unknown;
}

/** What a module's `open` returns: two members, and names if it has some. */
export interface CustomSource {
  /** Number of samples; indices run from 0 to size - 1. */
  readonly size: number;
  /** The same index gives the same sample. A BadImageError skips the image; any other ends the run. */
  read(index: number): CustomSample | Promise<CustomSample>;
  /** Names of the labels; default none. */
  readonly classes?: readonly string[];
  /** Names the picture; default: its number. */
  key?(index: number): string;
}

/** A sample as a module gives it. */
export interface CustomSample {
  readonly width: number;
  readonly height: number;
  /** height × width × 3, row-major */
  readonly rgb: Uint8Array | Uint8ClampedArray;
  /** see `objectFromPolygons` and its like; default none */
  readonly objects?: readonly SceneObject[];
  /** default: the source's key of the index */
  readonly key?: string;
}

export const module: Reader = {
  kind: "module",
  places: "FILE.js",
  about:
    "a source of your own: the module exports open(options), which returns { size, read(index) }",
  detect(look) {
    const isModule = look.isFile && /\.m?js$/.test(look.place);
    return isModule ? { place: look.place, because: "a JavaScript file" } : undefined;
  },
  parse: (path) => ({ kind: "module", path }),
  place: (spec) => textOf(spec, "path"),
  absolute: (spec) => ({ ...spec, path: resolve(textOf(spec, "path")) }),
  open: openModule,
};

async function openModule(spec: DataSpec): Promise<DataSource> {
  const path = resolve(textOf(spec, "path"));
  const where = `data module ${plain(path)}`;
  const exports: unknown = await import(pathToFileURL(path).href).catch((cause: unknown) => {
    throw new DataError(`${where} cannot be loaded: ${plain(reasonOf(cause))}`, { cause });
  });
  if (!isRecord(exports) || typeof exports.open !== "function")
    throw new DataError(`${where} has no function "open"; wanted open(options)`);
  const open = exports.open as (options: unknown) => unknown;
  const source = await attempt(`${where}: open()`, () => open(spec.options));
  return checkedSource(source, where);
}

/** Runs a function of the user's; what it throws is told as its own mistake. */
async function attempt(where: string, run: () => unknown): Promise<unknown> {
  try {
    return await run();
  } catch (cause) {
    if (cause instanceof BadImageError) throw cause;
    throw new DataError(`${where} failed: ${plain(reasonOf(cause))}`, { cause });
  }
}

function checkedSource(source: unknown, where: string): DataSource {
  if (typeof source !== "object" || source === null)
    throw new DataError(
      `${where}: open() returned ${source === undefined ? "undefined" : show(source)}; wanted { size, read(index) }`,
    );
  const { size, read, classes = [], key } = source as Record<keyof CustomSource, unknown>;
  if (typeof size !== "number" || !Number.isSafeInteger(size) || size < 1 || size >= 2 ** 31)
    throw new DataError(`${where}: "size" is ${show(size)}; wanted 1 or more samples`);
  if (typeof read !== "function")
    throw new DataError(`${where}: "read" is ${show(read)}; wanted a function read(index)`);
  if (!Array.isArray(classes) || !classes.every((name) => typeof name === "string"))
    throw new DataError(`${where}: "classes" is ${show(classes)}; wanted a list of names`);
  if (key !== undefined && typeof key !== "function")
    throw new DataError(
      `${where}: "key" is ${show(key)}; wanted a function key(index), or nothing`,
    );
  // The module may return an instance of a class, so its methods keep their `this`.
  const custom = source as CustomSource;
  const keyOf = (index: number): string => custom.key?.(index) ?? String(index);
  return {
    size,
    classes,
    key: keyOf,
    async read(index) {
      const at = `${where}: read(${index})`;
      const sample = await attempt(at, () => custom.read(index));
      return checkedSample(sample, keyOf(index), classes.length, at);
    },
  };
}

function checkedSample(sample: unknown, key: string, classes: number, where: string): Sample {
  if (typeof sample !== "object" || sample === null)
    throw new DataError(
      `${where} returned ${sample === undefined ? "undefined" : show(sample)}; wanted { width, height, rgb }`,
    );
  const {
    width,
    height,
    rgb,
    objects = [],
    key: own = key,
  } = sample as Record<keyof CustomSample, unknown>;
  if (!isSide(width) || !isSide(height))
    throw new DataError(
      `${where}: "width" and "height" are ${show(width)} and ${show(height)}; wanted whole numbers of pixels, 1 or more`,
    );
  if (!(rgb instanceof Uint8Array || rgb instanceof Uint8ClampedArray))
    throw new DataError(`${where}: "rgb" is ${kindOf(rgb)}; wanted a Uint8Array`);
  if (rgb.length !== 3 * width * height)
    throw new DataError(
      `${where}: "rgb" has ${rgb.length} bytes; wanted ${3 * width * height}, 3 for each of ${width} × ${height} pixels`,
    );
  if (typeof own !== "string" || own === "")
    throw new DataError(`${where}: "key" is ${show(own)}; wanted a text`);
  if (!Array.isArray(objects))
    throw new DataError(`${where}: "objects" is ${show(objects)}; wanted a list`);
  return {
    key: own,
    width,
    height,
    rgb: rgb instanceof Uint8Array ? rgb : new Uint8Array(rgb.buffer, rgb.byteOffset, rgb.length),
    objects: objects.map((object: unknown, at) =>
      checkedObject(object, { width, height, classes, where: `${where}: objects[${at}]` }),
    ),
  };
}

interface Wanted {
  readonly width: number;
  readonly height: number;
  /** names of labels; 0 where the source has none */
  readonly classes: number;
  readonly where: string;
}

/** An object whose mask is checked when it is drawn; area and box follow from it if they are wrong. */
function checkedObject(object: unknown, { width, height, classes, where }: Wanted): SceneObject {
  if (typeof object !== "object" || object === null)
    throw new DataError(`${where} is ${show(object)}; wanted { id, label, area, box, pixels() }`);
  const { id, label, area, box, pixels, score } = object as Record<keyof SceneObject, unknown>;
  if (typeof id !== "number" || !Number.isInteger(id))
    throw new DataError(`${where}: "id" is ${show(id)}; wanted a whole number`);
  if (
    typeof label !== "number" ||
    !Number.isInteger(label) ||
    label < -1 ||
    label >= Math.max(classes, 1)
  )
    throw new DataError(
      `${where}: "label" is ${show(label)}; wanted -1 (unknown)${classes > 0 ? ` or 0 to ${classes - 1}` : " or 0"}`,
    );
  if (typeof pixels !== "function")
    throw new DataError(
      `${where}: "pixels" is ${kindOf(pixels)}; wanted a function that draws the mask`,
    );
  const scene = object as SceneObject;
  const draw = (): Uint8Array => {
    const mask: unknown = scene.pixels();
    if (mask instanceof Uint8Array && mask.length === width * height) return mask;
    throw new DataError(
      `${where}: pixels() gave ${mask instanceof Uint8Array ? `${mask.length} bytes` : kindOf(mask)}; ` +
        `wanted ${width * height}, one for each of ${width} × ${height} pixels`,
    );
  };
  if (typeof area === "number" && isBox(box, width, height) && area >= 0 && area <= width * height)
    return { id, label, area, box, ...(typeof score === "number" ? { score } : {}), pixels: draw };
  return objectFromPixels(
    draw(),
    { width, height },
    { id, label, score: score as number | undefined },
  );
}

function isBox(box: unknown, width: number, height: number): box is Box {
  if (!isRecord(box)) return false;
  const { x, y, width: w, height: h } = box;
  const numbers = [x, y, w, h].every((side) => Number.isInteger(side) && (side as number) >= 0);
  return (
    numbers && (x as number) + (w as number) <= width && (y as number) + (h as number) <= height
  );
}

const isSide = (value: unknown): value is number =>
  typeof value === "number" && Number.isInteger(value) && value >= 1;

function kindOf(value: unknown): string {
  return typeof value === "object" && value !== null ? `a ${value.constructor.name}` : show(value);
}
