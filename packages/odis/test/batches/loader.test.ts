import { createHash } from "node:crypto";
import { cpSync, mkdirSync, readdirSync, readFileSync, truncateSync, writeFileSync } from "node:fs";
import { getPriority } from "node:os";
import { join } from "node:path";
import { afterEach, describe, expect, test } from "vitest";
// The built files: worker threads load them by their place on the disk.
import { openSource, type OpenSource } from "../../dist/data/dataset.js";
import { fromWire, toWire } from "../../dist/batches/wire.js";
import {
  BadImageError,
  ConfigError,
  DataError,
  OdisError,
  RunError,
} from "../../dist/core/errors.js";
import { Rng } from "../../dist/core/rng.js";
import { type ViewConfig, viewConfig } from "../../dist/views/config.js";
import { imagesOf } from "../../dist/batches/batch.js";
import { drawView } from "@odis/torch/images";
import { firstDifference } from "../golden.js";
import { openViewLoader, type ViewLoaderOptions } from "../../dist/batches/loader.js";
import { makeViews, newViewSlots } from "../../dist/views/views.js";
import { scratchFolder } from "../scratch.js";
import { failure } from "../failure.js";

type Loader = Awaited<ReturnType<typeof openViewLoader>>;
type Batch = Awaited<ReturnType<Loader["next"]>>;

const scratch = scratchFolder();
const fixture = join(import.meta.dirname, "../fixtures/coco-6");
const views = viewConfig.parse({ globals: { size: 32 }, locals: { count: 3, size: 16 } });
const patch = 8;

interface Changes {
  readonly object?: object;
  readonly locals?: object;
}

const open: Loader[] = [];
afterEach(() => Promise.all(open.splice(0).map((loader) => loader.close())));

async function loaderOf(source: OpenSource, options: Partial<ViewLoaderOptions> = {}) {
  const loader = await openViewLoader(source, {
    views,
    patch,
    batch: 2,
    seed: 5,
    workers: 2,
    ...options,
  });
  open.push(loader);
  return loader;
}

function coco(folder = fixture): Promise<OpenSource> {
  const [images, annotations] = [join(folder, "images"), join(folder, "instances.json")];
  return openSource({ kind: "coco", images, annotations });
}

/** A data set of the fixture's pictures, of which these are cut off in the middle. */
function withTorn(...names: readonly string[]): Promise<OpenSource> {
  const folder = join(scratch(), "torn");
  mkdirSync(folder);
  cpSync(fixture, folder, { recursive: true });
  for (const name of names) truncateSync(join(folder, "images", name), 9000);
  return coco(folder);
}

/** A source written in a file; `read` is the body of its method, of `index`. */
function moduleSource(read: string, size = 64): Promise<OpenSource> {
  const path = join(scratch(), "source.mjs");
  writeFileSync(
    path,
    `import { appendFileSync } from "node:fs";
    const log = ${JSON.stringify(join(scratch(), "reads.txt"))};
    const rgb = new Uint8Array(3 * 40 * 40).fill(90);
    export const open = () => ({
      size: ${size},
      classes: [],
      key: (index) => "picture " + index,
      async read(index) {
        ${read}
        return { key: "picture " + index, width: 40, height: 40, rgb, objects: [] };
      },
    });`,
  );
  return openSource({ kind: "module", path });
}

/** How often pictures were read by a source that logs it. */
const reads = () => readFileSync(join(scratch(), "reads.txt"), "utf8").split("\n").length - 1;

/** Everything in a batch, in few characters. */
function digest({ step, keys, global, local, stats }: Batch): string {
  const hash = createHash("sha256").update(JSON.stringify([step, keys, stats]));
  for (const { pixels } of [global, local])
    if ("plans" in pixels) {
      hash.update(JSON.stringify(pixels.plans));
      for (const { rgb, ...frame } of pixels.pictures)
        hash.update(JSON.stringify(frame)).update(rgb);
    } else hash.update(pixels);
  for (const array of [global.visible, global.hidden, global.present, local.present]) {
    hash.update(array);
  }
  return hash.digest("hex").slice(0, 16);
}

