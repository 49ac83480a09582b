import type { Allocate } from "@odis/torch/images";
import { existsSync } from "node:fs";
import { basename, dirname, resolve } from "node:path";
import type { ListedObject } from "./survey.js";
import type { SceneObject } from "../objects/index.js";
import { ConfigError, DataError, nearest, plain, shellWord, show } from "../core/index.js";
import { describeSource } from "./describe.js";
import { Look } from "./look.js";
import { type Overlay, overlayMasks, overlaySource } from "./overlay.js";
import type { PackedIndex } from "./packed-index.js";
import { packedSource } from "./packed-source.js";
import { quoted } from "./place.js";
import { openPicked, pickImages, type Picks } from "./pick.js";
import { type Reader, readers } from "./registry.js";
import { wholeSource, type Wholes } from "./whole.js";
import {
  checkSettings,
  commonSettings,
  parseSettings,
  settingHelp,
  settingsText,
  splitSettings,
} from "./settings.js";

/** One picture and the objects in it. Plain host memory: no tensor exists before batching. */
export interface Sample {
  /** Names the picture in errors, logs and reports. */
  readonly key: string;
  readonly width: number;
  readonly height: number;
  /** height × width × 3, row-major. */
  readonly rgb: Uint8Array;
  /** May be empty: views are then cut freely. */
  readonly objects: readonly SceneObject[];
}

/**
 * Memory to read a sample in: a caller who reads many need not have each in new memory. For threads that do nothing
 * else: the file is read on the calling thread, which waits for it.
 */
export interface ReadMemory {
  /** for the picture; the sample lies there */
  readonly picture: Allocate;
  /** for the file that the picture comes from; free again when the sample is there */
  readonly file: Allocate;
}

/** Where samples come from. `read` is pure: the same index gives the same sample. */
export interface DataSource {
  /** Number of samples; indices run from 0 to size - 1. */
  readonly size: number;
  /** Names of the labels, by `SceneObject.label`; empty where nothing is labelled. */
  readonly classes: readonly string[];
  /** Names the picture; two samples of one key show one picture. */
  key(index: number): string;
  /**
   * @param memory default: fresh memory
   * @throws BadImageError for a picture that cannot be used; the loader skips and names it
   */
  read(index: number, memory?: ReadMemory): Promise<Sample>;
  /**
   * Tells whether two samples show one picture, files under two names included: equal texts, one
   * picture. Reads the file, but does not decode it.
   */
  readonly picture?: (index: number) => Promise<string>;
  /** The picture's file as it is. */
  readonly file?: (index: number) => Promise<Buffer>;
  /** What another thread opens instead of reading everything again; default: as it was opened here. */
  readonly spec?: DataSpec;
  /** The order of an epoch, where it is not a plain permutation. */
  readonly order?: (seed: number, epoch: number) => EpochOrder;
}

/** A data set: a kind, and what its reader needs. Plain JSON, since it is saved with every run. */
export interface DataSpec {
  readonly kind: string;
  readonly [setting: string]: unknown;
}

/** A data set, and what another thread opens to get the same one. */
export interface OpenSource extends DataSource {
  readonly spec: DataSpec;
  /** what the place holds, for people: "VOC: 1,464 images, 3,507 objects, 20 classes" */
  readonly summary: string;
  /** what a person should know before training: what was left out and why, doubtful things */
  readonly notes: readonly string[];
  /** Objects of an image, where they are known without reading it. */
  readonly listed?: (image: number) => readonly ListedObject[];
}

/** Which image stands where in an epoch. */
export interface EpochOrder {
  at(position: number): number;
}

/**
 * Reads a data set's place as the command line writes it: `KIND:PLACE`, or a place alone, which
 * is looked at; either with settings behind it, `coco:photos#limit=100,crowd`.
 *
 * @throws ConfigError naming the kinds that there are, or what the place could be
 */
