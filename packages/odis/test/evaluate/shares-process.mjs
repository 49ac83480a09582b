// One of several processes that share something: `node shares-process.mjs OUT` with the variables of
// torchrun writes what it has heard to OUT.RANK.
import { writeFileSync } from "node:fs";
import { serialize } from "node:v8";
import { placeFromEnvironment, ProcessGroup } from "@odis/torch";
import { byFirst, joined } from "../../dist/evaluate/shares.js";
import { World } from "../../dist/train/index.js";

const [out] = process.argv.slice(2);
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
const heard = {
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
