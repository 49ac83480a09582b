import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { EngineError } from "./errors.js";

/**
 * The libraries to load before LibTorch so that its matrix products run on a fast BLAS, in order.
 *
 * Debian's LibTorch asks for `libblas.so.3`, by default the reference implementation at 3 GFLOP/s.
 * BLIS with OpenMP shares LibTorch's thread pool, which OpenBLAS fights. `libblis.so.4` goes first:
 * it holds the same routines as BLIS's `libblas.so.3` and lets the number of threads be changed.
 *
 * @param lib the folder LibTorch's libraries lie in
 * @param env `ODIS_BLAS` names another library, or is "system" to leave the choice to the linker
 * @throws EngineError when `ODIS_BLAS` names a file that does not exist
 */
export function blasToPreload(
  lib: string,
  env: NodeJS.ProcessEnv = process.env,
): readonly string[] {
  const chosen = env["ODIS_BLAS"];
  if (chosen === "system") return [];
  if (chosen) {
    if (existsSync(chosen)) return [chosen];
    throw new EngineError(
      `ODIS_BLAS=${chosen}: there is no such file; wanted the path of a BLAS library, ` +
        `e.g. /usr/lib/x86_64-linux-gnu/blis-openmp/libblas.so.3, or "system".`,
    );
  }
  const folder = readdirSync(lib)
    .filter((name) => name.startsWith("blis"))
    .toSorted() // "blis-openmp" comes before "blis-pthread" and "blis-serial"
    .map((name) => join(lib, name))
    .find((path) => existsSync(join(path, "libblas.so.3")));
  if (folder === undefined) return [];
  return ["libblis.so.4", "libblas.so.3"].map((name) => join(folder, name)).filter(existsSync);
}

/** Processors that have one 512-bit unit, made of the two for 256: left to BLIS. A name that says nothing is taken for two. */
const oneUnit =
  /(?:Bronze|Silver) [34][12]\d\d|Gold 5[12]\d\d|\bD-2\d\d\d|\bE-23\d\d|\bW-1[13]\d\d|Core\(TM\)/;

const avx512 = ["avx512f", "avx512dq", "avx512cd", "avx512bw", "avx512vl"];

/**
 * The kernels that BLIS should compute with where its own choice is half as fast: BLIS 0.9 tells from a processor's name
 * whether AVX-512 pays, and takes those for AVX2 where the name is newer than itself or a virtual machine's.
 *
 * @param cpuinfo the text of /proc/cpuinfo
 * @returns a name of `bli_arch_string`; undefined where BLIS chooses well
 */
export function betterKernels(cpuinfo: string = processors()): string | undefined {
  const line = (name: string): string =>
    new RegExp(`^${name}[ \\t]*: (.*)$`, "m").exec(cpuinfo)?.[1] ?? "";
  const flags = new Set(line("flags").split(" "));
  const wide = line("vendor_id") === "GenuineIntel" && avx512.every((flag) => flags.has(flag));
  return wide && !oneUnit.test(line("model name")) ? "skx" : undefined;
}

function processors(): string {
  try {
    return readFileSync("/proc/cpuinfo", "utf8");
  } catch {
    return ""; // another system than Linux
  }
}

/** A name for the BLAS at `path`, by its file and folder. */
export function blasKind(path: string, mkl: boolean): string {
  if (mkl) return "MKL";
  if (/blis/i.test(path)) return "BLIS";
  if (/openblas/i.test(path)) return "OpenBLAS";
  if (/atlas/i.test(path)) return "ATLAS";
  if (/mkl/i.test(path)) return "MKL";
  return /libblas\.so/.test(path) ? "reference BLAS" : "unknown";
}
