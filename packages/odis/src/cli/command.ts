import { Argument, Command, Option } from "commander";
import type { ProgressStream } from "../run/index.js";
import {
  exitCodes,
  nearest,
  OdisError,
  optionName,
  plain,
  printable,
  shellWord,
} from "../core/index.js";
import { type CliOption, Wanted } from "./options.js";

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

type Options = Readonly<Record<string, CliOption<unknown>>>;
export type Values<O extends Options> = {
  readonly [Name in keyof O]: O[Name] extends CliOption<infer T> ? T : never;
};

/** What a command is. Options are camelCase here and --kebab-case on the command line. */
export interface CommandSpec<O extends Options> {
  readonly name: string;
  /** whether several processes may share its work */
  readonly isShared?: true;
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
  readonly isShared?: true | undefined;
  /** names of its own commands */
  readonly inner: readonly string[];
  /** Puts only its name and summary into the program, for the list of commands. */
  readonly mention: (program: Command) => void;
  /** @param done gets the exit code */
  readonly attach: (program: Command, io: Io, done: (code: number) => void) => Promise<void>;
}

export function command<O extends Options>(spec: CommandSpec<O>): CliCommand {
  return {
    name: spec.name,
    isShared: spec.isShared,
    inner: spec.inner?.map(({ name }) => name) ?? [],
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
        checkArguments(made, options);
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
    inner: commands.map((inner) => inner.name),
    mention(program) {
      program.command(name).summary(summary);
    },
    async attach(program, io, done) {
      const made = program.command(name).summary(summary).description(summary);
      made.copyInheritedSettings(program);
      for (const inner of commands) await inner.attach(made, io, done);
      for (const inner of made.commands) inner.copyInheritedSettings(made);
      made.action(() => {
        const names = commands.map((inner) => inner.name);
        const [word] = made.args;
        const close = word === undefined ? undefined : nearest(word, names);
        throw new UsageError(
          `${word === undefined ? "" : `got ${plain(word)}, `}wanted one of ${names.join(", ")}.` +
            `${close === undefined ? "" : ` Did you mean ${close}?`} See odis ${name} --help.`,
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

/** @throws UsageError for words too many, with the option that the first of them was meant for */
function checkArguments(made: Command, options: Options): void {
  const wanted = made.registeredArguments;
  const word = made.args[wanted.length];
  if (word === undefined || wanted.at(-1)?.variadic) return;
  const command = `odis ${nameOf(made)}`;
  const missed = Object.entries(options).find(
    ([name, { required, positional }]) =>
      required && !positional && made.getOptionValue(name) === undefined,
  );
  if (missed) {
    const meant = `${optionName(missed[0])} ${printable(shellWord(word))}`;
    throw new UsageError(
      `${plain(word)}: stands behind no option; did you mean ${meant}? See ${command} --help.`,
    );
  }
  const names = wanted.map((argument) => argument.name().toUpperCase()).join(" ");
  const where = names === "" ? "no option; wanted options alone" : `the last of ${names}`;
  throw new UsageError(`${plain(word)}: stands behind ${where}. See ${command} --help.`);
}

/**
 * Finds options before the command.
 *
 * @param words the command line
 * @param program what stands there may be an option of its own
 * @throws UsageError with the words in their order
 */
export function checkOrder(
  words: readonly string[],
  program: Command,
  commands: readonly Pick<CliCommand, "name" | "inner">[],
): void {
  const [first = ""] = words;
  const own = program.options.flatMap(({ short, long }) => [short, long]);
  if (!first.startsWith("-") || ["--", "-h", "--help", ...own].includes(first)) return;
  const isCommand = (word: string): boolean => commands.some(({ name }) => name === word);
  const at = words.findIndex(isCommand);
  const inner = commands.find(({ name }) => name === words[at])?.inner;
  // An option's value may be called like a command: which of two is meant nobody knows.
  if (!inner || words.filter(isCommand).length > 1) return;
  const rest = [...words];
  const command = rest.splice(at, inner.includes(words[at + 1]!) ? 2 : 1).join(" ");
  throw new UsageError(
    `${plain(first)}: options stand behind the command: ` +
      `${printable(`odis ${[command, ...rest.map(shellWord)].join(" ")}`)}. See odis ${command} --help.`,
  );
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
  return shownDefault(given) === undefined
    ? made
    : made.default(given.fallback, shownDefault(given));
}

/** Values of an option that repeats are collected; of another one the last counts. */
function parser(shown: string, given: CliOption<unknown>) {
  let collected: readonly unknown[] = [];
  return (text: string): unknown => {
    const value = given.parse(text);
    if (value instanceof Wanted)
      throw new UsageError(
        `${shown}${text === "" ? ": got nothing," : ` ${plain(text)}:`} wanted ${value.text}`,
      );
    if (!given.repeats) return value;
    collected = [...collected, ...(Array.isArray(value) ? value : [value])];
    return collected;
  };
}

/** What there is to choose from stands before what the text itself says of the default. */
function help({ help: meaning, choices, bounds, required }: CliOption<unknown>): string {
  const explained = choices.every((name) => meaning.includes(name));
  const named = choices.length > 1 && !explained ? `: ${choices.join(", ")}` : "";
  const limits = bounds === undefined ? "" : `, ${bounds}`;
  const said = meaning.replace(/(?= \(default: .*\)$|$)/, named + limits);
  return `${said}${required ? " (required)" : ""}`;
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
