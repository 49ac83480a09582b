import { existsSync, readdirSync } from "node:fs";
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

/** A name for the BLAS at `path`, by its file and folder. */
export function blasKind(path: string, mkl: boolean): string {
  if (mkl) return "MKL";
  if (/blis/i.test(path)) return "BLIS";
  if (/openblas/i.test(path)) return "OpenBLAS";
  if (/atlas/i.test(path)) return "ATLAS";
  if (/mkl/i.test(path)) return "MKL";
  return /libblas\.so/.test(path) ? "reference BLAS" : "unknown";
}
