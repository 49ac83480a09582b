import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { parseArgs } from "node:util";
import { checkDevice, deviceInfo } from "@odis/torch";
import { benchCapacity, type Large } from "./capacity.js";
import { benchDevice, type DeviceRow } from "./device.js";

const usage = `npm run check:gpu -- [options]

Runs the engine's, the golden, the training and the augment tests on a device, then times training steps there
beside PyTorch's own and prints a table, then looks for the largest batches. With --device cpu it is small and
shows that it works.

  --device NAME   default cuda
  --python FILE   a Python that has PyTorch, default python3
  --no-tests      only the tables
  --no-bench      no table of steps
  --no-capacity   no table of largest batches
  --rounds N      blocks of each contestant, default 3
  --steps N       steps in a block, default 10`;

const { values } = parseArgs({
  allowNegative: true,
  options: {
    device: { type: "string", default: "cuda" },
    python: { type: "string", default: "python3" },
    tests: { type: "boolean", default: true },
    bench: { type: "boolean", default: true },
    capacity: { type: "boolean", default: true },
    rounds: { type: "string", default: "3" },
    steps: { type: "string", default: "10" },
    help: { type: "boolean", default: false },
  },
});

const rows: readonly DeviceRow[] = [
  { workload: "vit-s", batch: 64, peers: ["eager", "compiled"] },
  { workload: "vit-b", batch: 64, peers: ["eager", "compiled"] },
  // All of them in turn fit 80 GB: of 64 images the eager peer alone would not.
  { workload: "vit-l", batch: 32, peers: ["eager", "compiled"] },
  { workload: "vit-l", batch: 64, peers: [] },
];
const networks: readonly Large[] = [
  ...(["vit-s", "vit-b", "vit-l"] as const).map((size) => ({
    method: "odis" as const,
    size,
    memory: ["keep", "recompute", "stream"] as const,
    probes: [8, 16] as const,
  })),
  { method: "odis-dinov2", size: "vit-g", memory: ["keep", "stream"], probes: [2, 4] },
];
/** On a CPU the whole way, at sizes that take seconds. */
const smallRows: readonly DeviceRow[] = [{ workload: "small", batch: 2, peers: [] }];
const smallNetworks: readonly Large[] = [
  { method: "odis", size: "vit-mini", memory: ["keep", "recompute"], probes: [2, 4] },
];

async function main(): Promise<number> {
  if (values.help) {
    console.log(usage);
    return 0;
  }
  const device = checkDevice(values.device);
  if (values.tests) {
    const vitest = fileURLToPath(new URL("../../node_modules/vitest/vitest.mjs", import.meta.url));
    const tests = [
      "torch/test/device",
      "odis/test/model/vit-obj",
      "odis/test/train/train-steps",
      "odis/test/augment/draw",
    ];
    const { status } = spawnSync(
      process.execPath,
      [vitest, "run", ...tests.map((test) => `packages/${test}.test.ts`)],
      {
        stdio: "inherit",
        env: { ...process.env, ODIS_TEST_DEVICE: device },
      },
    );
    if (status !== 0) return 1;
  }
  if (values.bench)
    await benchDevice(device === "cpu" ? smallRows : rows, {
      device,
      python: values.python,
      rounds: Number(values.rounds),
      stepsPerBlock: device === "cpu" ? 1 : Number(values.steps),
    });
  if (values.capacity) {
    const bytes = deviceInfo(device)?.bytes ?? 0;
    benchCapacity(device === "cpu" ? smallNetworks : networks, device, bytes);
  }
  return 0;
}

process.exitCode = await main().catch((error: unknown) => {
  console.error(error instanceof Error ? error.message : error);
  return 5;
});
