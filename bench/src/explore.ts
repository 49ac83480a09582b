import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { createInterface } from "node:readline";
import { setTimeout } from "node:timers/promises";
import { chromium, type Page } from "playwright-core";
import sharp from "sharp";
import { formatCounts } from "../../packages/odis/dist/objects/index.js";
import { writeMadeStore } from "./made-store.js";
import { computedSeconds, median, residentBytes } from "./measure.js";
import { local, photographs } from "./places.js";
import { duration, megabytes, printTable } from "./table.js";

/** 100,000 objects: shards, images in each, objects in an image. */
const [SHARDS, IMAGES, OBJECTS, WIDTH, CLASSES] = [160, 125, 5, 384, 40];
/** Cut out of real photographs; every store's image shows one of them. */
const [PICTURES, SIDE] = [300, 160] as const;
const photos = join(photographs, "images");
/** Frames of each kind of scrolling; clicks. */
const [FRAMES, CLICKS] = [240, 7];
const smooth = 1 / 30;
/** Milliseconds between clicks. */
const RESTING = 500;
/** Milliseconds after which nobody waits any more. */
const PATIENCE = 300_000;
/** Whether the cells in sight have their pictures. */
const complete = `(() => {
  const all = [...document.querySelectorAll(".cell img")];
  return all.length > 20 && all.every((one) => one.complete);
})()`;

/**
 * The explorer's page on 100,000 objects, served by `odis explore` in a process of its own, in Chromium
 * without a graphics card: until it can be used, frames while somebody scrolls, answers to clicks, the map,
 * memory.
 */
export async function benchExplore(): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), "odis-bench-"));
  const chrome = await chromium.launchServer({
    executablePath: "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-background-networking", "--enable-precise-memory-info"],
  });
  const browser = await chromium.connect(chrome.wsEndpoint());
  let server: ChildProcess | undefined;
  try {
    await writeStore(folder);
    const began = performance.now();
    const program = local("../../packages/odis/dist/cli/main.js");
    server = spawn(process.execPath, [program, "explore", join(folder, "store"), "--port", "0"], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    const ended = once(server, "exit").then(([code]) => {
      throw new Error(`the server ended with ${code} before its address was printed`);
    });
    const [line] = (await Promise.race([once(createInterface(server.stdout!), "line"), ended])) as [
      string,
    ];
    const started = (performance.now() - began) / 1000;
    const page = await browser.newPage({ viewport: { width: 1600, height: 900 } });
    const computed = (): number =>
      computedSeconds(chrome.process().pid!) + computedSeconds(server!.pid!);
    const memory = async (): Promise<string> =>
      `${megabytes(await page.evaluate<number>("performance.memory.usedJSHeapSize"))}, ${megabytes(residentBytes(server!.pid))}`;
    printTable(`explorer, ${SHARDS * IMAGES * OBJECTS} objects of ${WIDTH} numbers`, [
      [
        "",
        "median",
        "95th of 100",
        "longest",
        "over 33 ms",
        "CPU time",
        "script's, server's memory",
      ],
      ["starting the server", duration(started), "", "", "", "", ""],
      ...(await measured(page, line.split(/\s/)[0]!, { memory, computed })),
    ]);
  } finally {
    await browser.close();
    await chrome.close();
    if (server && server.exitCode === null && server.signalCode === null) {
      server.kill();
      await once(server, "exit");
    }
    rmSync(folder, { recursive: true });
  }
}

interface Costs {
  readonly memory: () => Promise<string>;
  /** seconds of browser and server: what other programs do beside changes it little */
  readonly computed: () => number;
}

async function measured(page: Page, url: string, costs: Costs): Promise<string[][]> {
  const { memory, computed } = costs;
  const timed = async (name: string, work: () => Promise<unknown>): Promise<string[]> => {
    const [began, before] = [performance.now(), computed()];
    await work();
    const taken = (performance.now() - began) / 1000;
    return [name, duration(taken), "", "", "", duration(computed() - before), await memory()];
  };
  const frames = async (name: string, what: string): Promise<string[]> => {
    const before = computed();
    const taken = await framesOf(page, what);
    const cost = (computed() - before) / taken.length;
    const sorted = taken.toSorted((a, b) => a - b);
    return [
      name,
      duration(median(taken)),
      duration(sorted[Math.floor(0.95 * sorted.length)]!),
      duration(sorted.at(-1)!),
      `${sorted.filter((one) => one > smooth).length} of ${sorted.length}`,
      `${duration(cost)} a frame`,
      await memory(),
    ];
  };
  const rows = [
    await timed("page until its pictures are there", async () => {
      await page.goto(url);
      await pictures(page);
    }),
    await frames("nothing done", ""),
    await frames("scrolling by 40 pixels a frame", "grid.scrollTop += 40"),
    await frames("scrolling by 400 pixels a frame", "grid.scrollTop += 400"),
    await frames(
      "jumping to and fro",
      "if (at % 15 === 0) grid.scrollTop = grid.scrollHeight * ((at * 0.618) % 1)",
    ),
    await frames("scrolling back by 400", "grid.scrollTop -= 400"),
  ];
  rows.push(await clicks(page, costs));
  rows.push(
    await timed("map, first time", async () => {
      await page.click("#map-button");
      await page.waitForSelector("#map-classes li", { timeout: PATIENCE });
    }),
    await frames(
      "enlarging the map",
      `map.dispatchEvent(new WheelEvent("wheel", { deltaY: -20, clientX: 700, clientY: 300, cancelable: true }))`,
    ),
  );
  return rows;
}

