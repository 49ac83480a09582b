import { z } from "zod";
import { optionName, resolveConfig } from "../core/index.js";
import { modes as knownModes } from "../features/index.js";
import type { Recipe } from "../recipe/index.js";
import {
  commonSettings,
  type EvaluationOptions,
  firstOptions,
  lastOptions,
  once,
  optionValue,
  type OptionValue,
} from "./options.js";
import { checkSide } from "./patches.js";
import type { CommonSettings, Description, Figure, FigureTable, SuiteOf } from "./suite.js";
import * as registry from "./suites/index.js";

type Entry = (typeof registry)[keyof typeof registry];
export type SuiteName = Entry["name"];

/** What all suites' own settings are together. */
type Own = Intersection<OwnOf<Entry>>;
type OwnOf<E> = E extends SuiteOf<string, infer S> ? S : never;
type Intersection<U> = (U extends unknown ? (one: U) => void : never) extends (all: infer I) => void
  ? I
  : never;

/** In the order of help. */
export const suites: readonly SuiteOf<SuiteName, Own>[] = Object.values(registry);
export const suiteNames: readonly SuiteName[] = suites.map(({ name }) => name);

type OwnShape = Intersection<Entry["settings"]>;
const ownSettings: OwnShape = Object.assign(
  {},
  ...Object.values(registry).map(({ settings }) => settings),
);

const schema = z.strictObject({
  suites: z
    .array(z.enum(suiteNames))
    .min(1, "wanted at least one suite")
    .default(["knn"])
    .readonly(),
  ...commonSettings,
  ...ownSettings,
});

/** Everything that decides the figures beside data and network; plain JSON. */
export type EvaluationSettings = { readonly suites: readonly SuiteName[] } & CommonSettings & Own;

/** As a caller gives them: what is left out has its default. */
export type GivenSettings = Partial<DeepPartial<z.output<typeof schema>>>;
type DeepPartial<T> = T extends readonly unknown[]
  ? T
  : T extends object
    ? { readonly [Key in keyof T]?: DeepPartial<T[Key]> | undefined }
    : T;

/** How people give settings, in the order of help. */
export const evaluationOptions: EvaluationOptions = {
  suite: {
    help: `what is measured: ${suites.map(({ name, summary }) => `${name} (${summary})`).join(", ")}`,
    type: { kind: "choice", many: true, told: true, of: suiteNames },
    path: "suites",
  },
  ...firstOptions,
  ...Object.assign({}, ...suites.map(({ options }) => options)),
  ...lastOptions,
};

const defaults = schema.parse({});

/** What an option is when nobody gives it; undefined where that depends on the run. */
export function defaultValue(name: string): OptionValue | undefined {
  const option = evaluationOptions[name]!;
  return option.default ?? optionValue(option, defaults);
}

/** The options of `odis evaluate` that lead to these settings, those left out that are defaults. */
export function optionsFor(
  settings: EvaluationSettings,
): Readonly<Record<string, OptionValue | undefined>> {
  const given = Object.entries(evaluationOptions).map(
    ([name, option]) => [name, optionValue(option, settings)] as const,
  );
  return Object.fromEntries(
    given.filter(([name, value]) => String(value) !== String(defaultValue(name))),
  );
}

/** Modes that somebody asked for and a suite that is measured leaves out: a sentence for each suite. */
function unreadModes(
  measured: readonly string[],
  asked: OptionValue | undefined,
): readonly string[] {
  return suites.flatMap(({ name, modes }) => {
    if (!modes || !measured.includes(name)) return [];
    const all = [asked ?? []]
      .flat()
      .flatMap((mode) => knownModes.filter((known) => known === mode));
    const read = modes(all);
    const left = all.filter((mode) => !read.includes(mode));
    if (left.length === 0 || read.length === 0) return []; // without any it says so itself
    return [
      `--mode ${left.join(",")} is left out by ${name}, which measures ${read.join(" and ")}`,
    ];
  });
}

