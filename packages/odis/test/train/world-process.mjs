// One of several processes that train together: `node world-process.mjs TASKS` with the variables of
// torchrun writes TASKS.done (see processes.ts).
import { readFileSync, writeFileSync } from "node:fs";
import { deserialize, serialize } from "node:v8";
import { noGrad, placeFromEnvironment, ProcessGroup, setThreads, tensor } from "@odis/torch";
import { scheduleValuesAt } from "../../dist/recipe/index.js";
import { createState, savedState, stateTensors, trainOn, World } from "../../dist/train/index.js";

const [path] = process.argv.slice(2);
setThreads(1);
const group = ProcessGroup.join(placeFromEnvironment(), { backend: "gloo", patienceSeconds: 60 });
const world = new World(group, "cpu");

function run({ recipe, length, batches, from = 0, weights }) {
  const state = createState(recipe, "cpu", { world });
  const own = stateTensors(state);
  noGrad(() => {
    for (const [name, { data, shape }] of weights ?? []) own.get(name)?.copy_(tensor(data, shape));
  });
  const before = world.traffic;
  const reports = [];
  const tensors = [];
  let numbers;
  for (const [at, batch] of batches.entries()) {
    reports.push(trainOn(state, batch, scheduleValuesAt(recipe, length, from + at)));
    const saved = savedState(state);
    numbers = saved.numbers;
    tensors.push(
      world.rank === 0
        ? new Map(saved.tensors.map(({ name, data }) => [name, Float32Array.from(data())]))
        : new Map(),
    );
  }
  const { messages, bytes } = world.traffic;
  const outcome = {
    reports,
    tensors,
    updates: numbers.optimizerUpdates,
    order: state.student.namedParameters().map(([name]) => name),
    moments: [...state.optimizer.state().values()].reduce(
      (sum, { mean }) => sum + 8 * mean.size,
      0,
    ),
    traffic: { messages: messages - before.messages, bytes: bytes - before.bytes },
  };
  state[Symbol.dispose]();
  return outcome;
}

writeFileSync(`${path}.done`, serialize(deserialize(readFileSync(path)).map(run)));
world[Symbol.dispose]();
