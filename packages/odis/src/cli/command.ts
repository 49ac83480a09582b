import { existsSync, statSync } from "node:fs";
import { Argument, Command, Option } from "commander";
import type { ProgressStream } from "../run/index.js";
import { exitCodes, nearest, OdisError, optionName } from "../core/index.js";

/** A command line that cannot be understood. */
export class UsageError extends OdisError {}

/** What a command writes to; the process's own streams outside tests. */
export interface Io {
  /** results, on stdout */
  readonly print: (text: string) => void;
  /** progress and remarks */
  readonly stderr: ProgressStream;
  /** the command line as it was typed, quoted for a shell */
  readonly commandLine: string;
  /** facts for the process that started this one and listens (`odis compare`), for nobody else */
  readonly tell: (fact: object) => void;
}

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
  /** @returns the value, or a {@link Wanted} that says what would have been one */
  readonly parse: (text: string) => unknown;
  /** for the compiler only */
  readonly type?: T;
}

/** What an option's text should have been. */
class Wanted {
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
  { repeats = false, choices = [] }: { repeats?: boolean; choices?: readonly string[] } = {},
): CliOption<Given<T, S>> {
  const { help, required = false, default: fallback } = spec;
  return {
    help,
    required,
    fallback,
    repeats,
    choices,
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
  return option<number, S>(spec, "N", (text) => {
    const value = read(text);
    const fits =
      Number.isFinite(value) && value >= (min ?? -Infinity) && value <= (max ?? Infinity);
    return fits ? value : wanted;
  });
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

type Options = Readonly<Record<string, CliOption<unknown>>>;
export type Values<O extends Options> = {
  readonly [Name in keyof O]: O[Name] extends CliOption<infer T> ? T : never;
};

/** What a command is. Options are camelCase here and --kebab-case on the command line. */
export interface CommandSpec<O extends Options> {
  readonly name: string;
  /** one sentence */
  readonly summary: string;
  /** command lines to copy, each with what it does */
  readonly examples: readonly (readonly [line: string, meaning: string])[];
  /** a function where they have to be loaded first; called for this command's own help and work only */
  readonly options: O | (() => Promise<O>);
  /** what its own help says behind the options; may be loaded first, as `options` */
  readonly about?: () => Promise<string>;
  /** commands of its own: `odis masks merge` */
  readonly inner?: readonly CliCommand[];
  /** Loads what it needs by `import()`: help must not wait for it. @returns exit code, default 0 */
  readonly run: (values: Values<O>, io: Io) => Promise<number | undefined>;
}

/** A command, ready to be put into the program. */
export interface CliCommand {
  readonly name: string;
  /** Puts only its name and summary into the program, for the list of commands. */
  readonly mention: (program: Command) => void;
  /** @param done gets the exit code */
  readonly attach: (program: Command, io: Io, done: (code: number) => void) => Promise<void>;
}

export function command<O extends Options>(spec: CommandSpec<O>): CliCommand {
  return {
    name: spec.name,
    mention(program) {
      program.command(spec.name).summary(spec.summary);
    },
    async attach(program, io, done) {
      const options = typeof spec.options === "function" ? await spec.options() : spec.options;
      const made = program.command(spec.name).summary(spec.summary).description(spec.summary);
      const named: string[] = [];
      for (const [name, given] of Object.entries(options)) {
        if (given.positional) {
          made.addArgument(commanderArgument(name, given));
          named.push(name);
        } else made.addOption(commanderOption(name, given));
      }
      for (const inner of spec.inner ?? []) await inner.attach(made, io, done);
      const about = spec.about === undefined ? "" : `\n${await spec.about()}\n`;
      made.addHelpText("after", about + examplesText(spec.examples));
      made.action(async () => {
        const { processedArgs } = made;
        for (const [index, name] of named.entries())
          made.setOptionValue(name, processedArgs[index]);
        for (const [name, { fallback, required, ...given }] of Object.entries(options)) {
          if (made.getOptionValue(name) !== undefined) continue;
          if (required) throw missing(nameOf(made), name, given);
          made.setOptionValue(name, fallback);
        }
        done((await spec.run(made.opts<Values<O>>(), io)) ?? exitCodes.ok);
      });
    },
  };
}

/** Commands that belong together: `odis data inspect`. */
export function group({
  name,
  summary,
  commands,
}: {
  readonly name: string;
  readonly summary: string;
  readonly commands: readonly CliCommand[];
}): CliCommand {
  return {
    name,
    mention(program) {
      program.command(name).summary(summary);
    },
    async attach(program, io, done) {
      const made = program.command(name).summary(summary).description(summary);
      made.copyInheritedSettings(program);
      for (const inner of commands) await inner.attach(made, io, done);
      for (const inner of made.commands) inner.copyInheritedSettings(made);
      made.action(() => {
        throw new UsageError(
          `wanted one of ${commands.map((inner) => inner.name).join(", ")}. See odis ${name} --help.`,
        );
      });
    },
  };
}

/** With the names of the commands that it belongs to: `masks merge`. */
function nameOf(made: Command): string {
  const { parent } = made;
  return parent?.parent ? `${nameOf(parent)} ${made.name()}` : made.name();
}

/** Checked here, after Commander found no unknown option: a slip is named, not what it led to. */
function missing(
  command: string,
  name: string,
  { placeholder, help: meaning }: Pick<CliOption<unknown>, "placeholder" | "help">,
): UsageError {
  return new UsageError(
    `${optionName(name)} is missing; wanted ${optionName(name)} ${placeholder} (${meaning}). See odis ${command} --help.`,
  );
}

function commanderOption(name: string, given: CliOption<unknown>): Option {
  const long = optionName(name);
  const value =
    given.placeholder === "" ? "" : ` <${given.placeholder}${given.repeats ? "..." : ""}>`;
  const made = new Option(`${long}${value}`, help(given));
  made.argParser(parser(long, given));
  // Nothing worth showing: filled in before the command runs.
  return shownDefault(given) === undefined
    ? made
    : made.default(given.fallback, shownDefault(given));
}

function commanderArgument(name: string, given: CliOption<unknown>): Argument {
  const several = given.repeats ? `${name}...` : name;
  const made = new Argument(given.required ? `<${several}>` : `[${several}]`, help(given));
  made.argParser(parser(name.toUpperCase(), given));
  return given.fallback === undefined ? made : made.default(given.fallback, shownDefault(given));
}

/** Values of an option that repeats are collected; of another one the last counts. */
function parser(shown: string, given: CliOption<unknown>) {
  let collected: readonly unknown[] = [];
  return (text: string): unknown => {
    const value = given.parse(text);
    if (value instanceof Wanted)
      throw new UsageError(
        `${shown} ${text}: got ${text === "" ? "nothing" : text}, wanted ${value.text}`,
      );
    if (!given.repeats) return value;
    collected = [...collected, ...(Array.isArray(value) ? value : [value])];
    return collected;
  };
}

function help({ help: meaning, choices, required }: CliOption<unknown>): string {
  const explained = choices.every((name) => meaning.includes(name));
  const named = choices.length > 1 && !explained ? `: ${choices.join(", ")}` : "";
  return `${meaning}${named}${required ? " (required)" : ""}`;
}

/** Commander prints defaults as JSON; an empty list says nothing to a reader. */
function shownDefault({ fallback }: CliOption<unknown>): string | undefined {
  if (Array.isArray(fallback) && fallback.length > 0) return fallback.join(",");
  return typeof fallback === "string" || typeof fallback === "number"
    ? String(fallback)
    : undefined;
}

function examplesText(examples: CommandSpec<Options>["examples"]): string {
  if (examples.length === 0) return "";
  return `\nExamples:\n${examples.map(([line, meaning]) => `  ${line}\n      ${meaning}`).join("\n")}\n`;
}