/** What somebody asked for and no suite, or not every one that is measured, reads: a sentence for each. */
export function unreadOptions(
  values: Readonly<Record<string, OptionValue | undefined>>,
): readonly string[] {
  const measured = [values["suite"] ?? []].flat().map(String);
  const isGiven = (name: string): boolean =>
    values[name] !== undefined && String(values[name]) !== String(defaultValue(name) ?? "");
  const options = Object.keys(values).flatMap((name) => {
    const readers = suites.filter(({ options }) => name in options).map((suite) => suite.name);
    if (
      !isGiven(name) ||
      readers.length === 0 ||
      readers.some((reader) => measured.includes(reader))
    )
      return [];
    return [
      `${optionName(name)} has no effect: ${readers.join(", ")} would read it; wanted, for example, --suite ${[...measured, readers[0]].join(",")}`,
    ];
  });
  return isGiven("mode") ? [...options, ...unreadModes(measured, values["mode"])] : options;
}

/** Options as words of a command line. */
export function optionWords(
  options: Readonly<Record<string, OptionValue | undefined>>,
): readonly string[] {
  return Object.entries(options).flatMap(([name, value]) => {
    if (value === undefined) return [];
    const each = evaluationOptions[name]?.type.kind === "texts" ? [value].flat() : [value];
    return each.flatMap((one) => [optionName(name), String(one)]);
  });
}

/**
 * The settings that follow from what was given.
 *
 * @throws ConfigError when they do not fit the network or leave nothing to measure
 */
export function settingsOf(given: GivenSettings, recipe: Recipe): EvaluationSettings {
  const { patch } = recipe.model;
  const values: Readonly<Record<string, unknown>> = JSON.parse(JSON.stringify(given)); // no key without a value
  const resolved = resolveConfig(schema, [{ source: "evaluation", values }]);
  const size = resolved.size ?? recipe.views.globals.size;
  checkSide("size", size, patch);
  const settings: EvaluationSettings = {
    ...resolved,
    suites: once(resolved.suites),
    modes: once(resolved.modes),
    k: once(resolved.k),
    feature: resolved.feature ?? recipe.loss.objectFrom,
    size,
  };
  for (const { needs } of chosenSuites(settings)) needs(settings);
  return settings;
}

/**
 * Settings as an evaluation of this or an earlier release saved them: what did not exist yet has
 * its default.
 */
export const savedSettings: z.ZodType<EvaluationSettings> = schema
  .strip()
  .required({ feature: true, size: true });

export function chosenSuites({ suites: names }: Pick<EvaluationSettings, "suites">) {
  return names.map((name) => suites.find((suite) => suite.name === name)!);
}

/** How many of the chosen suites work on the evaluation's own data; the others bring theirs. */
export function mainDataUse(settings: Pick<EvaluationSettings, "suites">): "all" | "some" | "none" {
  const chosen = chosenSuites(settings);
  if (chosen.every(({ elsewhere }) => elsewhere)) return "none";
  return chosen.some(({ elsewhere }) => elsewhere) ? "some" : "all";
}

/** The one figure that an evaluation is summed up by. */
export interface Headline extends Pick<FigureTable, "title" | "classes" | "says"> {
  readonly figure: Figure;
}

/** Of the first suite that tells classes, or else of the first; undefined where nothing is measured. */
export function headlineOf(settings: EvaluationSettings, bank?: number): Headline | undefined {
  const tables = describeEvaluation(settings, bank).flatMap((described) => described.tables);
  const table = tables.find(({ classes }) => classes) ?? tables[0];
  const figure = table?.figures[0];
  return table && figure && { ...table, figure };
}

/** How the figures of an evaluation are shown, suite by suite. */
export function describeEvaluation(
  settings: EvaluationSettings,
  bank?: number,
): readonly (Description & { readonly suite: SuiteName })[] {
  return chosenSuites(settings).map(({ name, describe }) => ({
    suite: name,
    ...describe({ settings, bank }),
  }));
}