async function digests(loader: Loader, count: number): Promise<string[]> {
  const found: string[] = [];
  while (found.length < count) found.push(digest(await loader.next()));
  return found;
}

const undrawn: ViewConfig = { ...views, drawnBy: "device" };

describe.each([
  ["drawn by workers", views],
  ["that the device draws", undrawn],
])("what a batch of views %s holds", (_, views) => {
  test("is the same from one, two and three workers", async () => {
    const source = await coco();
    const [one, two, three] = [
      await digests(await loaderOf(source, { views, workers: 1, batch: 3 }), 5),
      await digests(await loaderOf(source, { views, workers: 2, batch: 3 }), 5),
      await digests(await loaderOf(source, { views, workers: 3, batch: 3 }), 5),
    ];
    expect(new Set(one).size).toBe(5);
    expect(two).toEqual(one);
    expect(three).toEqual(one);
  });

  test("is the same after a resume in the middle of an epoch", async () => {
    const source = await coco();
    const whole = await digests(await loaderOf(source, { views }), 8);
    for (const start of [1, 3, 5]) {
      expect(await digests(await loaderOf(source, { views, start }), 8 - start)).toEqual(
        whole.slice(start),
      );
    }
  });
});

describe("what a batch holds", () => {
  test("is planned alike, whoever draws it", async () => {
    const source = await coco();
    const loader = await loaderOf(source, { batch: 6, views: undrawn });
    const [planned, drawn] = [
      await loader.next(),
      await (await loaderOf(source, { batch: 6 })).next(),
    ];
    expect([planned.keys, planned.stats]).toEqual([drawn.keys, drawn.stats]);
    const order = new Rng("order", 5, 0).permutation(6);
    for (const kind of ["global", "local"] as const) {
      const { pixels, ...others } = planned[kind];
      const { pixels: bytes, ...wanted } = drawn[kind];
      expect(others).toEqual(wanted);
      if (!("plans" in pixels) || "plans" in bytes) throw new Error("drawn by the other one");
      const { size } = others;
      for (const [image, index] of order.entries()) {
        const { rgb, width, height } = await source.read(index);
        const { reduced, ...picture } = pixels.pictures[image]!;
        const room = 3 * Math.ceil((2 * 16) / Math.sqrt(0.05)) ** 2; // of the finest view
        expect(picture.rgb.length).toBeLessThanOrEqual(room);
        expect(reduced[0]).toBeGreaterThan(1); // photographs are large for views of 32 pixels
        for (let view = 0; view < others.views; view += 1) {
          const at = view * 6 + image;
          const plan = pixels.plans[at]!;
          const out = new Uint8Array(3 * size * size);
          drawView({ rgb, width, height }, plan, size, out, plan.steps);
          expect(firstDifference(out, bytes.slice(at * out.length, (at + 1) * out.length))).toBe(
            -1,
          );
        }
      }
    }
    const views4 = imagesOf(planned, 2, 3).local.pixels;
    const all = planned.local.pixels;
    if (!("plans" in views4) || !("plans" in all)) throw new Error("drawn by workers");
    expect(views4.pictures).toEqual(all.pictures.slice(2, 5));
    expect(views4.plans).toEqual(
      [0, 1, 2].flatMap((view) => all.plans.slice(6 * view + 2, 6 * view + 5)),
    );
  });

  test("depends on the seed", async () => {
    const source = await coco();
    const [first] = await digests(await loaderOf(source), 1);
    expect(await digests(await loaderOf(source, { seed: 6 }), 1)).not.toEqual([first]);
  });

  test("is every image once an epoch, in another order in the next", async () => {
    const loader = await loaderOf(await coco());
    expect(loader.stepsPerEpoch).toBe(3);
    const epochs: string[][] = [[], [], []];
    for (let step = 0; step < 9; step += 1) {
      const batch = await loader.next();
      expect([batch.step, batch.size]).toEqual([step, 2]);
      epochs[Math.floor(step / 3)]!.push(...batch.keys);
    }
    for (const keys of epochs) expect(new Set(keys).size).toBe(6);
    expect(new Set(epochs.map((keys) => keys.join())).size).toBeGreaterThan(1);
    expect(loader.stats).toMatchObject({ batches: 9, bad: new Map() });
    expect(loader.stats.waitedSeconds).toBeGreaterThan(0);
  });

  test.each([
    ["one object", {}],
    ["several objects and masked local views", { object: { count: 3 }, locals: { masked: true } }],
  ])("are the views of each image, view-major: %s", async (_, { object, locals }: Changes) => {
    const settings = viewConfig.parse({ ...views, object, locals: { ...views.locals, ...locals } });
    const O = settings.object.count;
    const source = await coco();
    const loader = await loaderOf(source, { batch: 4, views: settings });
    const { keys, objects, global, local, stats } = await loader.next();
    const order = [...new Rng("order", 5, 0).permutation(6)].slice(0, 4);
    expect(keys).toEqual(order.map((index) => source.key(index)));
    expect(objects).toBe(O);
    expect(local.visible !== undefined).toBe(settings.locals.masked);

    const tries = [0, 0];
    let [absent, wanted] = [0, 0];
    for (const [image, index] of order.entries()) {
      const into = newViewSlots(settings, patch);
      const rng = new Rng("views", 5, 0, image);
      const report = makeViews(await source.read(index), settings, patch, rng, into);
      for (const [views, slots] of [
        [global, into.global],
        [local, into.local],
      ] as const)
        for (const [view, slot] of slots.entries())
          for (const [name, array] of Object.entries(slot)) {
            const all: unknown = Reflect.get(views, name);
            if (!(all instanceof Uint8Array)) throw new Error(`no ${name} in the batch`);
            const begin = (view * 4 + image) * array.length;
            expect([...all.subarray(begin, begin + array.length)], name).toEqual([...array]);
          }
      for (const view of [0, 1]) tries[view]! += report.tries[view]! / 4;
      wanted += 2 * Math.max(1, report.objects.length);
      for (const { present } of into.global) {
        const seen = present.reduce((a, b) => a + b, 0);
        absent += Math.max(1, report.objects.length) - seen;
      }
    }
    expect(stats.tries).toEqual(tries);
    expect(stats.absent).toBeCloseTo(absent / wanted, 10);
  });
});

