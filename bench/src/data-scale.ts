import { spawnSync } from "node:child_process";
import {
  closeSync,
  mkdirSync,
  mkdtempSync,
  openSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
  writeSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { Rng } from "../../packages/odis/dist/core/index.js";
import { openSource } from "../../packages/odis/dist/data/index.js";
import { megabytes, printTable } from "./table.js";

/**
 * What data sets of these sizes cost before the first picture is read: `npm run simulate`. Pictures are
 * empty files and archives are holes, since only names, sizes and headers' places matter here. Every case
 * runs in a process of its own, so that its peak memory is its own.
 */
const cases: Readonly<Record<string, Case>> = {
  "COCO train2017: 118,287 images, 860,001 objects": {
    images: 118_287,
    make: (folder) => makeCoco(folder, 118_287, 860_001),
    open: (folder) => ({
      kind: "coco",
      images: join(folder, "images"),
      annotations: join(folder, "instances.json"),
    }),
  },
  "a folder of a million files": {
    images: 1_000_000,
    make: (folder) => makeFolder(folder, 1_000_000),
    open: (folder) => ({ kind: "folder", place: folder }),
  },
  "ImageNet-21k in shards: 14 million": {
    images: 14_197_122,
    make: (folder) => makeShards(folder, 14_197_122, 10_000),
    open: (folder) => ({ kind: "shards", place: folder }),
  },
  "LVD-142M in shards: 142 million": {
    images: 142_109_386,
    make: (folder) => makeShards(folder, 142_109_386, 10_000),
    open: (folder) => ({ kind: "shards", place: folder }),
  },
};

interface Case {
  readonly images: number;
  readonly make: (folder: string) => void;
  readonly open: (folder: string) => { kind: string; [setting: string]: unknown };
}

interface Figures {
  readonly bytesOnDisk: number;
  readonly bytesPerImage: number;
  readonly openSeconds: number;
  readonly peakMiB: number;
  /** the first image of an epoch, another epoch's order included */
  readonly shuffleSeconds: number;
  /** the image in the middle of an epoch, by a process that has just begun */
  readonly resumeSeconds: number;
  /** images drawn from the order */
  readonly drawnPerSecond: number;
  /** a plain permutation of all images, for comparison */
  readonly permutationSeconds: number;
}

const [, script, name, folder] = process.argv;
if (name !== undefined && folder !== undefined)
  console.log(JSON.stringify(await measure(name, folder)));
else run();

function run(): void {
  const rows: string[][] = [];
  for (const [title, { make, images }] of Object.entries(cases)) {
    const place = mkdtempSync(join(tmpdir(), "odis-scale-"));
    try {
      make(place);
      const { stdout, status, stderr } = spawnSync(process.execPath, [script!, title, place], {
        encoding: "utf8",
      });
      if (status !== 0) throw new Error(`${title}: ${stderr}`);
      const figures: Figures = JSON.parse(stdout);
      rows.push([
        title,
        megabytes(figures.bytesOnDisk),
        figures.bytesPerImage.toFixed(1),
        `${figures.openSeconds.toFixed(2)} s`,
        `${figures.peakMiB.toFixed(0)} MiB`,
        `${(1000 * figures.shuffleSeconds).toFixed(0)} ms`,
        `${(1000 * figures.resumeSeconds).toFixed(0)} ms`,
        `${(figures.drawnPerSecond / 1e6).toFixed(1)} M/s`,
        `${figures.permutationSeconds.toFixed(2)} s`,
      ]);
      console.error(`${title} (${images.toLocaleString("en-US")}): done`);
    } finally {
      rmSync(place, { recursive: true, force: true });
    }
  }
  const head = [
    "",
    "on disk",
    "index, bytes an image",
    "open",
    "peak",
    "shuffle",
    "resume",
    "draw",
    "a permutation",
  ];
  printTable("Data sets before the first picture is read", [head, ...rows]);
}

async function measure(title: string, place: string): Promise<Figures> {
  const { open, images } = cases[title]!;
  const seconds = async <T>(work: () => T | Promise<T>): Promise<readonly [T, number]> => {
    const began = performance.now();
    const value = await work();
    return [value, (performance.now() - began) / 1000];
  };
  const [source, openSeconds] = await seconds(() => openSource(open(place)));
  const peakMiB = process.resourceUsage().maxRSS / 1024;
  const bytes = sharedBytes(source.spec.index);
  const order = (epoch: number) =>
    source.order?.(0, epoch) ?? {
      at: (position: number) => new Rng("order", 0, epoch).permutation(images)[position]!,
    };
  const [, shuffleSeconds] = await seconds(() => order(1).at(0));
  const [, resumeSeconds] = await seconds(() => order(2).at(Math.floor(images / 2)));
  const third = order(3);
  const drawn = source.order ? 2_000_000 : 1;
  const [, drawSeconds] = await seconds(() => {
    for (let at = 0; at < drawn; at += 1) third.at(at);
  });
  const [, permutationSeconds] = await seconds(
    () => new Rng("order", 0, 0).permutation(images).length,
  );
  return {
    bytesOnDisk: statSync(join(place, indexFile(place))).size,
    bytesPerImage: bytes / images,
    openSeconds,
    peakMiB,
    shuffleSeconds,
    resumeSeconds,
    drawnPerSecond: drawn / drawSeconds,
    permutationSeconds,
  };
}

function indexFile(place: string): string {
  for (const file of ["shards.odis", "instances.json"])
    if (statSync(join(place, file), { throwIfNoEntry: false })) return file;
  return ".";
}

/** Bytes of the arrays that threads share. */
function sharedBytes(value: unknown): number {
  if (ArrayBuffer.isView(value)) return value.byteLength;
  if (typeof value !== "object" || value === null) return 0;
  return Object.values(value).reduce<number>((sum, inner) => sum + sharedBytes(inner), 0);
}

const nameOf = (image: number): string => `${String(image).padStart(12, "0")}.jpg`;

function makeFolder(place: string, images: number): void {
  mkdirSync(place, { recursive: true });
  for (let image = 0; image < images; image += 1)
    closeSync(openSync(join(place, nameOf(image)), "w"));
}

/** As many objects and corners as COCO's, in the order of its file. */
function makeCoco(place: string, images: number, objects: number): void {
  makeFolder(join(place, "images"), images);
  const file = openSync(join(place, "instances.json"), "w");
  const rng = new Rng("scale");
  let waiting: string[] = [];
  const write = (text: string, flush = false) => {
    waiting.push(text);
    if (!flush && waiting.length < 1000) return;
    writeSync(file, waiting.join(""));
    waiting = [];
  };
  write('{"info":{"year":2017},"images":[');
  for (let image = 0; image < images; image += 1)
    write(
      `${image > 0 ? "," : ""}{"license":3,"file_name":"${nameOf(image)}","coco_url":"http://images.cocodataset.org/train2017/${nameOf(image)}",` +
        `"height":480,"width":640,"date_captured":"2013-11-14 11:18:45","flickr_url":"http://farm9.staticflickr.com/8186/8119368305_4e622c8349_z.jpg","id":${image}}`,
    );
  write('],"annotations":[');
  for (let object = 0; object < objects; object += 1) {
    const corners = Array.from({ length: 50 }, () => rng.int(0, 47_999) / 100);
    write(
      `${object > 0 ? "," : ""}{"segmentation":[[${corners.join()}]],"area":1234.5,"iscrowd":0,"image_id":${rng.int(0, images - 1)},` +
        `"bbox":[12.3,45.6,78.9,101.1],"category_id":${rng.int(1, 80)},"id":${object}}`,
    );
  }
  const categories = Array.from(
    { length: 80 },
    (_, at) => `{"id":${at + 1},"name":"class ${at + 1}"}`,
  );
  write(`],"categories":[${categories.join()}]}`, true);
  closeSync(file);
}

/** Archives as holes of the right size, and the index that `odis data shard` would write beside them. */
function makeShards(place: string, images: number, perArchive: number): void {
  const blocks = 200; // of 512 bytes: a photograph of 100 kB with its objects
  const archives: [string, number, number][] = [];
  for (let first = 0; first < images; first += perArchive) {
    const count = Math.min(perArchive, images - first);
    const path = `${String(archives.length).padStart(6, "0")}.tar`;
    closeSync(openSync(join(place, path), "w"));
    truncateSync(join(place, path), 512 * (blocks * count + 2));
    archives.push([path, 512 * (blocks * count + 2), count]);
  }
  const file = openSync(join(place, "shards.odis"), "w");
  writeSync(file, `${JSON.stringify({ version: 1, archives, numbered: 0 })}\n`);
  writeSync(
    file,
    Uint32Array.from(archives, ([, , count]) => blocks * count),
  );
  for (const [, , count] of archives)
    writeSync(
      file,
      Uint32Array.from({ length: count }, (_, at) => blocks * at),
    );
  closeSync(file);
  writeFileSync(join(place, "classes.txt"), "thing\n");
}
