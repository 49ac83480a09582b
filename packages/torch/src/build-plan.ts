import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { findLibTorch, type LibTorch } from "./libtorch.js";

/** One file to compile. */
export interface Unit {
  readonly source: string;
  readonly compiler: string;
  readonly flags: readonly string[];
  /** names the object file; changes with everything that went into it */
  readonly key: string;
}

/** A library to link from units. */
export interface Output {
  /** name of the file in the plan's `home` */
  readonly file: string;
  readonly units: readonly Unit[];
  /** flags before the objects and after them */
  readonly before: readonly string[];
  readonly after: readonly string[];
}

/** How to build one addon from the sources at hand. */
export interface AddonPlan {
  /** what it is, for people */
  readonly title: string;
  /** `build/`, of which `home` is the folder of exactly this addon */
  readonly builds: string;
  readonly home: string;
  /** the addon last, what it needs at load time before it */
  readonly outputs: readonly Output[];
  /** the file that Node loads */
  readonly addon: string;
}

/** How to build the bridge from the sources and the LibTorch at hand. */
export interface BuildPlan extends AddonPlan {
  readonly libtorch: LibTorch;
  readonly preload: string;
}

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const native = join(root, "native");

/** Where people build the bridge by hand. */
export const buildCommand = `node ${join(root, "dist", "build.js")}`;

const digest = (...parts: readonly (string | Buffer)[]): string => {
  const hash = createHash("sha256");
  for (const part of parts) hash.update(part).update("\0");
  return hash.digest("hex").slice(0, 20);
};

/** Code compiled for this processor must not run on another: a home folder may be shared. */
function processor(): string {
  const info = existsSync("/proc/cpuinfo") ? readFileSync("/proc/cpuinfo", "utf8") : "";
  const line = (name: string): string =>
    new RegExp(`^${name}\\s*:(.*)$`, "m").exec(info)?.[1] ?? "";
  return [process.arch, line("model name"), line("flags")].join();
}

/** Folders below `native` that are addons of their own, which the bridge leaves alone. */
const apart = ["images", "jpeg"];

/** Reads the sources of an addon, each once. */
function sourcesIn(folder: string) {
  const files = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((file) => /\.(?:h|cc?)$/.test(file))
    .filter((file) => !apart.some((other) => file.startsWith(`${other}/`)))
    .toSorted();
  const texts = new Map(files.map((file) => [file, readFileSync(join(folder, file), "utf8")]));
  /** A file and the headers of ours that it includes, so that a change recompiles no more than it must. */
  const withHeaders = (file: string, seen: Set<string> = new Set()): string => {
    if (seen.has(file)) return "";
    seen.add(file);
    const text = texts.get(file)!;
    const own = files.filter((header) => text.includes(`#include "${header}"`));
    return [text, ...own.map((header) => withHeaders(header, seen))].join("\0");
  };
  return {
    files: files.filter((file) => /\.cc?$/.test(file)),
    text: (file: string) => texts.get(file)!,
    withHeaders,
  };
}

/** One unit for every source in a folder below `native`, compiled with the flags that suit it. */
function unitsIn(
  folder: string,
  env: NodeJS.ProcessEnv,
  stamp: string,
  flagsOf: (file: string, text: string) => readonly string[],
): readonly Unit[] {
  const { files, text, withHeaders } = sourcesIn(folder);
  const nodeHeaders = createRequire(import.meta.url)("node-api-headers") as { include_dir: string };
  const machine = processor();
  return files.map((file) => {
    const c = file.endsWith(".c");
    const flags = [
      "-fPIC",
      "-Wall",
      "-Wextra",
      "-Wno-unused-parameter",
      "-isystem",
      nodeHeaders.include_dir,
      ...flagsOf(file, text(file)),
    ];
    return {
      source: join(folder, file),
      compiler: c ? (env["CC"] ?? "gcc") : (env["CXX"] ?? "g++"),
      flags,
      key: `${file}-${digest(withHeaders(file), flags.join(" "), stamp, machine)}`,
    };
  });
}

/** Where the addon of exactly these units and flags lies. */
function placed(
  title: string,
  outputs: readonly Output[],
  ...stamps: readonly string[]
): AddonPlan {
  const keys = outputs.flatMap(({ units }) => units.map(({ key }) => key));
  const builds = join(root, "build");
  const home = join(builds, digest(...keys, ...stamps));
  return { title, builds, home, outputs, addon: join(home, outputs.at(-1)!.file) };
}

/** A worker that ends must not unload what other threads use. */
const shared = ["-shared", "-Wl,-z,nodelete"];

/**
 * What would be built now. Cheap (a few small files are read and hashed), so that every start
 * notices a changed source or another LibTorch.
 *
 * @throws EngineError when there is no usable LibTorch
 */
