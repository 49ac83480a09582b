import { existsSync, statSync } from "node:fs";
import { dirname, join, resolve } from "node:path";
import { ConfigError } from "../../core/index.js";
import type { DataSpec } from "../dataset.js";
import type { Reader } from "../registry.js";
import { textOf } from "../spec.js";

type Places = Pick<Reader, "kind" | "parse" | "place" | "absolute">;

/** A kind whose place is one folder or file. */
export function onePlace(kind: string): Places {
  return {
    kind,
    parse: (place) => ({ kind, place }),
    place: (spec) => textOf(spec, "place"),
    absolute: (spec) => ({ ...spec, place: resolve(textOf(spec, "place")) }),
  };
}

/**
 * A kind whose place is a folder of pictures and something beside them, `IMAGES,ANNOTATIONS`, or a
 * FOLDER that holds both under the usual names. Names of folders may hold commas: what exists decides
 * where the first part ends.
 *
 * @param images usual name of the pictures' folder
 * @param annotations usual name of what lies beside it
 */
export function twoPlaces(kind: string, images: string, annotations: string): Places {
  return {
    kind,
    parse: (place) => parse(place, kind, images, annotations),
    place: (spec) => {
      const both = { images: textOf(spec, "images"), annotations: textOf(spec, "annotations") };
      const folder = dirname(both.images);
      // With a comma a folder's name could be taken for two places.
      const isUsual =
        !folder.includes(",") &&
        both.images === join(folder, images) &&
        both.annotations === join(folder, annotations);
      return isUsual ? folder : `${both.images},${both.annotations}`;
    },
    absolute: (spec) => ({
      ...spec,
      images: resolve(textOf(spec, "images")),
      annotations: resolve(textOf(spec, "annotations")),
    }),
  };
}

function parse(place: string, kind: string, images: string, annotations: string): DataSpec {
  const cuts = [...place.matchAll(/,/g)]
    .map(({ index: at }) => ({
      kind,
      images: place.slice(0, at),
      annotations: place.slice(at + 1),
    }))
    .filter((cut) => cut.images !== "" && cut.annotations !== "");
  const there = cuts.filter((cut) => isFolder(cut.images) && existsSync(cut.annotations));
  if (!place.includes(",") || (isFolder(place) && there.length === 0))
    return { kind, images: join(place, images), annotations: join(place, annotations) };
  const choice = there.length > 0 ? there : cuts;
  if (choice.length === 1) return choice[0]!;
  const isFile = annotations.includes(".");
  const second = isFile
    ? `ANNOTATIONS${annotations.slice(annotations.lastIndexOf("."))}`
    : "ANNOTATIONS";
  throw new ConfigError(
    `data "${kind}:${place}": wanted ${kind}:FOLDER (with ${images}/ and ${annotations}${isFile ? "" : "/"} in it) or ` +
      `${kind}:IMAGES,${second}${choice.length > 1 ? "; with these commas it can be cut in several ways" : ""}`,
  );
}

function isFolder(path: string): boolean {
  return statSync(path, { throwIfNoEntry: false })?.isDirectory() ?? false;
}