describe("images that cannot be used", () => {
  test("are replaced, counted and named, whatever the number of workers", async () => {
    const torn = ["000000000030.jpg", "000000000536.jpg"];
    const source = await withTorn(...torn);
    const seen: unknown[] = [];
    for (const workers of [1, 2]) {
      const loader = await loaderOf(source, { workers, maxBad: 0.4 });
      const batches: unknown[] = [];
      for (let step = 0; step < 3; step += 1) {
        const batch = await loader.next();
        expect(batch.keys).toHaveLength(2);
        for (const key of batch.keys) expect(torn).not.toContain(key);
        batches.push([digest(batch), batch.stats.skipped]);
      }
      expect([...loader.stats.bad.keys()].toSorted()).toEqual(torn);
      for (const reason of loader.stats.bad.values()) {
        expect(reason).toMatch(/^cannot be decoded \(VipsJpeg: /);
      }
      seen.push(batches);
    }
    expect(seen[1]).toEqual(seen[0]);
  });

  test("end the run when they are too many", async () => {
    const source = await withTorn("000000000030.jpg", "000000000536.jpg");
    const loader = await loaderOf(source); // the default lets one of six pass
    const message = await failure(digests(loader, 3), DataError);
    expect(message).toMatch(
      /^2 images cannot be used; at most 1 may be skipped\. The first of them:\n {2}0.*\n {2}0/,
    );
  });

  test("end the run when no other image helps", async () => {
    const loader = await loaderOf(await withTorn(...readdirSync(join(fixture, "images"))));
    expect(await failure(loader.next(), DataError)).toMatch(
      /^20 images in a row cannot be used; the last one is 0\d+\.jpg: cannot be decoded/,
    );
  });
});

describe("workers", () => {
  test("go on while the main thread is busy", async () => {
    const loader = await loaderOf(await moduleSource(`appendFileSync(log, index + "\\n");`));
    await loader.next();
    const clock = new Int32Array(new SharedArrayBuffer(4));
    // No event reaches this thread in this loop: four batches of two were handed out before.
    for (let turn = 0; turn < 1000 && reads() < 8; turn += 1) Atomics.wait(clock, 0, 0, 20);
    expect(reads()).toBe(8);
  });

  test.runIf(process.platform === "linux")("give way to the training step", async () => {
    const before = getPriority();
    const loader = await loaderOf(
      await moduleSource(`
        const { getPriority } = await import("node:os");
        return { key: "nice " + getPriority(), width: 40, height: 40, rgb, objects: [] };`),
    );
    const { keys } = await loader.next();
    expect(new Set(keys)).toEqual(new Set([`nice ${Math.max(before, 10)}`]));
    expect(getPriority()).toBe(before);
  });

  test("end when the loader closes, used or not, twice", async () => {
    const loader = await loaderOf(await coco());
    await loader.close();
    await loader.close();
    await expect(loader.next()).rejects.toThrow("internal: the loader is closed");
  });

  test("a call that waits is answered when the loader closes", async () => {
    const loader = await loaderOf(
      await moduleSource("await new Promise((done) => setTimeout(done, 300));"),
    );
    const waiting = failure(loader.next(), Error);
    await loader.close();
    expect(await waiting).toBe("internal: the loader is closed");
  });

  test("one that dies is an error", async () => {
    const loader = await loaderOf(await moduleSource("process.exit(7);"));
    expect(await failure(loader.next(), RunError)).toMatch(
      /^a data worker ended unexpectedly at image picture \d+ \(exit code 7\)$/,
    );
  });

  test("a mistake in a source of the user's own is told as its own", async () => {
    const loader = await loaderOf(await moduleSource("index.nothing.at();"));
    expect(await failure(loader.next(), DataError)).toMatch(
      /^data module .*source\.mjs: read\(\d+\) failed: .*'at'/,
    );
  });

  test("a source that cannot be opened again is an error at once", async () => {
    const source = await moduleSource("");
    writeFileSync(join(scratch(), "source.mjs"), "export const nothing = 1;");
    expect(await failure(loaderOf(source), DataError)).toContain('has no function "open"');
  });

  test("an image may have no objects", async () => {
    const batch = await (await loaderOf(await moduleSource(""))).next();
    expect([...batch.global.present, ...batch.local.present]).toEqual(Array(10).fill(0));
    expect(batch.stats.absent).toBe(1);
  });
});

test("a batch larger than the data set is refused", async () => {
  const source = await coco();
  expect(await failure(loaderOf(source, { batch: 7 }), ConfigError)).toBe(
    "a batch of 7 images is larger than the data set of 6; wanted a batch of at most 6 (--batch, optim.batch)",
  );
});

test("errors keep class, message, exit code and fields between threads", () => {
  for (const error of [
    new ConfigError("config"),
    new DataError("data"),
    new BadImageError("a.jpg", "torn"),
    new RunError("run"),
    new OdisError("other", 42),
  ]) {
    const copy = fromWire(structuredClone(toWire(error)));
    expect(copy).toBeInstanceOf(error.constructor);
    expect(copy.message).toBe(error.message);
    expect(Object.entries(copy)).toEqual(Object.entries(error)); // exit code, key, reason, name
  }
});
