import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { type ExploreServer, serveStore } from "../../src/explore/index.js";
import { planeOf, type Store } from "../../src/search/index.js";
import { useBrowser } from "../browser.js";
import { madeStore } from "../search/made-store.js";
import { marked } from "./library.js";

type Point = readonly [x: number, y: number];

/** Objects, and those of them that are all like one another and like no other: every 25th. */
const ALL = 1000;
const planted = Array.from({ length: ALL / 25 }, (_, at) => 25 * at);
const { open } = useBrowser();
const patient = { timeout: 10_000 };
let folder: string;
let store: Store;
let server: ExploreServer;
/** [objects × 2] -1..1 */
let places: Float32Array;

/** Noise that is the same every time, -1..1. */
const noise = (object: number, at: number): number =>
  2 * ((Math.abs(Math.sin(12.9898 * object + 78.233 * at)) * 43_758.545) % 1) - 1;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "odis-test-"));
  const sizes = { shards: 4, images: 50, objects: 5, width: 8 };
  store = madeStore(join(folder, "planted"), sizes, (object, at) =>
    object % 25 === 0
      ? (at === 0 ? 4 : 0) + 0.1 * noise(object, at)
      : (at === 0 ? -1 : 0) + noise(object, at),
  );
  ({ places } = planeOf(store));
  server = await serveStore(store);
});
afterAll(async () => {
  await server.close();
  store[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** Opens the map. @returns where its canvas is */
async function map(page: Page) {
  await page.waitForSelector(".cell img");
  await page.click("#map-button");
  await page.waitForSelector("#map-note:not(:empty)");
  await settled(page);
  return (await page.locator("#map").boundingBox())!;
}

const settled = (page: Page) =>
  page.evaluate("new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done)))");

/** Where an object is on the screen when all of the map is seen. */
function pixelOf(row: number, box: Awaited<ReturnType<typeof map>>): Point {
  const [x, y] = [places[2 * row]!, places[2 * row + 1]!];
  return [
    box.x + box.width / 2 + 0.47 * box.width * x,
    box.y + box.height / 2 - 0.47 * Math.min(box.width, box.height) * y,
  ];
}

const middleOf = (points: readonly Point[]): Point => [
  points.reduce((sum, [x]) => sum + x, 0) / points.length,
  points.reduce((sum, [, y]) => sum + y, 0) / points.length,
];

/** A line round some objects and none of the others, as a hand draws it. */
function lineRound(rows: readonly number[], box: Awaited<ReturnType<typeof map>>) {
  const pixels = rows.map((row) => pixelOf(row, box));
  const [mx, my] = middleOf(pixels);
  const radius = 10 + Math.max(...pixels.map(([x, y]) => Math.hypot(x - mx, y - my)));
  const line = Array.from({ length: 24 }, (_, at): Point => {
    const angle = 2 * Math.PI * (at / 24 - 0.25); // from the top, which is on the map
    return [mx + radius * Math.cos(angle), my + radius * Math.sin(angle)];
  });
  const near = Array.from({ length: ALL }, (_, row) => row).filter((row) => {
    const [x, y] = pixelOf(row, box);
    return Math.hypot(x - mx, y - my) <= radius + 2;
  });
  expect(near).toEqual(rows); // or the test would be wrong
  return line;
}

async function pressed(page: Page, key: string, times: number): Promise<void> {
  for (let time = 0; time < times; time += 1) await page.keyboard.press(key);
}

async function draw(page: Page, line: readonly Point[]): Promise<void> {
  await page.mouse.move(...line[0]!);
  await page.mouse.down();
  for (const point of line) await page.mouse.move(...point);
  await page.mouse.up();
}

/** Rows of all cells of the grid, which is scrolled to its end on the way. */
async function listed(page: Page): Promise<readonly number[]> {
  const rows = new Set<number>();
  await expect
    .poll(async () => {
      const { seen, isEnd } = await page.evaluate<{ seen: string[]; isEnd: boolean }>(`(() => {
        const grid = document.querySelector("#grid");
        const seen = [...grid.querySelectorAll(".cell")].map((cell) => cell.dataset.row ?? "");
        const isEnd = grid.scrollTop + grid.clientHeight >= grid.scrollHeight - 1;
        if (!seen.includes("")) grid.scrollTop += grid.clientHeight / 2;
        return { seen, isEnd };
      })()`);
      if (seen.includes("")) return false;
      for (const row of seen) rows.add(Number(row));
      return isEnd;
    }, patient)
    .toBe(true);
  return [...rows].toSorted((a, b) => a - b);
}

const openedRow = (page: Page): number => Number(marked(page, "object"));

/** Pixels of the map that are strongly coloured. */
async function painted(page: Page) {
  const picture = await page.locator("#map").screenshot();
  const { data, info } = await sharp(picture)
    .removeAlpha()
    .raw()
    .toBuffer({ resolveWithObject: true });
  const paper = 3 * (10 * info.width + 10);
  const isStrong = (at: number): boolean =>
    [0, 1, 2].some((channel) => Math.abs(data[at + channel]! - data[paper + channel]!) >= 100);
  return Array.from({ length: data.length / 3 }, (_, pixel) => 3 * pixel).filter(isStrong).length;
}

const withoutCard = `HTMLCanvasElement.prototype.getContext = new Proxy(HTMLCanvasElement.prototype.getContext, {
  apply: (get, canvas, [kind, ...more]) => kind.startsWith("webgl") ? null : Reflect.apply(get, canvas, [kind, ...more]) })`;

describe.each(["on the graphics card", "on the 2D canvas"])("a map %s", (how) => {
  async function opened(width: number, colorScheme: "light" | "dark" = "light") {
    const { page, problems } = await open(server.url, width, { colorScheme });
    if (how === "on the 2D canvas") {
      await page.addInitScript(withoutCard);
      await page.reload();
    }
    const box = await map(page);
    const kind = await page.evaluate(`document.querySelector("#map").getContext("2d") === null`);
    expect(kind).toBe(how === "on the graphics card");
    return { page, problems, box };
  }

  it.each([
    [1600, "light"],
    [400, "dark"],
  ] as const)("lists what a lasso is drawn round, at %i pixels, %s", async (width, scheme) => {
    const { page, problems, box } = await opened(width, scheme);
    await page.click("#map-lasso");
    await draw(page, lineRound(planted, box));
    const said = page.locator("#status");
    await expect.poll(() => said.textContent(), patient).toBe("40 objects chosen on the map");
    expect(await listed(page)).toEqual(planted);
    await page.click("#map-all");
    await expect
      .poll(() => page.locator(".cell").first().getAttribute("aria-setsize"), patient)
      .toBe(String(ALL));
    expect(await said.textContent()).toBe("");
    expect(await page.locator("#map-all").isVisible()).toBe(false);
    expect(problems).toEqual([]);
    await page.close();
  });

  it("paints every point, and faintly those that are not chosen", async () => {
    const { page, box } = await opened(1600);
    const whole = await painted(page);
    expect(whole).toBeGreaterThan(2000);
    await page.keyboard.down("Shift");
    await draw(page, lineRound(planted, box));
    await page.keyboard.up("Shift");
    await page.waitForSelector("#map-all:not([hidden])");
    await page.mouse.move(5, 5);
    await settled(page);
    const some = await painted(page);
    expect(some).toBeLessThan(whole / 2);
    expect(some).toBeGreaterThan(100);
    await page.close();
  });

  it("opens what is clicked on, after the map was moved and enlarged", async () => {
    const { page, box } = await opened(1600);
    const [x, y] = pixelOf(planted[3]!, box);
    await page.mouse.move(x, y);
    await page.mouse.wheel(0, -2400); // the point stays below the pointer
    await page.mouse.down();
    await page.mouse.move(x - 60, y + 30, { steps: 4 });
    await page.mouse.up();
    await page.mouse.move(x - 59, y + 31);
    await page.waitForSelector("#map-card:not([hidden]) img");
    await page.mouse.click(x - 60, y + 30);
    await page.waitForURL(/object=/);
    // Pixels are whole: it may be another of those that lie there.
    expect(openedRow(page) % 25).toBe(0);
    await page.close();
  });
});

it("a second finger on a map drags and opens nothing", async () => {
  const { page, problems } = await open(server.url, 1600);
  const box = await map(page);
  const [x, y] = pixelOf(planted[3]!, box);
  await page.evaluate(`for (const type of ["pointerdown", "pointerup"])
    document.querySelector("#map").dispatchEvent(new PointerEvent(type, { pointerId: 7,
      isPrimary: false, button: 0, clientX: ${x}, clientY: ${y}, bubbles: true }))`);
  await settled(page);
  expect(new URL(page.url()).hash).toBe("");
  expect(problems).toEqual([]);
  await page.close();
});

it("a map that the graphics card refuses says so", async () => {
  const { page, problems } = await open(server.url, 1600);
  await page.addInitScript(
    "WebGLRenderingContext.prototype.getProgramParameter = () => false; WebGLRenderingContext.prototype.getProgramInfoLog = () => 'no room'",
  );
  await page.reload();
  await page.waitForSelector(".cell img");
  await page.click("#map-button");
  await expect
    .poll(() => page.locator("#status").textContent(), patient)
    .toBe(
      "the map cannot be drawn: this browser's WebGL refuses its points (no room); switch WebGL off, or try another browser",
    );
  expect(problems).toEqual([]);
  await page.close();
});

describe("by keys alone", () => {
  it("comes nearer, lists what is in sight, and goes back", async () => {
    const { page } = await open(server.url, 1600);
    const box = await map(page);
    await page.focus("#map");
    const target = middleOf(planted.map((row) => pixelOf(row, box)));
    let [right, down] = [target[0] - box.x - box.width / 2, target[1] - box.y - box.height / 2];
    for (const larger of [1.5, 1.5, 1.5, 1.5, 1]) {
      const steps = [Math.round(right / 40), Math.round(down / 40)] as const;
      await pressed(page, steps[0] < 0 ? "ArrowLeft" : "ArrowRight", Math.abs(steps[0]));
      await pressed(page, steps[1] < 0 ? "ArrowUp" : "ArrowDown", Math.abs(steps[1]));
      if (larger > 1) await page.keyboard.press("+");
      [right, down] = [larger * (right - 40 * steps[0]), larger * (down - 40 * steps[1])];
    }
    await page.waitForSelector("#map-card:not([hidden])");
    expect(await page.locator("#map-card").textContent()).toMatch(/^class \d$/);
    await pressed(page, "Shift+Tab", 1); // the last button that is in sight
    expect(await page.evaluate("document.activeElement.id")).toBe("map-sight");
    await page.keyboard.press("Enter");
    await expect
      .poll(() => page.locator("#status").textContent(), patient)
      .toBe("40 objects chosen on the map");
    expect(await listed(page)).toEqual(planted);
    await page.focus("#map");
    await page.keyboard.press("Escape");
    await expect
      .poll(() => page.locator(".cell").first().getAttribute("aria-setsize"), patient)
      .toBe(String(ALL));
    await page.keyboard.press("Enter");
    await expect.poll(() => page.url(), patient).toContain("object=");
    expect(openedRow(page) % 25).toBe(0);
    await page.close();
  });
});
