import { availableParallelism } from "node:os";
import {
  CoreWatch,
  EngineError,
  Generator,
  noGrad,
  ones,
  type RuntimeInfo,
  runtimeInfo,
  type Tensor,
  tidy,
} from "@odis/torch";
import { buildCommand, jpegInstallLine, jpegLibrary } from "@odis/torch/images";
import { Block } from "../model/index.js";
import { measureViews, type ViewRates, viewsMeasured } from "./view-rates.js";

/** What a look at the machine found. */
export interface Diagnosis {
  readonly lines: readonly (readonly [name: string, value: string])[];
  /** what to mend, and how; the first may be why nothing else was looked at */
  readonly problems: readonly string[];
  /** whether odis can run at all */
  readonly usable: boolean;
}

/** Rates in multiply-adds counted as two operations. */
export interface Rates {
  /** square matrix product of side 1024, GFLOP/s */
  readonly product: number;
  /** forward pass of a ViT-S block, GFLOP/s */
  readonly block: number;
}

const oldestNode = [20, 20] as const;

/** Looks at Node, at the engine, and at how fast it is. Takes a few seconds. */
export async function diagnose(): Promise<Diagnosis> {
  const node = ["Node", process.versions.node] as const;
  let info: RuntimeInfo;
  try {
    info = runtimeInfo();
  } catch (error) {
    if (!(error instanceof EngineError)) throw error;
    return { lines: [node], problems: [...nodeProblems(), error.message], usable: false };
  }
  const watch = new CoreWatch();
  const rates = measure();
  const taken = watch.share() ?? 0;
  const device = info.devices.at(-1) ?? "cpu";
  const views = await measureViews(device);
  const jpeg = jpegLibrary();
  return {
    lines: [
      node,
      ...engineLines(info),
      ["photographs", jpeg === undefined ? "decoded by sharp" : `decoded by ${jpeg}`],
      ...rateLines(rates),
      ...viewLines(views, device, availableParallelism()),
    ],
    problems: [
      ...nodeProblems(),
      ...engineProblems(info, rates),
      ...coreProblems(taken),
      ...jpegProblems(jpeg),
    ],
    usable: true,
  };
}

/** @param taken share of the time in which threads wanted a core and had none, 0..1 */
function coreProblems(taken: number): readonly string[] {
  if (taken < 0.1) return [];
  const share = `${Math.round(100 * taken)} %`;
  return [
    `for ${share} of the time threads wanted a core and had none: other programs are busy, so that the rates ` +
      `above are too low and training takes longer. End them, or leave them cores: odis pretrain --threads`,
  ];
}

function nodeProblems(): readonly string[] {
  const [major = 0, minor = 0] = process.versions.node.split(".").map(Number);
  const [oldest, oldestMinor] = oldestNode;
  if (major > oldest || (major === oldest && minor >= oldestMinor)) return [];
  return [`Node ${process.versions.node} is too old: wanted ${oldestNode.join(".")} or later`];
}

function engineLines(info: RuntimeInfo): Diagnosis["lines"] {
  const { version, place, blas, threads, devices, collectives } = info;
  return [
    ["LibTorch", `${version} at ${place}`],
    ["BLAS", `${blas.kind} at ${blas.path}`],
    ["threads", `${threads} of ${availableParallelism()} cores`],
    ["devices", devices.join(", ")],
    ["collectives", collectives.length === 0 ? "none" : collectives.join(", ")],
  ];
}

function rateLines({ product, block }: Rates): Diagnosis["lines"] {
  return [
    ["product", `${product.toFixed(0)} GFLOP/s (1024 x 1024 x 1024, float32)`],
    [
      "block",
      `${block.toFixed(0)} GFLOP/s (ViT-S block, 8 x 197 tokens, forward): ${share(block, product)}`,
    ],
  ];
}

