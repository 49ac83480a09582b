import { setThreads, zeros } from "@odis/torch";
import { NeighbourSearch } from "../../packages/odis/dist/evaluate/index.js";
import { interleaved, median } from "./measure.js";
import { duration, megabytes, percent, printTable, rate } from "./table.js";

/** ViT-S features, and the published k-NN's k. */
const [WIDTH, K] = [384, 20];
const [CHUNK, BLOCK] = [16_384, 1_024];

/**
 * The k-NN search on random features, in turn with matrix products of the very same size: what the
 * search takes besides. Pieces of it are timed; a whole one (`queries` x `bank`) follows from its
 * arithmetic, and runs as it is with `whole`.
 */
export function benchNeighbours(
  threads: number,
  rounds: number,
  { queries, bank, whole }: { queries: number; bank: number; whole: boolean },
): void {
  setThreads(threads);
  const some = Math.min(queries, 4 * BLOCK);
  const random = (rows: number): Float32Array =>
    Float32Array.from({ length: rows * WIDTH }, () => Math.random() - 0.5);
  const chunk = random(CHUNK);
  using search = new NeighbourSearch(random(some), WIDTH, K);
  const [a, b] = [zeros([BLOCK, WIDTH]).add(0.5), zeros([CHUNK, WIDTH]).add(0.25).transpose(0, 1)];
  const product = (): void => {
    for (let done = 0; done < some; done += BLOCK) a.matmul(b).free();
  };
  const [products, searches] = interleaved([product, () => search.add(chunk)], rounds, 1);
  const flops = 2 * some * CHUNK * WIDTH;
  const times = (queries / some) * (bank / CHUNK);
  const ratio = median(searches!.map((taken, round) => taken / products![round]!));
  const row = (name: string, taken: number): string[] => [
    name,
    duration(taken),
    rate(flops / taken / 1e9, "GFLOP/s"),
    duration(taken * times),
  ];
  printTable(`k-NN of ${queries} queries against ${bank} rows of ${WIDTH}, k = ${K}`, [
    ["", `${some} x ${CHUNK}`, "rate", "whole, by arithmetic"],
    row("matrix products alone", median(products!)),
    row("search", median(searches!)),
    ["search to products, median of pairs", ratio.toFixed(2)],
    ["share of the products' rate", percent(1 / ratio)],
  ]);
  if (whole) runWhole(queries, bank, chunk);
}

/** The bank streams by in chunks that are made when they are needed. */
function runWhole(queries: number, bank: number, chunk: Float32Array): void {
  const began = performance.now();
  using search = new NeighbourSearch(
    Float32Array.from({ length: queries * WIDTH }, () => Math.random() - 0.5),
    WIDTH,
    K,
  );
  for (let done = 0; done < bank; done += CHUNK) {
    for (let at = done % 7; at < chunk.length; at += 7) chunk[at] = Math.random() - 0.5;
    search.add(chunk.subarray(0, Math.min(CHUNK, bank - done) * WIDTH));
  }
  const { rows } = search.found();
  printTable("the whole search, run once", [
    ["time", duration((performance.now() - began) / 1000)],
    ["peak memory", megabytes(1024 * process.resourceUsage().maxRSS)],
    ["neighbours found", String(rows.length)],
  ]);
}
