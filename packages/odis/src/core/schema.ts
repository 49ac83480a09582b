import { readFileSync } from "node:fs";
import type { z } from "zod";
import { explainIssue } from "./schema-problem.js";
import { ConfigError, DataError } from "./errors.js";
import { parseJson } from "./json.js";
import { plain, reasonOf } from "./text.js";

/** A tree of settings as JSON has it. */
export type Settings = Readonly<Record<string, unknown>>;

/** Settings from one place; later layers win over earlier ones, leaf by leaf. */
export interface ConfigLayer {
  /** named in messages, e.g. `recipe odis`, `my.json`, `--set` */
  readonly source: string;
  readonly values: Settings;
}

/** All levels read-only. */
export type DeepReadonly<T> = T extends readonly unknown[] | Readonly<Record<string, unknown>>
  ? { readonly [Key in keyof T]: DeepReadonly<T[Key]> }
  : T;

/**
 * Merges the layers, fills in the schema's defaults, and freezes the result.
 *
 * Lists and values replace, objects merge. Every problem becomes one line with the dotted path,
 * who set it, what was given and what was wanted:
 * `my.json: optim.lr: got "fast", wanted a number greater than 0`.
 *
 * @throws ConfigError with one line for each problem
 */
export function resolveConfig<Schema extends z.ZodType>(
  schema: Schema,
  layers: readonly ConfigLayer[],
): DeepReadonly<z.output<Schema>> {
  const merged = layers.reduce<Settings>((below, { values }) => mergeSettings(below, values), {});
  const result = schema.safeParse(merged);
  if (!result.success) {
    const problems = result.error.issues.flatMap((issue) =>
      explainIssue(issue, schema, merged, layers),
    );
    // One value can break two rules that say the same.
    throw new ConfigError([...new Set(problems)].join("\n"));
  }
  // A clone, because default values belong to the schema.
  return deepFreeze(structuredClone(result.data));
}

/**
 * `path=value` as `--set` takes it. The value is JSON or else a bare text:
 * `optim.lr=0.001`, `loss.centering=sinkhorn`, `views.globals.scale=[0.3,1]`.
 *
 * @throws ConfigError when there is no path, or a list or object is not JSON
 */
export function parseSetting(text: string): Settings {
  const { path, value } = splitSetting(text);
  const [first = "", ...rest] = path;
  return { [first]: rest.reduceRight<unknown>((inner, key) => ({ [key]: inner }), value) };
}

/**
 * Settings as `--set` takes them by their dotted paths; of two for the same path the last wins.
 *
 * @throws ConfigError as {@link parseSetting} does
 */
export function settingPaths(settings: readonly string[]): Readonly<Record<string, unknown>> {
  const split = settings.map(splitSetting);
  return Object.fromEntries(split.map(({ path, value }) => [path.join("."), value]));
}

function splitSetting(text: string): { readonly path: readonly string[]; readonly value: unknown } {
  const at = text.indexOf("=");
  const path = text.slice(0, Math.max(0, at)).split(".");
  if (at < 0 || path.some((key) => key.trim() === ""))
    throw new ConfigError(`--set ${plain(text)}: wanted path=value, e.g. --set optim.lr=0.001`);
  return { path, value: settingValue(text.slice(at + 1), path.join(".")) };
}

/** All `--set` options of a command line as one layer; of two for the same path the last wins. */
export function settingsLayer(settings: readonly string[]): ConfigLayer {
  return {
    source: "--set",
    values: settings.map(parseSetting).reduce<Settings>(mergeSettings, {}),
  };
}

/**
 * Reads a JSON file of settings.
 *
 * @throws ConfigError when it is missing, not JSON (with line and column), or not an object
 */
export function loadConfigFile(path: string): ConfigLayer {
  let text: string;
  try {
    text = readFileSync(path, "utf8");
  } catch (error) {
    throw new ConfigError(
      `config file ${path}: cannot be read (${reasonOf(error)}). ` +
        `Give --config a JSON file of settings.`,
      undefined,
      { cause: error },
    );
  }
  const values = configIn(text, path);
  if (!isSettings(values))
    throw new ConfigError(
      `config file ${path}: got ${Array.isArray(values) ? "a list" : JSON.stringify(values)}, ` +
        `wanted an object of settings, e.g. {"optim": {"lr": 0.001}}`,
    );
  return { source: path, values };
}

function configIn(text: string, path: string): unknown {
  try {
    return parseJson(Buffer.from(text), `config file ${plain(path)}`);
  } catch (error) {
    if (!(error instanceof DataError)) throw error;
    throw new ConfigError(error.message, undefined, { cause: error });
  }
}

function settingValue(text: string, path: string): unknown {
  try {
    const value: unknown = JSON.parse(text);
    return value;
  } catch (error) {
    if (/^\s*[[{"]/.test(text))
      throw new ConfigError(
        `--set ${path}: got ${text}, wanted JSON (quote it for the shell: --set '${path}=…')`,
        undefined,
        { cause: error },
      );
    // JSON has no ".5" and no "+1", people do.
    const number = Number(text);
    return text.trim() !== "" && /^[+.\d]/.test(text) && Number.isFinite(number) ? number : text;
  }
}

function mergeSettings(below: Settings, above: Settings): Settings {
  const merged = new Map(Object.entries(below));
  for (const [key, value] of Object.entries(above)) {
    const under = merged.get(key);
    merged.set(key, isSettings(under) && isSettings(value) ? mergeSettings(under, value) : value);
  }
  return Object.fromEntries(merged);
}

function isSettings(value: unknown): value is Settings {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

function deepFreeze<T>(value: T): DeepReadonly<T>;
function deepFreeze(value: unknown): unknown {
  if (typeof value === "object" && value !== null) {
    for (const inner of Object.values(value)) deepFreeze(inner);
    Object.freeze(value);
  }
  return value;
}