/** How many photographs workers can deliver, and what would limit them if the device drew. */
export function viewLines(
  { drawn, planned, device: draws }: ViewRates,
  device: string,
  cores: number,
): Diagnosis["lines"] {
  const text = (rate: number): string =>
    (rate < 100 ? Number(rate.toPrecision(2)) : Math.round(rate)).toLocaleString("en-US");
  const own = [
    "views",
    `${text(drawn)} photographs a second and core drawn by workers, ${text(planned)} decoded and planned (${viewsMeasured})`,
  ] as const;
  if (device === "cpu") return [own];
  const decoding = cores * planned;
  const limit = decoding < draws ? "decoding" : device;
  return [
    own,
    [
      "",
      `${cores} cores: ${text(cores * drawn)} a second; with views.drawnBy=device ${text(Math.min(decoding, draws))}, of which ` +
        `${limit} is the limit (${device} draws ${text(draws)})`,
    ],
  ];
}

const share = (part: number, whole: number): string =>
  `${Math.round((100 * part) / whole)} % of the product`;

/** @param library that decodes JPEGs, if there is one beside sharp */
export const jpegProblems = (library: string | undefined): readonly string[] =>
  library === undefined
    ? [
        `JPEGs are decoded by sharp, to the same pixels at a third of the speed, since the decoder of our own was ` +
          `built without libjpeg's headers: ${jpegInstallLine}; ${buildCommand}`,
      ]
    : [];

/** What slows training down, by how much, and the way out. */
export function engineProblems(info: RuntimeInfo, { product, block }: Rates): readonly string[] {
  const problems: string[] = [];
  const { kind, path } = info.blas;
  const remedy = "sudo apt-get install libblis4-openmp";
  if (kind === "reference BLAS")
    problems.push(
      `BLAS is the reference implementation (${path}), some 30 times slower than it need be: ${remedy}`,
    );
  else if (kind === "OpenBLAS")
    problems.push(
      `BLAS is OpenBLAS, whose threads fight the engine's: whole steps take about twice as long as ` +
        `with BLIS: ${remedy}`,
    );
  else if (product < 10 * info.threads)
    problems.push(
      `matrix products reach ${product.toFixed(0)} GFLOP/s, wanted 10 for each of ${info.threads} threads ` +
        `or more: is another program busy? Is ${kind} at ${path} made for this processor?`,
    );
  if (block < 0.3 * product && problems.length === 0)
    problems.push(
      `a block reaches only ${share(block, product)}, wanted 30 % or more: ` +
        `is another program busy on these cores?`,
    );
  const cores = availableParallelism();
  if (info.threads < cores)
    problems.push(
      `the engine uses ${info.threads} of ${cores} cores` +
        (process.env["OMP_NUM_THREADS"] === undefined
          ? "; odis pretrain --threads sets the number"
          : `, because OMP_NUM_THREADS is ${process.env["OMP_NUM_THREADS"]}`),
    );
  if (info.threads > cores)
    problems.push(
      `the engine uses ${info.threads} threads on ${cores} cores: they get into each other's way`,
    );
  return problems;
}

function measure(): Rates {
  const side = 1024;
  const [images, tokens, width, heads] = [8, 197, 384, 6] as const;
  return noGrad(() =>
    tidy(() => {
      const a = ones([side, side]);
      const product = fastest(() => a.matmul(a));
      const block = new Block({
        dim: width,
        heads,
        mlpRatio: 4,
        ffn: "mlp",
        layerScale: 0,
        normEpsilon: 1e-6,
      });
      block.init(new Generator(0));
      const x = ones([images, tokens, width]);
      // qkv, projection and MLP are 12 D² weights a token; scores and mixing are 2 T² D each.
      const work = images * (24 * tokens * width ** 2 + 4 * tokens ** 2 * width);
      const forward = fastest(() => block.forward(x));
      return { product: (2 * side ** 3) / product / 1e9, block: work / forward / 1e9 };
    }),
  );
}

/** Seconds of the best of several runs: the others were disturbed. */
function fastest(run: () => Tensor): number {
  let best = Infinity;
  for (let round = 0; round < 12; round += 1) {
    const began = performance.now();
    tidy(() => run().free());
    if (round >= 2) best = Math.min(best, (performance.now() - began) / 1000); // first ones warm up
  }
  return best;
}
