import { execFile } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  realpathSync,
  renameSync,
  rmSync,
} from "node:fs";
import { availableParallelism } from "node:os";
import { basename, join } from "node:path";
import { fileURLToPath } from "node:url";
import { promisify } from "node:util";
import { type AddonPlan, planAll, type Unit } from "./build-plan.js";
import { EngineError } from "./errors.js";

const run = promisify(execFile);

/** What a build did. */
export interface BuildResult {
  readonly plan: AddonPlan;
  /** whether there was anything to do */
  readonly built: boolean;
  readonly seconds: number;
}

/** The compiler's first complaint, without the pages that templates add to it. */
function complaint(error: unknown): string {
  const { stderr, code } = error as { readonly stderr?: string; readonly code?: unknown };
  if (code === "ENOENT")
    return "the compiler is missing; install it with: sudo apt-get install g++";
  const lines = (stderr ?? String(error)).split("\n");
  return lines.find((line) => /error|cannot find|undefined reference/.test(line)) ?? lines[0] ?? "";
}

async function compile(unit: Unit, objects: string): Promise<string> {
  const object = join(objects, `${unit.key}.o`);
  if (existsSync(object)) return object;
  const fresh = `${object}.${process.pid}.tmp.o`;
  try {
    await run(unit.compiler, [...unit.flags, "-c", unit.source, "-o", fresh], {
      maxBuffer: 1 << 26,
    });
  } catch (error) {
    rmSync(fresh, { force: true });
    throw new EngineError(`${basename(unit.source)} does not compile: ${complaint(error)}`, {
      cause: error,
    });
  }
  renameSync(fresh, object);
  return object;
}

/** Runs `work` on every item, `width` at a time; results in the items' order. */
async function inParallel<T, R>(
  items: readonly T[],
  width: number,
  work: (item: T) => Promise<R>,
): Promise<R[]> {
  const results: R[] = [];
  const queue = items.entries();
  const lane = async (): Promise<void> => {
    for (const [index, item] of queue) results[index] = await work(item);
  };
  await Promise.all(Array.from({ length: Math.min(width, items.length) }, lane));
  return results;
}

/** Links every output of a plan into `folder`; `objects` holds each unit's object file by its key. */
async function link(
  plan: AddonPlan,
  objects: ReadonlyMap<string, string>,
  folder: string,
): Promise<void> {
  for (const { file, units, before, after } of plan.outputs) {
    const files = units.map(({ key }) => objects.get(key)!);
    try {
      await run("g++", [...before, ...files, ...after, "-o", join(folder, file)]);
    } catch (error) {
      throw new EngineError(`the ${plan.title} does not link: ${complaint(error)}`, {
        cause: error,
      });
    }
  }
}

/**
 * Compiles and links an addon unless exactly this one exists (same sources, libraries, flags and
 * processor). Two processes may build at once: each works in a folder of its own and the first to
 * rename it wins.
 */
async function build(plan: AddonPlan): Promise<BuildResult> {
  const start = performance.now();
  const result = (built: boolean): BuildResult => ({
    plan,
    built,
    seconds: (performance.now() - start) / 1000,
  });
  if (existsSync(plan.addon)) return result(false);

  const objects = join(plan.builds, "objects");
  mkdirSync(objects, { recursive: true });
  const folder = mkdtempSync(join(plan.builds, "making-"));
  try {
    const units = plan.outputs.flatMap((output) => output.units);
    const files = await inParallel(units, availableParallelism(), (unit) => compile(unit, objects));
    await link(plan, new Map(units.map(({ key }, index) => [key, files[index]!])), folder);
    chmodSync(folder, 0o755); // mkdtemp made it private
    renameSync(folder, plan.home);
  } catch (error) {
    rmSync(folder, { recursive: true, force: true });
    if (!existsSync(plan.addon)) throw error; // else another process was faster
  }
  return result(true);
}

/**
 * Builds every addon that is not there yet.
 *
 * @throws EngineError when LibTorch or the compiler is missing, or the sources do not compile
 */
export async function buildAddons(
  env: NodeJS.ProcessEnv = process.env,
): Promise<readonly BuildResult[]> {
  const results: BuildResult[] = [];
  for (const plan of planAll(env)) results.push(await build(plan));
  return results;
}

/** `node packages/torch/dist/build.js` */
async function main(): Promise<void> {
  try {
    for (const { plan, built, seconds } of await buildAddons())
      console.log(
        built
          ? `built the ${plan.title} in ${seconds.toFixed(0)} s`
          : `the ${plan.title} is up to date`,
      );
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    console.error(error.message);
    process.exitCode = 5;
  }
}

const started = process.argv[1];
if (started && existsSync(started) && realpathSync(started) === fileURLToPath(import.meta.url)) {
  await main();
}
