import { Order } from "../../packages/odis/dist/batches/index.js";
import { Rng } from "../../packages/odis/dist/core/index.js";
import {
  type ModelSize,
  type RecipeName,
  recipeLayers,
  resolveRecipe,
} from "../../packages/odis/dist/recipe/index.js";
import { buildNetwork, shares, stepCost } from "../../packages/odis/dist/train/index.js";
import { printHours } from "./hours.js";
import { imageNet } from "./places.js";
import { megabytes, printTable } from "./table.js";

/**
 * The bookkeeping of hundreds of ranks on this machine: the code of real runs for order, resume and
 * the optimiser's shares, without arithmetic and messages. `npm run simulate:ranks`; see docs/scale.md.
 */
const [ranks, images, batch] = [512, imageNet, 1024];

/** Every image of an epoch is one rank's, once; all ranks have as many. */
function wholeEpoch(): void {
  const seen = new Uint8Array(images);
  const began = performance.now();
  const counts = Array.from({ length: ranks }, (_, rank) => {
    const order = new Order(0, { size: images }, batch, { rank, size: ranks });
    let count = 0;
    for (let step = 0; step < order.stepsPerEpoch; step += 1)
      for (const index of order.step(step).indices) {
        seen[index]! += 1;
        count += 1;
      }
    return count;
  });
  const twice = seen.reduce((sum, times) => sum + Number(times > 1), 0);
  const left = seen.reduce((sum, times) => sum + Number(times === 0), 0);
  printTable(
    `An epoch of ${images.toLocaleString("en-US")} images, batch ${batch}, ${ranks} ranks`,
    [
      ["", "", "wanted"],
      ["images that two ranks had", `${twice}`, "0"],
      ["images that none had", `${left}`, `${images % batch}`],
      [
        "images of a rank, least and most",
        `${Math.min(...counts)}, ${Math.max(...counts)}`,
        `${Math.floor(images / batch) * (batch / ranks)}`,
      ],
      ["largest memory", `${(process.resourceUsage().maxRSS / 1024).toFixed(0)} MiB`, ""],
      ["seconds", ((performance.now() - began) / 1000).toFixed(0), ""],
    ],
  );
}

/**
 * Runs that fail at random moments and go on from their last checkpoint with other numbers of
 * processes: what stands in the end is what one process would have done.
 */
function failures(): void {
  // Small: every order of every rank is made anew after each failure.
  const [size, together] = [5003, 512];
  const [steps, every, runs, each] = [200, 25, 5, 10];
  const numbers = [1, 8, 32, 128, 512];
  const rng = new Rng("failures", 1);
  const one = new Order(0, { size }, together);
  const wanted = Array.from({ length: steps }, (_, step) => [...one.step(step).indices].join());
  let [wrong, missing, lost] = [0, 0, 0];
  for (let run = 0; run < runs; run += 1) {
    const history: string[] = [];
    for (let failed = 0; failed <= each; failed += 1) {
      const from = history.length - (history.length % every); // the last checkpoint
      lost = Math.max(lost, history.length - from);
      history.length = from;
      const end = failed === each ? steps : rng.int(from, steps);
      const processes = numbers[rng.int(0, numbers.length - 1)]!;
      const orders = Array.from(
        { length: processes },
        (_, rank) => new Order(0, { size }, together, { rank, size: processes }),
      );
      for (let step = from; step < end; step += 1)
        history.push(orders.flatMap((order) => [...order.step(step).indices]).join());
    }
    wrong += history.filter((indices, step) => indices !== wanted[step]).length;
    missing += steps - history.length;
  }
  printTable(
    `${runs} runs of ${steps} steps, ${runs * each} failures at random steps, resumed with ${numbers.join(", ")} processes`,
    [
      ["", "", "wanted"],
      ["steps with other images, or in another order", `${wrong}`, "0"],
      ["steps that nobody did", `${missing}`, "0"],
      ["most steps that were done twice", `${lost}`, `at most ${every}`],
    ],
  );
}

/** How evenly weights are shared, and what is sent. */
function optimizerShares(): void {
  const networks: readonly (readonly [RecipeName, ModelSize])[] = [
    ["odis", "vit-s"],
    ["odis", "vit-b"],
    ["odis", "vit-l"],
    ["odis-dinov2", "vit-g"],
  ];
  const rows = networks.flatMap(([method, size]) => {
    const recipe = resolveRecipe(recipeLayers(method, size));
    const network = buildNetwork(recipe, "student"); // its memory is never touched
    const weights = network.namedParameters();
    const { parameters, memory } = stepCost(recipe, { processes: 1 });
    const moments = [8, 64, 512].map((processes) => {
      const owners = shares(weights, processes);
      const load = Array.from({ length: processes }, () => 0);
      for (const [, weight] of weights) load[owners.get(weight)!]! += 8 * weight.size;
      return megabytes(Math.max(...load));
    });
    network.free();
    const sent = 4 * parameters;
    return [
      [
        `${method} ${size}`,
        `${(parameters / 1e6).toFixed(0)} M`,
        megabytes(sent),
        `${Math.ceil(sent / (25 * 2 ** 20))}`,
        megabytes(memory.moments),
        ...moments,
      ],
    ];
  });
  printTable(
    "Gradients of a step, and moments of the process that has most of them (optim.shard)",
    [["", "weights", "gradients", "buckets", "moments", "of 8", "of 64", "of 512"], ...rows],
  );
}

printHours();
failures();
optimizerShares();
wholeEpoch();
