import { ConfigError } from "../../errors.js";
import { fashionMnistFolder } from "./fashion-mnist.js";
import { stampsFolder } from "./stamps.js";

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
