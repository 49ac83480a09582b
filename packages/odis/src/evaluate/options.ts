import { z } from "zod";
import type { Settings } from "../core/index.js";
import { featureKinds, modes } from "../features/index.js";
import { frames } from "../portable/index.js";
import { maskConfig } from "../views/index.js";

/** What a command line or a plan may give for an option. */
export type OptionValue = number | string | readonly string[] | readonly number[];

export type OptionType =
  /** `many`: several of them, with commas between them */
  | {
      readonly kind: "number";
      readonly whole?: true;
      readonly many?: true;
      readonly min?: number;
      readonly max?: number;
    }
  /** one of some words, or several of them; `told`: the help says already which */
  | {
      readonly kind: "choice";
      readonly many?: true;
      readonly told?: true;
      readonly of: readonly string[];
    }
  /** any texts, one or more */
  | { readonly kind: "texts"; readonly placeholder: string };

/**
 * A setting of an evaluation as people give it. The command line, plans of comparisons and the
 * lines that make an evaluation again follow from it.
 */
export interface EvaluationOption {
  readonly help: string;
  readonly type: OptionType;
  /** dotted path of the setting that it stands for */
  readonly path: string;
  /** the setting that a value stands for, and back; default: the value itself */
  readonly to?: (value: OptionValue) => unknown;
  readonly from?: (setting: unknown) => OptionValue | undefined;
  /** of the command line, where the setting's own default is another */
  readonly default?: OptionValue;
}

/** By their names on the command line in camelCase, which are those in plans. */
export type EvaluationOptions = Readonly<Record<string, EvaluationOption>>;

const integer = (least: number) => z.int().min(least);

/** What holds for every suite. */
export const commonSettings = {
  /** how the network is asked for an object; the first one's neighbours are shown as examples */
  modes: z
    .array(z.enum(modes))
    .min(1, "wanted at least one mode")
    .default(["mask", "none"])
    .readonly(),
  /** what an object's feature is; default: what the recipe trains */
  feature: z.enum(featureKinds).optional(),
  /** whether raw pixels and the untrained network are measured, too */
  baselines: z.boolean().default(true),
  /** side of the network's input, pixels; default: the recipe's global views */
  size: integer(1).optional(),
  /** default: no object is lost */
  frame: z.enum(frames).default("whole"),
  /** images read from each source at most */
  limit: integer(1).optional(),
  /** least share of the image that an object covers */
  minArea: z.number().min(0).max(1).default(0),
  /**
   * how good the masks are that the networks are told, of bank and test objects; what is right stays
   * as annotated, so an overlooked object is asked for by the whole image
   */
  masks: maskConfig.prefault({}),
  /** draws the images of the intervals and the examples, and all that is random in training probes */
  seed: integer(0).default(0),
};

/** What is asked for twice is measured once. */
export function once<T>(list: readonly T[]): T[] {
  return [...new Set(list)];
}

const yesNo = {
  to: (value: OptionValue) => value === "yes",
  from: (setting: unknown) => (setting === true ? "yes" : "no"),
};

/** Before those of the suites in help. */
export const firstOptions: EvaluationOptions = {
  mode: {
    help: "how the network is asked for an object",
    type: { kind: "choice", many: true, of: modes },
    path: "modes",
  },
  feature: {
    help: "what an object's feature is: the summary token, or the mean of patch tokens (default: what it was trained for)",
    type: { kind: "choice", of: featureKinds },
    path: "feature",
  },
  baselines: {
    help: "whether raw pixels and the untrained network are measured, too",
    type: { kind: "choice", of: ["yes", "no"] },
    path: "baselines",
    ...yesNo,
  },
};

/** After those of the suites in help. */
export const lastOptions: EvaluationOptions = {
  size: {
    help: "side of the network's input, pixels (default: as in training)",
    type: { kind: "number", whole: true, min: 1 },
    path: "size",
  },
  frame: {
    help: "what is seen of an image: all of it, squeezed to a square, or its central square",
    type: { kind: "choice", of: frames },
    path: "frame",
  },
  limit: {
    help: "images read from each data set at most",
    type: { kind: "number", whole: true, min: 1 },
    path: "limit",
    default: 5000,
  },
  minArea: {
    help: "least share of the image that an object covers",
    type: { kind: "number", min: 0, max: 1 },
    path: "minArea",
  },
  masks: {
    help: "the masks that networks are told: as annotated, their boxes, or none at all",
    type: { kind: "choice", of: ["truth", "box", "none"] },
    path: "masks.kind",
  },
  maskIou: {
    help: "boxes are displaced until they overlap with the true ones that much",
    type: { kind: "number", min: 0.1, max: 1 },
    path: "masks.iou",
  },
  maskMissing: {
    help: "chance of an object being overlooked; the whole image then stands in for it",
    type: { kind: "number", min: 0, max: 1 },
    path: "masks.missing",
  },
  seed: {
    help: "draws the intervals' images and the examples",
    type: { kind: "number", whole: true, min: 0 },
    path: "seed",
  },
};

/** What a setting is called on the command line; undefined where it has no value. */
export function optionValue(
  { path, from = (setting) => setting as OptionValue | undefined }: EvaluationOption,
  settings: object,
): OptionValue | undefined {
  const setting = path
    .split(".")
    .reduce<unknown>((tree, key) => (tree as Settings | undefined)?.[key], settings);
  return setting === undefined ? undefined : from(setting);
}

/** The settings that some options stand for, as a tree; what has no value is left out. */
export function optionSettings(
  options: EvaluationOptions,
  values: Readonly<Record<string, OptionValue | undefined>>,
): Settings {
  const tree: Record<string, unknown> = {};
  for (const [name, { path, to = (given: OptionValue) => given }] of Object.entries(options)) {
    const value = values[name];
    if (value === undefined) continue;
    const keys = path.split(".");
    const last = keys.pop()!;
    const branch = keys.reduce(
      (above, key) => (above[key] ??= {}) as Record<string, unknown>,
      tree,
    );
    branch[last] = to(value);
  }
  return tree;
}
