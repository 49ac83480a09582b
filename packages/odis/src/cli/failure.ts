import { CommanderError } from "commander";
import { exitCodes, OdisError, systemSentence } from "../core/index.js";

/** How a command line ends that did not go well. */
export interface Failure {
  readonly text: string;
  readonly exitCode: number;
}

/**
 * What to tell the user about an error: a sentence for a mistake that the user can mend, a stack
 * for one of ours.
 *
 * @param command the command that ran, `masks merge`, if its name was understood
 */
export function describeFailure(error: unknown, command: string | undefined): Failure {
  const program = command === undefined ? "odis" : `odis ${command}`;
  if (error instanceof CommanderError)
    return { text: usage(error, program), exitCode: exitCodes.usage };
  if (error instanceof OdisError)
    return { text: prefixed(program, error.message), exitCode: error.exitCode };
  if (!(error instanceof Error)) return internal(new Error(String(error)));
  // By name: these classes come from @odis/torch, which is not loaded just to compare.
  if (error.name === "SafetensorsError")
    return { text: prefixed(program, error.message), exitCode: exitCodes.run };
  if (error.name === "EngineError")
    return { text: prefixed(program, error.message), exitCode: exitCodes.engine };
  if (/out of memory|can't allocate memory/i.test(error.message))
    return {
      text: prefixed(
        program,
        `not enough memory: ${firstLine(error.message)} Try a smaller --batch, or fewer or smaller views.`,
      ),
      exitCode: exitCodes.run,
    };
  const system = systemSentence(error);
  if (system !== undefined)
    return { text: prefixed(program, `${system}.`), exitCode: exitCodes.run };
  return internal(error);
}

/** Commander's complaint as one sentence: `error: unknown option '--x'\n(Did you mean --y?)`. */
function usage({ message }: CommanderError, program: string): string {
  const [complaint = "", hint] = message.replace(/^error: /, "").split("\n");
  const meant = /\(Did you mean (.*)\?\)/.exec(hint ?? "")?.[1];
  const suggestion = meant === undefined ? "" : ` Did you mean ${meant}?`;
  return prefixed(program, `${complaint.replace(/\.?$/, ".")}${suggestion} See ${program} --help.`);
}

function internal(error: Error): Failure {
  const stack = error.stack ?? error.message;
  const cause = error.cause instanceof Error ? `\ncaused by ${error.cause.stack}` : "";
  return {
    text:
      `internal: ${stack}${cause}\n` +
      `This is a mistake of odis, not yours. Please report it where you got odis from, ` +
      `with these lines and the output of \`odis doctor\`.`,
    exitCode: exitCodes.internal,
  };
}

/** Every line gets the program's name: one problem, one line. */
function prefixed(program: string, message: string): string {
  return message
    .split("\n")
    .map((line) => `${program}: ${line}`)
    .join("\n");
}

function firstLine(text: string): string {
  return (text.split("\n")[0] ?? "").replace(/\.?$/, ".");
}
