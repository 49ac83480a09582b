import { existsSync, statSync } from "node:fs";
import { grouped, nearest } from "../core/index.js";

/** One option or argument. `T` is what `run` gets for it. */
export interface CliOption<T> {
  readonly help: string;
  /** stands for the value in the help; empty for a flag, which has none */
  readonly placeholder: string;
  readonly required: boolean;
  readonly fallback: unknown;
  /** given without a name, in the order of these */
  readonly positional: boolean;
  /** may be given several times */
  readonly repeats: boolean;
  readonly choices: readonly string[];
  /** of a number, where it has two: `0 to 1` */
  readonly bounds: string | undefined;
  /** @returns the value, or a {@link Wanted} that says what would have been one */
  readonly parse: (text: string) => unknown;
  /** for the compiler only */
  readonly type?: T;
}

/** What an option's text should have been. */
export class Wanted {
  constructor(readonly text: string) {}
}

interface Spec<T> {
  readonly help: string;
  /** name of the value in the help */
  readonly placeholder?: string;
  readonly default?: T;
  readonly required?: true;
}
/** Always there when required or defaulted. */
type Given<T, S> = S extends { readonly required: true } | { readonly default: T }
  ? T
  : T | undefined;

function option<T, S extends Spec<T>>(
  spec: S,
  placeholder: string,
  parse: (text: string) => T | Wanted,
  {
    repeats = false,
    choices = [],
    bounds,
  }: { repeats?: boolean; choices?: readonly string[]; bounds?: string | undefined } = {},
): CliOption<Given<T, S>> {
  const { help, required = false, default: fallback } = spec;
  return {
    help,
    required,
    fallback,
    repeats,
    choices,
    bounds,
    parse,
    positional: false,
    placeholder: spec.placeholder ?? placeholder,
  };
}

/** A whole number, e.g. `--batch 64`. */
export function integer<
  const S extends Spec<number> & { readonly min?: number; readonly max?: number },
>(spec: S) {
  return numeric(spec, "an integer", (text) =>
    /^[+-]?\d+$/.test(text) ? Number(text) : Number.NaN,
  );
}

/** Any finite number, e.g. `--minutes 2.5`. */
export function number<
  const S extends Spec<number> & { readonly min?: number; readonly max?: number },
>(spec: S) {
  return numeric(spec, "a number", (text) => (text.trim() === "" ? Number.NaN : Number(text)));
}

function numeric<S extends Spec<number> & { readonly min?: number; readonly max?: number }>(
  spec: S,
  kind: string,
  read: (text: string) => number,
): CliOption<Given<number, S>> {
  const { min, max } = spec;
  const bounds = [
    ...(min === undefined ? [] : [`at least ${min}`]),
    ...(max === undefined ? [] : [`at most ${max}`]),
  ];
  const wanted = new Wanted(bounds.length === 0 ? kind : `${kind} of ${bounds.join(" and ")}`);
  const both =
    min === undefined || max === undefined ? undefined : `${grouped(min)} to ${grouped(max)}`;
  const parse = (text: string): number | Wanted => {
    const value = read(text);
    const fits =
      Number.isFinite(value) && value >= (min ?? -Infinity) && value <= (max ?? Infinity);
    return fits ? value : wanted;
  };
  return option<number, S>(spec, "N", parse, { bounds: both });
}

/** Two numbers, the lower one first, or one for both, e.g. `--objects 2,5`. */
export function range<const S extends Spec<readonly [number, number]>>(spec: S) {
  const wanted = new Wanted("LOWEST,HIGHEST: two numbers, the lower one first");
  return option<readonly [number, number], S>(spec, "LOW,HIGH", (given) => {
    const [low, high = low, ...more] = given
      .split(",")
      .map((part) => (part.trim() === "" ? Number.NaN : Number(part)));
    const fits = more.length === 0 && Number.isFinite(low) && Number.isFinite(high);
    return fits && low! <= high! ? [low!, high!] : wanted;
  });
}

