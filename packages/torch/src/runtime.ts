import { existsSync, realpathSync } from "node:fs";
import { blasKind } from "./blas.js";
import { buildCommand } from "./build-plan.js";
import { findLibTorch } from "./libtorch.js";
import { native } from "./native.js";

/** What is linked and loaded, for `doctor` and for reports. */
export interface RuntimeInfo {
  /** of LibTorch */
  readonly version: string;
  /** file of LibTorch's CPU library */
  readonly place: string;
  readonly blas: { readonly kind: string; readonly path: string };
  readonly threads: number;
  /** usable devices, "cpu" first */
  readonly devices: readonly string[];
  readonly cuda: boolean;
  /** backends for several processes */
  readonly collectives: readonly string[];
  /** what LibTorch has and the bridge lacks, each with the way out */
  readonly lacks: readonly string[];
}

/** How many threads one operator may use. */
export function threads(): number {
  return native().threads();
}

/** Sets the threads of operators, the BLAS's included. */
export function setThreads(count: number): void {
  native().setThreads(count);
}

export function runtimeInfo(): RuntimeInfo {
  const { version, place, blas, mkl, cudaDevices, ncclInLibrary, ...blis } = native().runtime();
  const collectives = native().collectiveBackends();
  // Debian's libblas.so.3 is a chain of links; only its end tells which library it is.
  const path = existsSync(blas) ? realpathSync(blas) : place;
  const kind = blasKind(path, mkl);
  return {
    version,
    place,
    blas: {
      kind: blis.blisVersion ? `BLIS ${blis.blisVersion} (${blis.blisKernels})` : kind,
      path,
    },
    threads: threads(),
    devices: ["cpu", ...Array.from({ length: cudaDevices }, (_, index) => `cuda:${index}`)],
    cuda: cudaDevices > 0,
    collectives,
    lacks: ncclInLibrary && !collectives.includes("nccl") ? [ncclLacking()] : [],
  };
}

const ncclLacking = (): string =>
  `NCCL is in this LibTorch but not in the bridge, so several GPUs cannot train together: ` +
  `${findLibTorch().cuda?.ncclProblem}; then: ${buildCommand}`;
