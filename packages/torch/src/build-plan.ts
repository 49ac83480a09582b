import { createHash } from "node:crypto";
import { existsSync, readdirSync, readFileSync } from "node:fs";
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

/** How to build the bridge from the sources and the LibTorch at hand. */
export interface BuildPlan {
  readonly libtorch: LibTorch;
  readonly units: readonly Unit[];
  /** `build/`, of which `home` is the folder of exactly this bridge */
  readonly builds: string;
  readonly home: string;
  readonly addon: string;
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

/**
 * What would be built now. Cheap (a few small files are read and hashed), so that every start
 * notices a changed source or another LibTorch.
 *
 * @throws EngineError when there is no usable LibTorch
 */
export function planBuild(env: NodeJS.ProcessEnv = process.env): BuildPlan {
  const libtorch = findLibTorch(env);
  const files = readdirSync(native, { recursive: true, encoding: "utf8" }).toSorted();
  const read = (file: string): string => readFileSync(join(native, file), "utf8");
  /** A file and the headers of ours that it includes, so that a change recompiles no more than it must. */
  const withHeaders = (file: string, seen: Set<string> = new Set()): string => {
    if (seen.has(file)) return "";
    seen.add(file);
    const text = read(file);
    const own = files.filter((header) => text.includes(`#include "${header}"`));
    return [text, ...own.map((header) => withHeaders(header, seen))].join("\0");
  };
  const nodeHeaders = createRequire(import.meta.url)("node-api-headers") as { include_dir: string };
  const [major = 0, minor = 0] = libtorch.version.split(".").map(Number);
  const machine = processor();

  const common = [
    "-fPIC",
    "-Wall",
    "-Wextra",
    "-Wno-unused-parameter",
    "-isystem",
    nodeHeaders.include_dir,
    "-isystem",
    native, // for <gloo/…>, which LibTorch's headers want and do not bring
  ];
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
  const unit = (file: string): Unit => {
    // Kernels of our own are worth the processor's full instruction set; glue is not.
    const kernel = read(file).includes("TORCH_LIBRARY");
    const flags = [
      ...common,
      ...(kernel ? ["-O3", "-march=native", "-fno-math-errno"] : ["-O2"]),
      ...(file.endsWith(".c") ? [] : cxx),
    ];
    return {
      source: join(native, file),
      compiler: file.endsWith(".c") ? (env["CC"] ?? "gcc") : (env["CXX"] ?? "g++"),
      flags,
      key: `${file}-${digest(withHeaders(file), flags.join(" "), libtorch.stamp, machine)}`,
    };
  };

  const units = files.filter((file) => /\.cc?$/.test(file)).map(unit);
  const builds = join(root, "build");
  const home = join(builds, digest(...units.map(({ key }) => key), libtorch.lib));
  return {
    libtorch,
    units,
    builds,
    home,
    addon: join(home, "odis_torch.node"),
    preload: join(home, "preload.node"),
  };
}
