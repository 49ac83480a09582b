import { readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { basename, dirname, join, resolve } from "node:path";
import {
  checkWritable,
  codeOf,
  ConfigError,
  makeFolder,
  plain,
  Rng,
  RunError,
} from "../core/index.js";
import { formatCounts, rleArea, rleBox } from "../objects/index.js";
import { type CocoSpec, encodePng } from "../data/index.js";
import { composeScene, type Scene } from "./compose.js";
import { fashionMnistFolder, openFashionMnist } from "./fashion-mnist.js";
import type { SpriteSource, SpriteSplits } from "./sprite.js";
import { openStamps, stampsFolder } from "./stamps.js";

/** Bumped when the same options give other bytes than before. */
const VERSION = 1;

/** Pictures that are being encoded and written at a time. */
const IN_FLIGHT = 8;

export interface ScenesMade {
  readonly folder: string;
  readonly train: CocoSpec;
  readonly test: CocoSpec;
  /** false: the folder was there already, made with the same options */
  readonly fresh: boolean;
}

/**
 * Makes a data set of scenes in COCO's format: FOLDER/train and FOLDER/test, each with `images/` and
 * `instances.json`, and FOLDER/scenes.json with the options. A folder that was made with the same
 * options is left as it is; one with others is replaced, but only if this function made it.
 *
 * @param onScene called after each scene with the number of scenes made, and of all
 * @throws ConfigError for an option out of range; DataError if the sprites are missing; RunError if
 *   the folder holds something else
 */
export async function makeScenes(
  folder: string,
  options: Partial<SceneOptions> = {},
  onScene: (made: number, all: number) => void = () => {},
): Promise<ScenesMade> {
  const full = sceneOptions(options);
  checkSceneOptions(full);
  const place = resolve(folder);
  const record = `${JSON.stringify({ version: VERSION, ...full }, null, 2)}\n`;
  const made = { folder: place, train: splitSpec(place, "train"), test: splitSpec(place, "test") };

  const old = await readRecord(place);
  if (old === record) return { ...made, fresh: false };

  checkWritable(place, "folder", "Choose another one.");
  const sprites = await openSprites(full);
  await sweep(place);
  const partial = `${place}.partial-${process.pid}`;
  const all = full.train + full.test;
  try {
    await makeSplit(partial, "train", sprites.train, full, (count) => onScene(count, all));
    await makeSplit(partial, "test", sprites.test, full, (count) =>
      onScene(full.train + count, all),
    );
    await writeFile(join(partial, "scenes.json"), record);
    if (old !== undefined) await rm(place, { recursive: true });
    await rename(partial, place);
  } finally {
    await rm(partial, { recursive: true, force: true });
  }
  return { ...made, fresh: true };
}

function openSprites({ sprites, canvas, scale }: SceneOptions): Promise<SpriteSplits> {
  if (sprites.kind === "fashion-mnist") return openFashionMnist(sprites.folder);
  // Twice the largest size that a scene wants: shrinking megapixels for each object would take hours.
  return openStamps(sprites.folder, Math.ceil(2 * scale[1] * canvas));
}

async function makeSplit(
  folder: string,
  split: "train" | "test",
  sprites: SpriteSource,
  options: SceneOptions,
  onScene: (made: number) => void,
): Promise<void> {
  const spec = splitSpec(folder, split);
  makeFolder(spec.images);
  const images: object[] = [];
  const annotations: object[] = [];
  const writing = new Set<Promise<void>>();
  for (let index = 0; index < options[split]; index += 1) {
    const scene = await composeScene(
      sprites,
      options,
      new Rng("scene", options.seed, split, index),
    );
    const file = `${String(index).padStart(6, "0")}.png`;
    images.push({ id: index, file_name: file, width: options.canvas, height: options.canvas });
    annotations.push(...annotate(scene, index, annotations.length));
    const write = writePng(join(spec.images, file), scene.rgb, options.canvas);
    writing.add(write);
    void write.then(() => writing.delete(write)).catch(() => {}); // reported by the awaits below
    if (writing.size >= IN_FLIGHT) await Promise.race(writing);
    onScene(index + 1);
  }
  await Promise.all(writing);
  const categories = sprites.classes.map((name, label) => ({ id: label + 1, name }));
  await writeFile(spec.annotations, JSON.stringify({ images, annotations, categories }));
}

function annotate(scene: Scene, image: number, before: number): object[] {
  return scene.objects.map(({ label, rle }, index) => {
    const { x, y, width, height } = rleBox(rle);
    return {
      id: before + index + 1,
      image_id: image,
      category_id: label + 1,
      segmentation: { size: [rle.height, rle.width], counts: formatCounts(rle.counts) },
      area: rleArea(rle),
      bbox: [x, y, width, height],
      iscrowd: 0,
    };
  });
}

async function writePng(path: string, rgb: Uint8Array, side: number): Promise<void> {
  await writeFile(path, await encodePng(rgb, side, side));
}

function splitSpec(folder: string, split: "train" | "test"): CocoSpec {
  const base = join(folder, split);
  return {
    kind: "coco",
    images: join(base, "images"),
    annotations: join(base, "instances.json"),
  };
}

/** The record of a folder made before; undefined if there is no folder, or an empty one. */
async function readRecord(folder: string): Promise<string | undefined> {
  try {
    return await readFile(join(folder, "scenes.json"), "utf8");
  } catch (cause) {
    const files = codeOf(cause) === "ENOENT" ? await readdir(folder).catch(() => []) : ["?"];
    if (files.length === 0) return undefined;
    throw new RunError(
      `${plain(folder)} is no folder of scenes (it has no readable scenes.json); wanted a new folder. ` +
        `Nothing in it was touched`,
      { cause },
    );
  }
}

/** Removes what interrupted makings of this folder left behind. */
async function sweep(place: string): Promise<void> {
  const parent = dirname(place);
  makeFolder(parent);
  for (const name of await readdir(parent)) {
    const [base, pid] = name.split(".partial-");
    if (base !== basename(place) || pid === undefined || isRunning(Number(pid))) continue;
    await rm(join(parent, name), { recursive: true, force: true });
  }
}

function isRunning(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === "EPERM";
  }
}