export function planBuild(env: NodeJS.ProcessEnv = process.env): BuildPlan {
  const libtorch = findLibTorch(env);
  const [major = 0, minor = 0] = libtorch.version.split(".").map(Number);
  const cxx = [
    // Newer LibTorch headers use the newer language.
    major > 2 || (major === 2 && minor >= 9) ? "-std=c++20" : "-std=c++17",
    `-D_GLIBCXX_USE_CXX11_ABI=${libtorch.cxx11Abi ? 1 : 0}`,
    "-fopenmp",
    ...(libtorch.cuda ? ["-DODIS_CUDA"] : []),
    ...(libtorch.cuda && !libtorch.cuda.ncclProblem ? ["-DODIS_NCCL_HEADERS"] : []),
    ...[...libtorch.include, ...(libtorch.cuda?.include ?? [])].flatMap((folder) => [
      "-isystem",
      folder,
    ]),
    "-idirafter",
    join(native, "cuda"),
  ];
  const units = unitsIn(native, env, libtorch.stamp, (file, text) => [
    "-isystem",
    native, // for <gloo/…>, which LibTorch's headers want and do not bring
    // Kernels of our own are worth the processor's full instruction set; glue is not.
    ...(text.includes("TORCH_LIBRARY") ? ["-O3", "-march=native", "-fno-math-errno"] : ["-O2"]),
    ...(file.endsWith(".c") ? [] : cxx),
  ]);
  const { lib } = libtorch;
  const libraries = ["torch", "torch_cpu", "torch_cuda", "c10", "c10_cuda"]
    .filter((name) => existsSync(join(lib, `lib${name}.so`)))
    .map((name) => `-l${name}`);
  const isPreload = ({ source }: Unit): boolean => source === join(native, "preload.c");
  const preload: Output = {
    file: "preload.node",
    units: units.filter(isPreload),
    before: shared,
    after: ["-ldl"],
  };
  const bridge: Output = {
    file: "odis_torch.node",
    units: units.filter((unit) => !isPreload(unit)),
    // torch_cuda registers its kernels when it is loaded
    before: [...shared, "-fopenmp", "-Wl,--no-as-needed"],
    after: [`-L${lib}`, `-Wl,-rpath,${lib}`, ...libraries, "-ldl"],
  };
  const title = `bridge to LibTorch ${libtorch.version} at ${libtorch.place}`;
  const plan = placed(title, [preload, bridge], lib);
  return { ...plan, libtorch, preload: join(plan.home, preload.file) };
}

/** The image arithmetic, which needs no LibTorch. */
export function planImages(env: NodeJS.ProcessEnv = process.env): AddonPlan {
  const units = unitsIn(join(native, "images"), env, "", () => [
    "-std=c++17",
    "-O3",
    "-march=native",
    // Bytes equal to Pillow's need its roundings: no fused multiply-add that it does not have.
    "-ffp-contract=off",
    // What these two allow changes no value: without them loops stay loops.
    "-fno-math-errno",
    "-fno-trapping-math",
    // GCC 12 warns of its own headers and of vectors that never leave their file.
    "-Wno-uninitialized",
    "-Wno-maybe-uninitialized",
    "-Wno-psabi",
  ]);
  const output: Output = { file: "odis_images.node", units, before: shared, after: [] };
  return placed("image arithmetic", [output]);
}

/** What people without libjpeg's headers install. */
export const jpegInstallLine = "sudo apt-get install libjpeg-dev";

/**
 * The JPEG decoder, which is worth its library but not an error: without the headers of libjpeg there is no such
 * addon, and pictures are decoded by whatever decodes the other formats, to the same pixels.
 */
export function planJpeg(env: NodeJS.ProcessEnv = process.env): AddonPlan | undefined {
  const places = ["/usr/local/include", "/usr/include", ...(env["CPATH"] ?? "").split(":")];
  const header = places.map((place) => join(place, "jpeglib.h")).find((file) => existsSync(file));
  if (header === undefined) return undefined;
  const { size, mtimeMs } = statSync(header);
  const stamp = `${header}:${size}:${mtimeMs}`;
  const units = unitsIn(join(native, "jpeg"), env, stamp, () => [
    "-std=c++17",
    "-O3",
    "-march=native",
  ]);
  const output: Output = { file: "odis_jpeg.node", units, before: shared, after: ["-ljpeg"] };
  return placed("JPEG decoder", [output]);
}

/** Everything that a build makes. */
export function planAll(env: NodeJS.ProcessEnv = process.env): readonly AddonPlan[] {
  const jpeg = planJpeg(env);
  return [planBuild(env), planImages(env), ...(jpeg ? [jpeg] : [])];
}