/** The name of a cell in the middle of the grid. */
async function inSight(page: Page, x: number): Promise<string> {
  await pictures(page);
  return page.evaluate<string>(
    `document.elementFromPoint(${x}, innerHeight / 2).closest(".cell").id`,
  );
}

/** Waits until the cells in sight have their pictures: the page's policy forbids to do it by a script's text. */
async function pictures(page: Page): Promise<void> {
  const latest = performance.now() + PATIENCE;
  while (!(await page.evaluate<boolean>(complete))) {
    if (performance.now() > latest)
      throw new Error(`the page's pictures were not there after ${PATIENCE / 1000} seconds`);
    await setTimeout(10);
  }
}

/** From a press on an object in sight until what is like it is listed; the first one reads all vectors. */
async function clicks(page: Page, { memory, computed }: Costs): Promise<string[]> {
  const taken: number[] = [];
  const before = computed();
  for (let click = 0; click < CLICKS; click += 1) {
    await setTimeout(RESTING); // the grid is laid out anew once it has all the room again
    const cell = page.locator(`#${await inSight(page, 160 + 200 * click)}[data-row]`);
    await cell.click({ trial: true }); // only waits until it can be pressed
    const began = performance.now();
    await cell.click({ force: true });
    await page.waitForSelector("#detail:not([aria-busy]) .near li", { timeout: PATIENCE });
    taken.push((performance.now() - began) / 1000);
    await page.click("text=Close");
  }
  return [
    "a click's answer (longest: the first)",
    duration(median(taken)),
    "",
    duration(Math.max(...taken)),
    "",
    `${duration((computed() - before) / CLICKS)} each`,
    await memory(),
  ];
}

/** Seconds between frames while something is done in each. */
async function framesOf(page: Page, what: string): Promise<number[]> {
  return page.evaluate(`new Promise((done) => {
    const [grid, map] = ["grid", "map"].map((id) => document.getElementById(id));
    const taken = [];
    let [before, at] = [performance.now(), 0];
    const frame = (now) => {
      taken.push((now - before) / 1000);
      before = now;
      at += 1;
      ${what};
      if (at <= ${FRAMES}) requestAnimationFrame(frame);
      else done(taken.slice(1));
    };
    requestAnimationFrame(frame);
  })`);
}

/** Pictures, and a store of them. */
async function writeStore(folder: string): Promise<void> {
  const pictures = join(folder, "pictures");
  mkdirSync(pictures);
  const names = await writePictures(pictures);
  const rle = formatCounts([SIDE * 20, SIDE * 100, SIDE * (SIDE - 120)]);
  const centres = Array.from({ length: CLASSES * WIDTH }, (_, at) => Math.sin(1 + at ** 2));
  writeMadeStore(join(folder, "store"), {
    shards: SHARDS,
    images: IMAGES,
    objects: OBJECTS,
    width: WIDTH,
    place: `folder:${pictures}`,
    image: (image) => ({
      image: names[image % names.length]!,
      width: SIDE,
      height: SIDE,
      objects: Array.from({ length: OBJECTS }, (_, id) => ({
        id,
        box: [20 + 4 * id, 10 * id, 100, 90] as [number, number, number, number],
        rle,
        class: `class ${(image * OBJECTS + id) % CLASSES}`,
      })),
    }),
    vector: (object) =>
      Float32Array.from(
        { length: WIDTH },
        (_, at) =>
          centres[(object % CLASSES) * WIDTH + at]! +
          Math.sin(7 * object + (object * WIDTH + at) ** 2),
      ),
  });
}

/** Squares out of real photographs. @returns their names */
async function writePictures(folder: string): Promise<readonly string[]> {
  const sources = await Promise.all(
    readdirSync(photos).map(async (name) => {
      const photo = join(photos, name);
      const { width, height } = await sharp(photo).metadata();
      return { photo, across: width - SIDE, down: height - SIDE };
    }),
  );
  return Promise.all(
    Array.from({ length: PICTURES }, async (_, at) => {
      const { photo, across, down } = sources[at % sources.length]!;
      const cut = { left: (at * 37) % across, top: (at * 53) % down, width: SIDE, height: SIDE };
      await sharp(photo)
        .extract(cut)
        .jpeg()
        .toFile(join(folder, `${at}.jpg`));
      return `${at}.jpg`;
    }),
  );
}