/** Kinds of things, and where their Debian packages put them. */
export const spriteFolders = { "fashion-mnist": fashionMnistFolder, stamps: stampsFolder } as const;
export type SpriteKind = keyof typeof spriteFolders;

/** What scenes look like. Everything here decides their bytes and is recorded beside them. */
export interface SceneOptions {
  /** where the things come from */
  readonly sprites: { readonly kind: SpriteKind; readonly folder: string };
  /** scenes of each split */
  readonly train: number;
  readonly test: number;
  readonly seed: number;
  /** side of a scene, pixels */
  readonly canvas: number;
  /** fewest and most objects in a scene */
  readonly objects: readonly [number, number];
  /** longer side of an object, as a share of the canvas */
  readonly scale: readonly [number, number];
  /** least share of an object that stays in sight, 0..1 */
  readonly minVisible: number;
  /** how strongly objects are coloured, 0 (grey) to 1 */
  readonly tint: number;
  /** how far backgrounds depart from plain grey, 0 to 1 */
  readonly background: number;
  /** standard deviation of the camera's noise, share of full white */
  readonly noise: number;
}

export const sceneDefaults: SceneOptions = {
  sprites: { kind: "fashion-mnist", folder: fashionMnistFolder },
  train: 20_000,
  test: 2_000,
  seed: 0,
  canvas: 64,
  objects: [2, 5],
  scale: [0.3, 0.6],
  minVisible: 0.5,
  tint: 0.5,
  background: 0.5,
  noise: 0.01,
};

/** Given options over the defaults. What has colours of its own is not tinted unless asked to. */
export function sceneOptions(given: Partial<SceneOptions>): SceneOptions {
  const natural = given.sprites?.kind === "stamps" ? { tint: 0 } : {};
  return { ...sceneDefaults, ...natural, ...given };
}

/** @throws ConfigError naming the option, its value and what was wanted */
export function checkSceneOptions(options: SceneOptions): void {
  checkWhole("train", options.train, 1, 10_000_000);
  checkWhole("test", options.test, 1, 10_000_000);
  checkWhole("seed", options.seed, 0, Number.MAX_SAFE_INTEGER);
  checkWhole("canvas", options.canvas, 16, 4096);
  for (const count of options.objects) checkWhole("objects", count, 1, 100);
  for (const scale of options.scale) checkShare("scale", scale, 0.05);
  for (const name of ["minVisible", "tint", "background", "noise"] as const) {
    checkShare(name, options[name], 0);
  }
  for (const name of ["objects", "scale"] as const) {
    if (options[name][0] > options[name][1]) wrong(name, options[name], "the lower number first");
  }
}

function checkWhole(name: string, value: number, low: number, high: number): void {
  if (Number.isInteger(value) && value >= low && value <= high) return;
  wrong(name, value, `a whole number from ${low} to ${high}`);
}

function checkShare(name: string, value: number, low: number): void {
  if (!(value >= low && value <= 1)) wrong(name, value, `a number from ${low} to 1`);
}

function wrong(name: string, value: unknown, wanted: string): never {
  throw new ConfigError(`scenes.${name}: got ${JSON.stringify(value)}; wanted ${wanted}`);
}
