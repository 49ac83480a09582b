import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";

/** What lies around a LibTorch that was built with CUDA, for the compiler and for `doctor`. */
export interface CudaParts {
  /** major version of CUDA that the library was built with, e.g. 13 */
  readonly version: number | undefined;
  /** folders of headers of CUDA and NCCL, in the order in which they are to be searched */
  readonly include: readonly string[];
  /** why several GPUs cannot work together: which headers are missing, and where they were looked for */
  readonly ncclProblem: string | undefined;
}

/** What ProcessGroupNCCL.hpp includes of NVIDIA's. All else of the bridge does without. */
const needed = ["cuda_runtime_api.h", "cublas_v2.h", "cusparse.h", "nccl.h"];

/**
 * Finds CUDA's and NCCL's headers: in the `nvidia` packages beside a Python `torch` (one folder for
 * each library up to CUDA 12, `nvidia/cu13` since), then in `CUDA_HOME`, then where toolkits are
 * usually installed. A toolkit of another major version than the library's is passed over.
 *
 * @param place the LibTorch's folder, `lib` that of its libraries
 * @returns undefined for a LibTorch without CUDA
 */
export function findCuda(
  place: string,
  lib: string,
  env: NodeJS.ProcessEnv = process.env,
): CudaParts | undefined {
  const runtime = join(lib, "libc10_cuda.so");
  if (!existsSync(runtime)) return undefined;
  const version = number(/libcudart[-\w]*\.so\.(\d+)/, readFileSync(runtime, "latin1"));
  const packages = join(dirname(place), "nvidia");
  const beside = existsSync(packages)
    ? readdirSync(packages)
        .toSorted()
        .map((name) => join(packages, name, "include"))
    : [];
  const toolkits = [env["CUDA_HOME"], env["CUDA_PATH"], "/usr/local/cuda"]
    .filter(Boolean)
    .map((folder) => join(folder!, "include"));
  const looked = [...new Set([...beside, ...toolkits, "/usr/include"])];
  const usable = looked.filter(
    (folder) => existsSync(folder) && [undefined, version].includes(toolkitVersion(folder)),
  );
  const missing = needed.filter((header) => !usable.some((dir) => existsSync(join(dir, header))));
  return {
    version,
    include: usable.filter((folder) => folder !== "/usr/include"), // the compiler's own
    ncclProblem:
      missing.length === 0
        ? undefined
        : `${missing.join(" and ")} of CUDA ${version ?? "(version unknown)"} not found in ` +
          `${looked.join(", ")}; install libnccl-dev or nvidia-nccl-cu${version ?? "…"} for nccl.h, ` +
          `the CUDA toolkit for the others`,
  };
}

/** Major version of the CUDA headers in a folder; undefined where there are none. */
function toolkitVersion(folder: string): number | undefined {
  const header = join(folder, "cuda_runtime_api.h");
  if (!existsSync(header)) return undefined;
  const whole = number(/^#define\s+CUDART_VERSION\s+(\d+)/m, readFileSync(header, "utf8"));
  return whole === undefined ? undefined : Math.floor(whole / 1000);
}

function number(pattern: RegExp, text: string): number | undefined {
  const found = pattern.exec(text)?.[1];
  return found === undefined ? undefined : Number(found);
}
