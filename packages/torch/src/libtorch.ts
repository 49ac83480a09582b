import { existsSync, readFileSync, realpathSync, statSync } from "node:fs";
import { join, resolve } from "node:path";
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
  /** changes when the files change */
  readonly stamp: string;
}

const installLine = "sudo apt-get install libtorch-dev libblis4-openmp libgloo-dev g++";

/**
 * The LibTorch to use: `LIBTORCH` (an unpacked libtorch, or the `torch` folder of a Python
 * installation), else the system's `libtorch-dev`.
 *
 * @throws EngineError that says what is missing, where, and what to do
 */
export function findLibTorch(env: NodeJS.ProcessEnv = process.env): LibTorch {
  const chosen = env["LIBTORCH"];
  if (chosen) return libTorchAt(resolve(chosen));
  const include = "/usr/include";
  const lib = ["/usr/lib/x86_64-linux-gnu", "/usr/lib/aarch64-linux-gnu", "/usr/lib"].find(
    (folder) => existsSync(join(folder, "libtorch_cpu.so")),
  );
  if (lib === undefined || !existsSync(versionHeader(include))) {
    throw new EngineError(
      `LibTorch was not found: LIBTORCH is not set and the system has no libtorch-dev. ` +
        `Install it with: ${installLine} — or set LIBTORCH to an unpacked libtorch.`,
    );
  }
  return inspect(lib, include, lib);
}

const versionHeader = (include: string): string =>
  join(include, "torch/csrc/api/include/torch/version.h");

function libTorchAt(place: string): LibTorch {
  const wanted = `wanted the folder of an unpacked libtorch, or the "torch" folder of a Python installation`;
  if (!existsSync(place)) {
    throw new EngineError(`LIBTORCH=${place}: there is no such folder; ${wanted}.`);
  }
  const missing = ["lib/libtorch_cpu.so", "include/torch/csrc/api/include/torch/version.h"].filter(
    (file) => !existsSync(join(place, file)),
  );
  if (missing.length > 0) {
    throw new EngineError(`LIBTORCH=${place}: ${missing.join(" and ")} missing; ${wanted}.`);
  }
  return inspect(place, join(place, "include"), join(place, "lib"));
}

function inspect(place: string, include: string, lib: string): LibTorch {
  const header = readFileSync(versionHeader(include), "utf8");
  const part = (name: string): number =>
    Number(new RegExp(`define TORCH_VERSION_${name} (\\d+)`).exec(header)?.[1] ?? Number.NaN);
  const [major, minor, patch] = [part("MAJOR"), part("MINOR"), part("PATCH")];
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
    stamp: `${library}:${size}:${mtimeMs}`,
  };
}
