import type { SceneObject } from "../objects/index.js";
import { join, resolve } from "node:path";
import { pathToFileURL } from "node:url";
import { ConfigError, DataError, reasonOf } from "../core/index.js";
import { cocoSource, type CocoSpec, indexCoco } from "./readers/coco.js";
import type { CocoIndex } from "./packed-index.js";

/** One picture and the objects in it. Plain host memory: no tensor exists before batching. */
export interface Sample {
  /** Names the picture in errors, logs and reports; unique within its source. */
  readonly key: string;
  readonly width: number;
  readonly height: number;
  /** height × width × 3, row-major. */
  readonly rgb: Uint8Array;
  /** May be empty: views are then cut freely. */
  readonly objects: readonly SceneObject[];
}

/** Where samples come from. `read` is pure: the same index gives the same sample. */
export interface DataSource {
  /** Number of samples; indices run from 0 to size - 1. */
  readonly size: number;
  /** Names of the labels, by `SceneObject.label`; empty where nothing is labelled. */
  readonly classes: readonly string[];
  key(index: number): string;
  /** @throws BadImageError for a picture that cannot be used; the loader skips and names it */
  read(index: number): Promise<Sample>;
  /**
   * Tells whether two samples show one picture, files under two names included: equal texts, one
   * picture. Reads the file, but does not decode it.
   */
  picture?(index: number): Promise<string>;
}

/** A data set of the user's own: an ES module that exports `open(options): Promise<DataSource>`. */
export interface ModuleSpec {
  readonly kind: "module";
  readonly path: string;
  /** Handed to `open`; must be JSON, since every worker thread opens the source again. */
  readonly options?: unknown;
}

/** Where a data set is. A {@link CocoIndex} is one that was read already: threads pass it on. */
export type DataSpec = CocoSpec | CocoIndex | ModuleSpec;

/** A data set, and what another thread opens to get the same one. */
export interface OpenSource extends DataSource {
  readonly spec: DataSpec;
}

/** What a command line may say before the colon, and what the rest means. */
const texts: Readonly<Record<string, (place: string) => DataSpec>> = {
  coco: (place) => {
    const [images, annotations, ...more] = place.split(",");
    if (annotations === undefined) {
      return {
        kind: "coco",
        images: join(place, "images"),
        annotations: join(place, "instances.json"),
      };
    }
    if (!images || !annotations || more.length > 0) {
      throw new ConfigError(
        `data "coco:${place}": wanted coco:FOLDER (with images/ and instances.json in it) or ` +
          `coco:IMAGES,ANNOTATIONS.json`,
      );
    }
    return { kind: "coco", images, annotations };
  },
  module: (path) => ({ kind: "module", path }),
};

/**
 * Reads a data set's place as the command line writes it: `coco:FOLDER`,
 * `coco:IMAGES,ANNOTATIONS.json` or `module:FILE.js`.
 *
 * @throws ConfigError naming the kinds that there are
 */
export function parseDataSpec(text: string): DataSpec {
  const colon = text.indexOf(":");
  const parse = colon < 0 ? undefined : texts[text.slice(0, colon)];
  const place = text.slice(colon + 1);
  if (!parse || place === "") {
    throw new ConfigError(
      `data ${JSON.stringify(text)}: wanted KIND:PLACE, with one of the kinds ` +
        `${Object.keys(texts).join(", ")}; for example coco:photos reads photos/images and ` +
        `photos/instances.json`,
    );
  }
  return parse(place);
}

/** @throws DataError saying what is wrong with the data set */
export async function openSource(spec: DataSpec): Promise<OpenSource> {
  if (spec.kind === "coco") return openIndex(await indexCoco(spec));
  if (spec.kind === "coco-index") return openIndex(spec);
  return openModule(spec);
}

function openIndex(index: CocoIndex): OpenSource {
  return { ...cocoSource(index), spec: index };
}

async function openModule(spec: ModuleSpec): Promise<OpenSource> {
  const path = resolve(spec.path);
  const exports: unknown = await import(pathToFileURL(path).href).catch((cause: unknown) => {
    throw new DataError(`data module ${path} cannot be loaded: ${reasonOf(cause)}`, { cause });
  });
  if (!canOpen(exports)) {
    throw new DataError(`data module ${path} has no function "open"; wanted open(options)`);
  }
  const source = await exports.open(spec.options);
  if (!Number.isInteger(source.size) || source.size < 1) {
    throw new DataError(`data module ${path}: "size" is ${source.size}; wanted 1 or more samples`);
  }
  // The module may return an instance of a class, so its methods keep their `this`.
  return {
    size: source.size,
    classes: source.classes,
    key: (index) => source.key(index),
    read: (index) => source.read(index),
    spec: { ...spec, path },
  };
}

interface DataModule {
  open(options: unknown): Promise<DataSource>;
}

function canOpen(exports: unknown): exports is DataModule {
  return (
    typeof exports === "object" &&
    exports !== null &&
    "open" in exports &&
    typeof exports.open === "function"
  );
}
