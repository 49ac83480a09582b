import { createHash } from "node:crypto";
import { linkSync, mkdtempSync, rmSync, statSync } from "node:fs";
import { availableParallelism, tmpdir } from "node:os";
import { join } from "node:path";
import { type Batch, openViewLoader } from "../../packages/odis/dist/batches/index.js";
import { convert, openSource } from "../../packages/odis/dist/data/index.js";
import { makeScenes } from "../../packages/odis/dist/scenes/index.js";
import { viewConfig } from "../../packages/odis/dist/views/index.js";
import { duration, megabytes, printTable } from "./table.js";

/**
 * One epoch over a million images in tar shards, with the loader of real runs and no training:
 * `npm run simulate:epoch`. Pictures are scenes of 32 pixels and views are tiny, so that what is left is
 * opening, ordering, reading, decoding and planning. A shard of 10,000 samples, of a thousand scenes ten
 * times each, lies on the disk once and has a hundred names (hard links): the file system's cache holds it,
 * so no disk is measured.
 *
 * npm run simulate:epoch -- 200000 makes it shorter.
 */
const images = Number(process.argv[2] ?? 1_000_000);
const PER_SHARD = 10_000;
const SCENES = 1_000;
const CANVAS = 32;
const batch = 250;
const patch = 8;
const views = viewConfig.parse({ globals: { size: 16 }, locals: { count: 1, size: 8 } });

if (!Number.isInteger(images / PER_SHARD) || images < 2 * PER_SHARD)
  throw new Error(
    `got ${process.argv[2]} images; wanted a multiple of ${PER_SHARD}, 2 of it or more`,
  );

const place = mkdtempSync(join(tmpdir(), "odis-epoch-"));
try {
  await makeShards(join(place, "shards"));
  await epoch(join(place, "shards"));
} finally {
  rmSync(place, { recursive: true, force: true });
}

async function makeShards(out: string): Promise<void> {
  const { train } = await makeScenes(join(place, "scenes"), {
    train: SCENES,
    test: 1,
    canvas: CANVAS,
  });
  const scenes = await openSource(train);
  const { file, picture } = scenes;
  await convert(
    {
      ...scenes,
      size: PER_SHARD,
      key: (index) => `${index}.png`,
      read: async (index) => ({ ...(await scenes.read(index % SCENES)), key: `${index}.png` }),
      ...(file && { file: (index) => file(index % SCENES) }),
      ...(picture && { picture: (index) => picture(index % SCENES) }),
    },
    { to: "shards", out, shardBytes: 2 ** 40 },
  );
  rmSync(join(out, "shards.odis"));
  for (let shard = 1; shard < images / PER_SHARD; shard += 1)
    linkSync(join(out, "000000.tar"), join(out, `${String(shard).padStart(6, "0")}.tar`));
}

async function epoch(folder: string): Promise<void> {
  const seconds = (since: number): number => (performance.now() - since) / 1000;
  const began = performance.now();
  const source = await openSource({ kind: "shards", place: folder });
  const opened = seconds(began);
  const options = { views, patch, batch, seed: 0 };
  const steps = images / batch;
  const middle = steps / 2 + 7;
  const loader = await openViewLoader(source, options);
  const seen = new Uint8Array(images);
  const tenths: { readonly rate: number; readonly memory: number }[] = [];
  const middles: string[] = [];
  let since = performance.now();
  const start = since;
  for (let step = 0; step < steps; step += 1) {
    const one = await loader.next();
    for (const key of one.keys) seen[numberOf(key)]! += 1;
    if (step >= middle && step < middle + 3) middles.push(digest(one));
    if ((step + 1) % (steps / 10) > 0) continue;
    tenths.push({ rate: images / 10 / seconds(since), memory: process.memoryUsage.rss() });
    since = performance.now();
    console.error(`${tenths.length} of 10: ${tenths.at(-1)!.rate.toFixed(0)} images/s`);
  }
  const all = seconds(start);
  await loader.close();
  const back = performance.now();
  const resumed = await openViewLoader(source, { ...options, start: middle });
  const first = digest(await resumed.next());
  const resume = seconds(back);
  const again = [first, digest(await resumed.next()), digest(await resumed.next())];
  await resumed.close();

  const times = (count: number): number => seen.reduce((sum, n) => sum + Number(n === count), 0);
  const memory = tenths.map((tenth) => tenth.memory);
  const rates = tenths.map(({ rate }) => rate.toFixed(0));
  printTable(
    `An epoch of ${images.toLocaleString("en-US")} images in ${images / PER_SHARD} shards`,
    [
      [
        "shards: bytes of all, on disk once",
        megabytes((images / PER_SHARD) * statSync(join(folder, "000000.tar")).size),
      ],
      ["open, by walking all headers", duration(opened)],
      [
        `the epoch, ${availableParallelism()} workers`,
        `${all.toFixed(0)} s, ${(images / all).toFixed(0)} images/s`,
      ],
      ["images/s of its tenths", rates.join(", ")],
      [
        "images seen once; never; more often",
        [times(1), times(0), images - times(1) - times(0)]
          .map((n) => n.toLocaleString("en-US"))
          .join("; "),
      ],
      ["resident memory after each tenth", memory.map(megabytes).join(", ")],
      ["to the first batch of a resume in the middle", duration(resume)],
      ["three batches after it, the same bits", again.join() === middles.join() ? "yes" : "NO"],
    ],
  );
}

/** `000012.tar#345` of shards of one size. */
function numberOf(key: string): number {
  const [shard = "", sample = ""] = key.split("#");
  return Number.parseInt(shard, 10) * PER_SHARD + Number(sample);
}

function digest({ keys, global, local }: Batch): string {
  const hash = createHash("sha256").update(JSON.stringify(keys));
  for (const { pixels, present } of [global, local]) {
    if (ArrayBuffer.isView(pixels)) hash.update(pixels);
    hash.update(present);
  }
  return hash.update(global.visible).update(global.hidden).digest("hex");
}
