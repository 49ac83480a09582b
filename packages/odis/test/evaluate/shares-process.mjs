// One of several processes that share something: `node shares-process.mjs OUT SWEEP` with the variables of
// torchrun writes what it has heard to OUT.RANK. SWEEP says what linear probes are trained on.
import { writeFileSync } from "node:fs";
import { serialize } from "node:v8";
import { noGrad, placeFromEnvironment, ProcessGroup } from "@odis/torch";
import { trainProbes } from "../../dist/evaluate/probe.js";
import { byFirst, joined } from "../../dist/evaluate/shares.js";
import { World } from "../../dist/train/index.js";

const [out, sweep] = process.argv.slice(2);
/** s; the first works for longer, and says that it is alive every 5 s */
const [patience, work] = [9, 13];
const group = ProcessGroup.join(placeFromEnvironment(), {
  backend: "gloo",
  patienceSeconds: patience,
});
const world = new World(group, "cpu");
const { rank } = world;

/** As many rows as the rank's number and one, of numbers that nobody else has. */
const rows = Array.from({ length: rank + 1 }, (_, row) => row);
const own = {
  features: Float32Array.from(rows.flatMap((row) => [rank, row])),
  width: 2,
  items: [],
  labels: Int32Array.from(rows),
};
const total = (world.size * (world.size + 1)) / 2;
const set = { own, first: (rank * (rank + 1)) / 2, items: [], labels: new Int32Array(total) };

const busy = (bank, queries, alive) => {
  const end = performance.now() + 1000 * work;
  while (performance.now() < end) alive();
  return [bank.features, queries.features];
};
const { columns, settings, width, classes, features, targets, read } = JSON.parse(sweep);
// The first has one sample, the second none.
const [first, end] = [
  [0, 1],
  [1, 1],
  [1, targets.length / classes],
][rank];
const samples = {
  width,
  classes,
  features: Float32Array.from(features.slice(first * width, end * width)),
  targets: Float32Array.from(targets.slice(first * classes, end * classes)),
  share: { first, total: targets.length / classes },
};
const probes = await trainProbes(samples, columns, settings, { seed: 5, device: "cpu", world });
const rowsRead = probes.upload({ features: Float32Array.from(read), width });
const heard = {
  probes: noGrad(() => columns.map((_, at) => probes.logits(at, rowsRead).toFloat32())),
  trained: probes.rowsTrainedBy(rank),
  values: world.shareValues({ rank, rows }),
  integers: joined(
    world,
    Int32Array.from(rows, (row) => -10 * rank - row),
  ),
  // A part of a longer array, and of one process none at all.
  floats: joined(world, Float32Array.from([9, rank + 0.5, 0.25]).subarray(1, rank === 1 ? 1 : 3)),
  bytes: joined(
    world,
    Uint8Array.from(rows, () => 250 + rank),
  ),
  byFirst: byFirst([set, set], { world, device: "cpu" }, busy),
};
writeFileSync(`${out}.${rank}`, serialize(heard));
world[Symbol.dispose]();