export function parseDataSpec(text: string): DataSpec {
  const exact = existsSync(text);
  const [named, settings] = exact ? [text, ""] : splitSettings(text);
  const colon = named.indexOf(":");
  const kind = named.slice(0, Math.max(0, colon));
  const reader = readers.find((known) => known.kind === kind);
  const place = named.slice(colon + 1);
  if (reader && place !== "") return specOf(reader, place, settings);
  if (named !== "" && existsSync(named)) {
    const found = detect(named, settings);
    return specOf(found.reader, found.place, settings);
  }
  const close = reader ? undefined : nearest(kind, kinds());
  throw new ConfigError(
    `data ${plain(JSON.stringify(text))}: ${noSuchPlace(kind, colon, reader)}; wanted a folder or file ` +
      `that exists, or KIND:PLACE with one of the kinds ${kinds().join(", ")}; for example coco:photos ` +
      `reads photos/images and photos/instances.json${close ? `. Did you mean ${close}?` : ""}`,
  );
}

function noSuchPlace(kind: string, colon: number, reader: Reader | undefined): string {
  if (colon < 0) return "there is no such place";
  return reader
    ? `no place stands behind ${kind}:`
    : `${plain(JSON.stringify(kind))} is no kind of data`;
}

const kinds = (): readonly string[] => readers.map(({ kind }) => kind);

function specOf(reader: Reader, place: string, settings: string): DataSpec {
  const given = parseSettings(settings, reader.kind, reader.settings ?? []);
  return { ...reader.parse(place, parseDataSpec), ...given };
}

/** @throws ConfigError when no kind fits, or more than one */
function detect(place: string, settings: string): { reader: Reader; place: string } {
  const look = new Look(place);
  const found = readers.flatMap((reader) => {
    const detected = [reader.detect(look) ?? []].flat();
    return detected.map((found) => ({ reader, ...found }));
  });
  // Annotations say more than pictures alone, which nearly every data set holds, too.
  const telling = found.filter(({ reader }) => !reader.isFallback);
  const candidates = telling.length > 0 ? telling : found;
  if (candidates.length === 1) return candidates[0]!;
  if (candidates.length === 0)
    throw new ConfigError(
      `data ${plain(place)}: nothing there is a data set that odis knows (${seen(look)}). Say what it ` +
        `is: KIND:PLACE with one of the kinds ${kinds().join(", ")}; odis data kinds tells of each`,
    );
  const choices = candidates.map(
    ({ reader, place: at, because }) =>
      `\n  ${shellWord(`${reader.kind}:${at}${settings === "" ? "" : `#${settings}`}`)}    ${plain(because)}`,
  );
  throw new ConfigError(
    `data ${plain(place)}: this could be read in ${candidates.length} ways. Say which is meant:${choices.join("")}`,
  );
}

function seen(look: Look): string {
  if (look.isFile) return `a file that begins with ${show(look.start().slice(0, 20))}`;
  const names = look.names();
  if (names.length === 0) return "the folder is empty";
  return `${names.slice(0, 5).map(plain).join(", ")}${names.length > 5 ? ", …" : ""}`;
}

/** A data set as the command line names it: the inverse of {@link parseDataSpec}. */
export function dataText(spec: DataSpec): string {
  const reader = readerOf(spec);
  return `${spec.kind}:${reader.place(spec, dataText)}${settingsText(spec)}`;
}

/**
 * How a data set is named now that an earlier release has named in its way, as it is or changed; a text that
 * says nothing any more stays as it is.
 */
export function toldNow(text: string, change = (spec: DataSpec): DataSpec => spec): string {
  try {
    return dataText(change(parseDataSpec(text)));
  } catch {
    return text;
  }
}

/** The same data set, found from any working folder. */
export function absoluteSpec(spec: DataSpec): DataSpec {
  const found = readerOf(spec).absolute(spec, absoluteSpec);
  const masks = found["masks"];
  return typeof masks === "string" ? { ...found, masks: resolve(masks) } : found;
}

function readerOf(spec: DataSpec): Reader {
  const reader = readers.find(({ kind }) => kind === spec.kind);
  if (reader) return reader;
  throw new ConfigError(
    `data of the kind ${show(spec.kind)} is not known; wanted one of ${kinds().join(", ")}`,
  );
}

