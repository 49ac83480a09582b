import { mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { AxeResults } from "axe-core";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { serveStore, writeLibrary } from "../../src/explore/index.js";
import { openStore, type Store } from "../../src/search/index.js";
import { useBrowser } from "../browser.js";
import { serveFiles } from "./file-server.js";
import { drop, embedded, library, mark, near, photos } from "./library.js";

const axe = readFileSync(createRequire(import.meta.url).resolve("axe-core/axe.min.js"), "utf8");
const { open } = useBrowser();
const photo = join(photos, "images", readdirSync(join(photos, "images")).toSorted()[1]!);
let folder: string;
let store: Store;
const servers: { readonly url: string; close(): Promise<void> }[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "odis-test-"));
  store = openStore(await embedded(folder, library(join(folder, "photos"))));
  const out = join(folder, "page");
  await writeLibrary(store, { out });
  servers.push(await serveStore(store), await serveFiles(out));
});
afterAll(async () => {
  for (const server of servers) await server.close();
  store[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** What axe finds wrong, each with the elements. */
async function violations(page: Page): Promise<readonly string[]> {
  await page.evaluate(axe);
  const found: AxeResults = await page.evaluate("axe.run({ resultTypes: ['violations'] })");
  expect(found.passes.length).toBeGreaterThan(10);
  return found.violations.flatMap(({ id, help, nodes }) =>
    nodes.map(({ html, failureSummary }) => `${id}: ${help}: ${html} ${failureSummary}`),
  );
}

const states: readonly (readonly [name: string, go: (page: Page) => Promise<unknown>])[] = [
  ["the grid", (page) => page.waitForSelector(".cell img")],
  [
    "an object",
    async (page) => {
      await page.locator(".cell").nth(1).click();
      await near(page);
      if (await page.locator("summary").count()) {
        await page.click("summary");
        await page.waitForSelector(".heads canvas");
      }
    },
  ],
  [
    "a photograph of one's own, a box, a point",
    async (page) => {
      await drop(page, photo, "image/jpeg");
      for (const words of ["20,30,140,120", "60,70"]) {
        await mark(page, words);
        expect(await violations(page)).toEqual([]);
      }
    },
  ],
  [
    "the map",
    async (page) => {
      await page.click("text=Close");
      await page.click("#map-button");
      await page.waitForSelector("#map-note:not(:empty)");
      await page.focus("#map");
      await page.click("#map-sight");
      await page.waitForSelector("#map-all:not([hidden])");
    },
  ],
];

describe.each([
  ["served", 0],
  ["of files", 1],
])("a page %s", (_, at) => {
  it.each([
    [1600, "light"],
    [1600, "dark"],
    [400, "light"],
    [400, "dark"],
  ] as const)("has nothing that axe finds wrong, at %i pixels, %s", async (width, colorScheme) => {
    const { page } = await open(servers[at]!.url, width, { colorScheme });
    await page.waitForSelector(".cell img");
    for (const [name, go] of states) {
      await go(page);
      expect(await violations(page), name).toEqual([]);
    }
    await page.close();
  });
});
