import { existsSync, readFileSync, realpathSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
import { type CudaParts, findCuda } from "./cuda.js";
import { EngineError } from "./errors.js";

/** Where a LibTorch lies and what the compiler must know of it. */
export interface LibTorch {
  /** e.g. "1.13.1", as its headers say */
  readonly version: string;
  /** the folder it was found by, for people */
  readonly place: string;
  readonly include: readonly string[];
  readonly lib: string;
  /** whether std::string is the C++11 one in it; older Python packages were built without */
  readonly cxx11Abi: boolean;
  /** whether it asks the system for a BLAS (Debian's does), or brings its own */
  readonly systemBlas: boolean;
  /** what was found of CUDA around it; undefined for a LibTorch without CUDA */
  readonly cuda: CudaParts | undefined;
  /** changes when the files change */
  readonly stamp: string;
}

const installLine = "sudo apt-get install libtorch-dev libblis4-openmp libjpeg-dev g++";

/**
 * The LibTorch to use: `LIBTORCH` (an unpacked libtorch, or the `torch` folder of a Python
 * installation), else the system's `libtorch-dev`.
 *
 * @throws EngineError that says what is missing, where, and what to do
 */
export function findLibTorch(env: NodeJS.ProcessEnv = process.env): LibTorch {
  const chosen = env["LIBTORCH"];
  if (chosen) return libTorchAt(resolve(chosen), env);
  const include = "/usr/include";
  const lib = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"].find(
    (folder) => existsSync(join(folder, "libtorch_cpu.so")),
  );
  if (lib === undefined || !existsSync(join(include, "ATen"))) {
    throw new EngineError(
      `LibTorch was not found: LIBTORCH is not set and the system has no libtorch-dev. ` +
        `Install it with: ${installLine} — or set LIBTORCH to an unpacked libtorch.`,
    );
  }
  return inspect({ place: lib, include, lib }, env);
}

function libTorchAt(place: string, env: NodeJS.ProcessEnv): LibTorch {
  const wanted = `wanted the folder of an unpacked libtorch, or the "torch" folder of a Python installation`;
  if (!existsSync(place)) {
    throw new EngineError(`LIBTORCH=${place}: there is no such folder; ${wanted}.`);
  }
  const missing = ["lib/libtorch_cpu.so", "include/ATen"].filter(
    (file) => !existsSync(join(place, file)),
  );
  if (missing.length > 0) {
    throw new EngineError(`LIBTORCH=${place}: ${missing.join(" and ")} missing; ${wanted}.`);
  }
  return inspect({ place, include: join(place, "include"), lib: join(place, "lib") }, env);
}

/** Headers that hold the version's macros: since 2.10 the first, before that the second. */
const versionHeaders = ["torch/headeronly/version.h", "torch/csrc/api/include/torch/version.h"];

/** Major, minor and patch number, as the headers say. */
function versionIn(include: string, place: string): [number, number, number] {
  const files = versionHeaders.map((header) => join(include, header));
  const text = files.map((file) => (existsSync(file) ? readFileSync(file, "utf8") : "")).join("\n");
  const parts = ["MAJOR", "MINOR", "PATCH"].map(
    (name) => new RegExp(`^#define TORCH_VERSION_${name} (\\d+)$`, "m").exec(text)?.[1],
  );
  if (parts.includes(undefined)) {
    throw new EngineError(
      `LibTorch at ${place}: its version cannot be read; wanted TORCH_VERSION_MAJOR, _MINOR and ` +
        `_PATCH defined in ${files.join(" or ")}. Reinstall it, or use another (from 1.13 on).`,
    );
  }
  return parts.map(Number) as [number, number, number];
}

interface Folders {
  readonly place: string;
  readonly include: string;
  readonly lib: string;
}

function inspect({ place, include, lib }: Folders, env: NodeJS.ProcessEnv): LibTorch {
  const [major, minor, patch] = versionIn(include, place);
  const version = `${major}.${minor}.${patch}`;
  if (!(major > 1 || (major === 1 && minor >= 13))) {
    throw new EngineError(`LibTorch at ${place}: got version ${version}, wanted 1.13 or later.`);
  }
  const library = realpathSync(join(lib, "libtorch_cpu.so"));
  const { size, mtimeMs } = statSync(library);
  // Small and always there; its mangled names tell which std::string it was compiled with.
  const names = readFileSync(join(lib, "libc10.so"));
  return {
    version,
    place,
    include: [include, join(include, "torch/csrc/api/include")].filter(
      (it) => it !== "/usr/include",
    ),
    lib,
    cxx11Abi: names.includes("B5cxx11"),
    systemBlas: place === lib,
    cuda: findCuda(place, lib, env),
    stamp: `${library}:${size}:${mtimeMs}`,
  };
}
