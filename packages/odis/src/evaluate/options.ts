import { z } from "zod";
import { ConfigError, resolveConfig } from "../core/index.js";
import type { DataSource } from "../data/index.js";
import type { Network } from "../model/index.js";
import type { Recipe } from "../recipe/index.js";
import { type MaskConfig, maskConfig } from "../views/index.js";
import { defaultDenseSettings, type DenseSettings } from "./suites/dense.js";
import type { FeatureKind, Frame, InferenceMode } from "../features/index.js";
import { defaultProbeSettings, type ProbeSettings } from "./suites/probe.js";

/** What can be measured on the same frozen features. */
export const suites = ["knn", "linear", "dense", "attributes"] as const;
export type Suite = (typeof suites)[number];

/** The modes that linear classifiers are trained in: those that look at one framed image. */
export const probedModes: readonly InferenceMode[] = ["mask", "none"];

export interface EvaluateOptions {
  readonly recipe: Recipe;
  /** the teacher to judge; without it only the two baselines are measured */
  readonly trained?: Network | undefined;
  /** its labelled objects vote and teach */
  readonly train: DataSource;
  /** its labelled objects are classified */
  readonly test: DataSource;
  /** default `knn` alone */
  readonly suites?: readonly Suite[] | undefined;
  /** default `mask` and `none`; the first one's neighbours are shown as examples */
  readonly modes?: readonly InferenceMode[] | undefined;
  /** what an object's feature is; default: what the recipe trains */
  readonly feature?: FeatureKind | undefined;
  /** whether raw pixels and the untrained network are measured, too; default true */
  readonly baselines?: boolean | undefined;
  /** side of the network's input, pixels; default: the recipe's global views */
  readonly size?: number | undefined;
  /** default `whole`: no object is lost */
  readonly frame?: Frame | undefined;
  /** numbers of neighbours; the first is the one that tables show */
  readonly k?: readonly number[] | undefined;
  /** how linear classifiers are trained; default: the published sweep, 100 epochs */
  readonly probe?: Partial<ProbeSettings> | undefined;
  /** how patch features are judged */
  readonly dense?: Partial<DenseSettings> | undefined;
  /** images read from each source at most */
  readonly limit?: number | undefined;
  /** least share of the image that an object covers */
  readonly minArea?: number | undefined;
  /**
   * how good the masks are that the networks are told, of bank and test objects; what is right stays
   * as annotated, so an overlooked object is asked for by the whole image; default: as annotated
   */
  readonly masks?: Partial<MaskConfig> | undefined;
  /** draws the images of the intervals and the examples, and all that is random in training probes */
  readonly seed?: number | undefined;
  readonly onProgress?: ((part: Part, done: number, of: number) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

export type Part = "train" | "test";

/** Everything that decides the figures beside data, network and limits; plain JSON. */
export interface Settings {
  readonly suites: readonly Suite[];
  readonly modes: readonly InferenceMode[];
  readonly feature: FeatureKind;
  readonly baselines: boolean;
  readonly size: number;
  readonly frame: Frame;
  /** neighbours that were asked for; the whole bank votes where it is smaller */
  readonly k: readonly number[];
  readonly probe: ProbeSettings;
  readonly dense: DenseSettings;
  readonly minArea: number;
  readonly masks: MaskConfig;
  readonly seed: number;
}

/** Neighbours that vote unless asked otherwise; 20 is what published tables report. */
export const defaultK: readonly number[] = [20, 5, 10, 100, 200];

/**
 * The settings that follow from options.
 *
 * @throws ConfigError when they do not fit the network or leave nothing to measure
 */
export function settingsOf(options: EvaluateOptions): Settings {
  const { recipe, frame = "whole", minArea = 0, seed = 0 } = options;
  const { patch } = recipe.model;
  const size = options.size ?? recipe.views.globals.size;
  if (size % patch !== 0)
    throw new ConfigError(
      `evaluation: size ${size} is not a multiple of the network's patch, ${patch}. ` +
        `Wanted for example ${Math.max(1, Math.round(size / patch)) * patch}.`,
    );
  const settings: Settings = {
    suites: once<Suite>(options.suites ?? ["knn"]),
    modes: once<InferenceMode>(options.modes ?? ["mask", "none"]),
    feature: options.feature ?? recipe.loss.objectFrom,
    baselines: options.baselines ?? true,
    size,
    frame,
    k: once(options.k ?? defaultK),
    probe: { ...defaultProbeSettings, ...options.probe },
    dense: { ...defaultDenseSettings, ...options.dense },
    minArea,
    masks: resolveConfig(z.strictObject({ masks: maskConfig }), [
      { source: "evaluation", values: options.masks ? { masks: options.masks } : {} },
    ]).masks,
    seed,
  };
  for (const list of ["suites", "modes", "k"] as const)
    if (settings[list].length === 0)
      throw new ConfigError(`evaluation: ${list} is empty; wanted at least one.`);
  if (settings.suites.includes("linear") && !settings.modes.some((m) => probedModes.includes(m)))
    throw new ConfigError(
      `evaluation: suite linear trains in the modes ${probedModes.join(" and ")}; got only ` +
        `${settings.modes.join(", ")}. Add one of them, or leave the suite out.`,
    );
  if (!settings.baselines && !options.trained)
    throw new ConfigError(
      `evaluation: neither baselines nor a trained network; wanted at least one of them.`,
    );
  return settings;
}

/** What is asked for twice is measured once. */
function once<T>(list: readonly T[]): T[] {
  return [...new Set(list)];
}