/** So many finite numbers with commas between them, e.g. `--box 10,20,64,48`. */
export function numbers(names: readonly string[], spec: { readonly help: string }) {
  const wanted = new Wanted(`${names.join(",")}: ${names.length} numbers with commas between them`);
  return option<readonly number[], typeof spec>(spec, names.join(",").toUpperCase(), (given) => {
    const parts = given.split(",").map((part) => (part.trim() === "" ? Number.NaN : Number(part)));
    return parts.length === names.length && parts.every(Number.isFinite) ? parts : wanted;
  });
}

/** Any text that is not empty. */
export function text<const S extends Spec<string>>(spec: S) {
  return option<string, S>(spec, "TEXT", (given) => (given === "" ? new Wanted("a text") : given));
}

/** A folder, or whatever `placeholder` says; with `exists` it is looked at before anything runs. */
export function path<const S extends Spec<string> & { readonly exists?: "file" | "folder" }>(
  spec: S,
) {
  const { exists } = spec;
  return option<string, S>(spec, exists === "file" ? "FILE" : "FOLDER", (given) => {
    if (given === "") return new Wanted("a path");
    if (exists === undefined) return given;
    if (!existsSync(given)) return new Wanted(`a ${exists} that exists`);
    return statSync(given).isDirectory() === (exists === "folder")
      ? given
      : new Wanted(`a ${exists}`);
  });
}

/** One of a few words. */
export function choice<const C extends string, const S extends Spec<C>>(
  choices: readonly C[],
  spec: S,
) {
  return option<C, S>(
    spec,
    "NAME",
    (given) => {
      const known = choices.find((name) => name === given);
      if (known !== undefined) return known;
      const close = nearest(given, choices);
      return new Wanted(
        `one of ${choices.join(", ")}${close === undefined ? "" : `. Did you mean ${close}?`}`,
      );
    },
    { choices },
  );
}

/** Some of a few words, with commas between them or given several times: `--suite knn,linear`. */
export function choices<const C extends string>(
  known: readonly C[],
  spec: { readonly help: string; readonly default: readonly C[] },
) {
  const one = choice(known, { help: spec.help });
  return option<readonly C[], typeof spec>(
    spec,
    "NAMES",
    (given) => {
      const parsed = given.split(",").map((name) => one.parse(name));
      return parsed.find((name) => name instanceof Wanted) ?? (parsed as C[]);
    },
    { repeats: true, choices: known },
  );
}

/** Several values with commas between them: `--dense-bank 1000,10000`. */
export function several<T>(one: CliOption<T>) {
  const { help, placeholder } = one;
  return option<readonly NonNullable<T>[], { help: string }>(
    { help },
    `${placeholder},…`,
    (given) => {
      const parsed = given.split(",").map((part) => one.parse(part));
      const wrong = parsed.find((value) => value instanceof Wanted);
      return wrong
        ? new Wanted(`${wrong.text}, or several with commas between them`)
        : (parsed as NonNullable<T>[]);
    },
  );
}

/** On or off: `--json`. */
export function flag(spec: { readonly help: string }) {
  return option<boolean, typeof spec & { readonly default: boolean }>(
    { ...spec, default: false },
    "",
    () => true,
  );
}

/** A text that may be given several times, or several at once: `--set a=1 --set b=2 c=3`. */
export function list(spec: { readonly help: string; readonly placeholder: string }) {
  return option<readonly string[], typeof spec & { readonly default: readonly string[] }>(
    { ...spec, default: [] },
    spec.placeholder,
    (given) => [given],
    { repeats: true },
  );
}

/** Makes an option an argument: `odis scenes FOLDER` instead of `odis scenes --folder FOLDER`. */
export function positional<T>(named: CliOption<T>): CliOption<T> {
  return { ...named, positional: true };
}
