#!/usr/bin/env node
import { readFileSync } from "node:fs";
import { Command, CommanderError } from "commander";
import { exitCodes, printable, shellWord, ToldElsewhere } from "../core/index.js";
import { checkOrder, type CliCommand, type Io } from "./command.js";
import { bootstrapCommand } from "./bootstrap.js";
import { compareCommand } from "./compare.js";
import { dataCommand } from "./data.js";
import { exploreCommand } from "./explore.js";
import { describeFailure } from "./failure.js";
import { exportCommand, importCommand } from "./weights.js";
import { doctorCommand } from "./doctor.js";
import { embedCommand } from "./embed.js";
import { evaluateCommand, reportCommand } from "./evaluate.js";
import { masksCommand } from "./masks.js";
import { pretrainCommand } from "./pretrain.js";
import { quickstartCommand } from "./quickstart.js";
import { recipesCommand } from "./recipes.js";
import { scenesCommand } from "./scenes.js";
import { searchCommand } from "./search.js";

/** In the order of the help. A command is one file and its line here. */
const commands: readonly CliCommand[] = [
  quickstartCommand,
  scenesCommand,
  dataCommand,
  masksCommand,
  recipesCommand,
  pretrainCommand,
  bootstrapCommand,
  evaluateCommand,
  compareCommand,
  reportCommand,
  embedCommand,
  searchCommand,
  exploreCommand,
  importCommand,
  exportCommand,
  doctorCommand,
];

function version(): string {
  const { version: written }: { version: string } = JSON.parse(
    readFileSync(new URL("../../package.json", import.meta.url), "utf8"),
  );
  return written;
}

async function makeProgram(
  words: readonly string[],
  io: Io,
  done: (code: number) => void,
): Promise<Command> {
  const program = new Command("odis")
    .description("Pretrain Vision Transformers on images and the objects in them.")
    .version(version(), "-V, --version", "print the version")
    .helpOption("-h, --help", "print help")
    .helpCommand("help [command]", "print a command's help")
    // Else an option that a command and one of its own commands have is taken by the outer one.
    .enablePositionalOptions()
    // What was meant by too many arguments the commands themselves say.
    .allowExcessArguments()
    .configureHelp({ sortOptions: false, showGlobalOptions: false })
    .exitOverride()
    // Said in one sentence by `failure.ts` instead.
    .configureOutput({ outputError: () => undefined });
  for (const { name, attach, mention } of commands) {
    if (words.includes(name)) await attach(program, io, done);
    else mention(program);
  }
  for (const made of program.commands) made.copyInheritedSettings(program);
  return program.addHelpText(
    "after",
    `
Examples:
  odis scenes data/scenes                           make a data set of product scenes
  odis pretrain --data coco:data/scenes/train --out runs/first
  odis pretrain --help                              every option of one command

Exit codes: 0 done, 1 a mistake of odis, 2 wrong usage or setting, 3 unusable data,
4 unusable run or checkpoint, or a place to write to that is taken, 5 unusable engine. Unfinished, but saved: 130 stopped by Ctrl-C, 143 by SIGTERM, 129 by a
closed terminal, 141 because nobody reads its output.
`,
  );
}

/** Asked without loading what knows for sure. */
const isOneOfSeveral = (): boolean =>
  [process.env["WORLD_SIZE"], process.env["SLURM_STEP_NUM_TASKS"]].some((one) => one !== undefined);

/** Runs one command line. @returns the exit code */
async function main(words: readonly string[]): Promise<number> {
  const io: Io = {
    print: (text) => console.log(printable(text)),
    stderr: {
      isTTY: process.stderr.isTTY,
      get columns() {
        return process.stderr.columns;
      },
      write: (text) => process.stderr.write(printable(text)),
    },
    commandLine: ["odis", ...words].map(shellWord).join(" "),
    tell: (fact) => {
      if (process.connected) process.send?.(fact);
    },
  };
  let code: number = exitCodes.ok;
  const program = await makeProgram(words, io, (result) => {
    code = result;
  });
  const [first] = words;
  if (first === undefined) {
    console.error(program.helpInformation().trimEnd());
    return exitCodes.usage;
  }
  try {
    checkOrder(words, program, commands);
    await program.parseAsync(words, { from: "user" });
  } catch (error) {
    if (error instanceof CommanderError && error.exitCode === 0) return exitCodes.ok; // --help
    if (error instanceof ToldElsewhere) return error.exitCode;
    const command = commands.find(({ name }) => name === first);
    const inner = command?.inner.filter((name) => name === words[1]) ?? [];
    const failure = describeFailure(error, command && [command.name, ...inner].join(" "));
    const say = (): void => {
      console.error(printable(failure.text));
      io.tell({ told: true });
    };
    if (command?.isShared && isOneOfSeveral()) {
      const { failBeforeMeeting } = await import("../run/index.js");
      return failBeforeMeeting(failure.exitCode, say);
    }
    say();
    return failure.exitCode;
  }
  return code;
}

// `odis --help | head` closes the pipe early, and terminals are closed: no failure of ours. Runs that
// have something to lose listen for themselves (`run/stop.ts`).
for (const stream of [process.stdout, process.stderr])
  stream.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE" && error.code !== "EIO") throw error;
  });
process.exitCode = await main(process.argv.slice(2));
