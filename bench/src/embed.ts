import { copyFileSync, mkdirSync, readdirSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { extname, join } from "node:path";
import { recipeLayers, resolveRecipe } from "../../packages/odis/dist/recipe/index.js";
import { exportRun, pretrain } from "../../packages/odis/dist/run/index.js";
import { Contestant, inTurn, ratioOver } from "./contestant.js";
import { median } from "./measure.js";
import { local, peerPython, photographs } from "./places.js";
import { megabytes, printTable } from "./table.js";

/** Photographs that are embedded in a block. */
const BLOCK = 64;

export interface EmbedBenchOptions {
  readonly threads: number;
  /** blocks of each contestant, in turn */
  readonly rounds: number;
  /** whether the Python peer takes part */
  readonly peer: boolean;
  /** a folder with images/; default: six photographs of COCO, again and again */
  readonly photos?: string | undefined;
}

/** What a contestant says of a block. */
export interface EmbedReport {
  /** one number: wall-clock time, for an image */
  readonly seconds: readonly number[];
  /** CPU time of all threads, for an image: other programs count little in it */
  readonly cpu: number;
  /** largest resident memory of the process so far, bytes */
  readonly peakRss: number;
  readonly versions: string;
  /** the first photograph's */
  readonly feature: readonly number[];
}

/** `odis embed` of whole photographs by a ViT-S/16, in turn with transformers on the same weights. */
export async function benchEmbed(options: EmbedBenchOptions): Promise<void> {
  const folder = await mkdtemp(join(tmpdir(), "odis-bench-"));
  try {
    await pair(folder, options);
  } finally {
    await rm(folder, { recursive: true });
  }
}

async function pair(
  folder: string,
  { threads, rounds, peer, photos = photographs }: EmbedBenchOptions,
): Promise<void> {
  const images = photographsIn(join(folder, "images"), join(photos, "images"));
  const { run, exported } = await weights(folder, images);
  const ours = new Contestant<EmbedReport>(
    "odis embed",
    process.execPath,
    [local("embed-server.js"), run, images, folder, `${threads}`],
    process.env,
  );
  const contestants = [ours];
  if (peer)
    contestants.push(
      new Contestant<EmbedReport>(
        "transformers",
        peerPython(),
        [
          local("../peer/embed.py"),
          "--model",
          exported,
          "--images",
          images,
          "--threads",
          `${threads}`,
        ],
        process.env,
        "the peer needs transformers: npm run bench:venv, or name a PYTHON that has it",
      ),
    );
  await inTurn(contestants, rounds, BLOCK);
  printTable(`photographs to features, ViT-S/16 at 224, ${threads} threads, from JPEG on`, [
    ["", "ms an image", "images/s", "CPU ms an image", "peak memory", ""],
    ...contestants.map((contestant) => {
      const time = median(contestant.seconds);
      const { peakRss, versions } = contestant.last;
      return [
        contestant.name,
        (1000 * time).toPrecision(3),
        (1 / time).toPrecision(3),
        (1000 * median(contestant.reports.map(({ cpu }) => cpu))).toPrecision(3),
        megabytes(peakRss),
        versions,
      ];
    }),
  ]);
  const other = contestants[1];
  if (!other) return;
  const cpu = ours.reports.map((report, round) => other.reports[round]!.cpu / report.cpu);
  console.log(
    `  ${ratioOver(ours, other)}, by CPU time ${median(cpu).toFixed(2)}; ` +
      `cosine of the two features of one photograph: ${cosine(ours.last.feature, other.last.feature).toFixed(5)}`,
  );
}

/** As many photographs as a block has. */
function photographsIn(folder: string, from: string): string {
  mkdirSync(folder);
  const names = readdirSync(from).toSorted();
  for (let at = 0; at < BLOCK; at += 1) {
    const name = names[at % names.length]!;
    copyFileSync(join(from, name), join(folder, `${String(at).padStart(4, "0")}${extname(name)}`));
  }
  return folder;
}

/** A ViT-S/16 as it begins, as a run and as a folder of Hugging Face's; its numbers do not matter. */
async function weights(folder: string, images: string) {
  const recipe = resolveRecipe([
    ...recipeLayers("odis", "vit-s"),
    {
      source: "bench",
      values: {
        optim: { batch: 1, steps: 1 },
        views: { locals: { count: 0 } },
        head: { hidden: 64, bottleneck: 16, prototypes: 64 },
      },
    },
  ]);
  const run = join(folder, "run");
  const data = { kind: "folder", place: images, whole: true };
  await pretrain({ recipe, data, out: run });
  const exported = join(folder, "exported");
  await exportRun(run, { out: exported, format: "hf" });
  return { run, exported };
}

function cosine(a: readonly number[], b: readonly number[]): number {
  const dot = a.reduce((sum, value, at) => sum + value * b[at]!, 0);
  return dot / (Math.hypot(...a) * Math.hypot(...b));
}