/** Pictures alone, as far as their kind and settings tell: there is nothing to train on but the whole. */
export function isBare(spec: DataSpec): boolean {
  return readers.some(({ kind, isFallback }) => kind === spec.kind && isFallback) && !spec["masks"];
}

/** A data set of pictures alone, with each of them as one object, unless it says something else. */
export function withWholes(spec: DataSpec): DataSpec {
  return isBare(spec) && spec["whole"] === undefined ? { ...spec, whole: true } : spec;
}

/** What threads pass on: what was read already, a choice of images, other objects for them. */
type Shared =
  | { readonly kind: "packed"; readonly index: PackedIndex }
  | { readonly kind: "picked"; readonly of: DataSpec; readonly picks: Picks }
  | Overlay
  | Wholes;

const isShared = (spec: DataSpec): spec is DataSpec & Shared =>
  ["packed", "picked", "overlaid", "wholes"].includes(spec.kind);

/** @throws DataError saying what is wrong with the data set */
export async function openSource(spec: DataSpec): Promise<OpenSource> {
  if (isShared(spec)) return openShared(spec);
  const reader = readerOf(spec);
  checkSettings(spec, reader.settings ?? []);
  const opened = await reader.open(spec, openSource).catch((error: unknown) => {
    throw withPicturesAlone(error, spec);
  });
  const source = isPacked(opened)
    ? openIndex(ruled(opened, spec))
    : describeSource(opened, opened.spec ?? spec);
  const picks = await pickImages(source, spec);
  const picked = picks ? openPicked(source, picks) : source;
  const masks = spec["masks"];
  const overlaid = typeof masks === "string" ? await overlayMasks(picked, masks) : picked;
  return spec["whole"] === true ? wholeSource(overlaid) : overlaid;
}

/** Annotations that are missing may be missing on purpose: which kind the pictures alone would be. */
function withPicturesAlone(error: unknown, { images, annotations }: DataSpec): unknown {
  if (!(error instanceof DataError)) return error;
  if (typeof images !== "string" || typeof annotations !== "string") return error;
  if (existsSync(annotations)) return error;
  const above = dirname(images);
  const isUsual = basename(images) === "images" && dirname(annotations) === above;
  const folder = (isUsual ? [images, above] : [images]).find(
    (at) => new Look(at).picturesBelow() > 0,
  );
  if (folder === undefined) return error;
  return new DataError(
    `${error.message}; pictures alone are read as ${plain(quoted("folder", folder))}`,
    { cause: error },
  );
}

async function openShared(spec: DataSpec & Shared): Promise<OpenSource> {
  if (spec.kind === "packed") return openIndex(spec.index);
  if (spec.kind === "overlaid") return overlaySource(await openSource(spec.of), spec);
  if (spec.kind === "wholes") return wholeSource(await openSource(spec.of));
  return openPicked(await openSource(spec.of), spec.picks);
}

function openIndex(index: PackedIndex): OpenSource {
  return describeSource(packedSource(index), { kind: "packed", index }, index);
}

const isPacked = (opened: PackedIndex | DataSource): opened is PackedIndex => "reader" in opened;

/** The index with the settings about pictures. */
function ruled(index: PackedIndex, { color, exif }: DataSpec): PackedIndex {
  const pictures = {
    ...index.pictures,
    ...(color === "managed" ? { color: "managed" as const } : {}),
    ...(exif === "stored" || exif === "turned" ? ({ exif } as const) : {}),
  };
  return { ...index, pictures };
}

/** The kinds of data and their settings, for help. */
export function dataHelp(): string {
  const settings = (names: readonly string[]) =>
    names.map((name) => settingHelp(name)[0]).join(", ");
  const lines = readers.map(({ kind, places, about, settings: own = [] }) => {
    const more = own.length > 0 ? `\n      settings of its own: ${settings(own)}` : "";
    return `  ${kind}:${places}\n      ${about}${more}`;
  });
  const common = commonSettings.map((name) => `  ${settingHelp(name).join("\n      ")}`);
  return `Kinds of data, KIND:PLACE (a place alone is looked at):\n${lines.join("\n")}\n\nSettings behind any place, PLACE#NAME=VALUE,NAME:\n${common.join("\n")}`;
}
