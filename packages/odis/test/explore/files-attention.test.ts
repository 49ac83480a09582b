import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import { afterAll, beforeAll, expect, it } from "vitest";
import { serveStore, writeLibrary } from "../../src/explore/index.js";
import { openStore } from "../../src/search/index.js";
import { useBrowser } from "../browser.js";
import { serveFiles } from "./file-server.js";
import { embedded, library, near } from "./library.js";

const { open } = useBrowser();
let folder: string;
let place: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "odis-test-"));
  place = library(join(folder, "photos"));
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Some values of the pixels of all heads' maps of an object in a block. */
async function heads(page: Page, object: number, block: number): Promise<readonly number[][]> {
  await page.locator(".cell").nth(object).click();
  await near(page);
  await page.click("summary");
  await page.waitForSelector(".heads canvas");
  const before = await page.locator(".heads").first().elementHandle();
  if ((await page.inputValue("[aria-label=Block]")) !== String(block)) {
    await page.selectOption("[aria-label=Block]", String(block));
    await before.waitForElementState("hidden");
  }
  return page.evaluate(`[...document.querySelectorAll(".heads canvas")].map((canvas) =>
    [...canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height).data].filter((_, at) => at % 1009 === 0))`);
}

it.each([
  ["[OBJ]", { recipe: "odis" }],
  ["the middle of photographs", { recipe: "odis", frame: "center" }],
  ["[CLS]", { recipe: "ibot" }],
  ["[CLS] and [OBJ]", { recipe: "odis-cls" }],
  ["several [OBJ]", { recipe: "odis-multi", settings: { views: { object: { count: 3 } } } }],
] as const)(
  "a page of files shows where the network looks as a served one does: %s",
  async (_, kind) => {
    const store = openStore(await embedded(folder, place, kind));
    const out = mkdtempSync(join(folder, "page-"));
    await writeLibrary(store, { out });
    const [server, files] = [await serveStore(store), await serveFiles(out)];
    try {
      const { depth } = store.network().recipe.model;
      for (const [object, block] of [
        [3, depth - 1],
        [1, 0],
      ] as const) {
        const shown: (readonly number[][])[] = [];
        for (const { url } of [server, files]) {
          const { page, problems } = await open(url, 1600);
          await page.waitForSelector(".cell img");
          shown.push(await heads(page, object, block));
          expect(problems).toEqual([]);
          await page.close();
        }
        const [served, written] = shown;
        expect(served).toHaveLength(2 * store.network().recipe.model.heads);
        expect(written!.map(({ length }) => length)).toEqual(served!.map(({ length }) => length));
        // Somewhere is more than elsewhere, and the mask changes it: equal blank maps would show nothing.
        expect(new Set(served![0]).size).toBeGreaterThan(3);
        expect(served![0]).not.toEqual(served!.at(-1));
        const apart = served!.flatMap((values, head) =>
          values.map((value, at) => Math.abs(value - written![head]![at]!)),
        );
        // Of 255. The page of files shows the network JPEGs of its own.
        expect(Math.max(...apart)).toBeLessThanOrEqual(16);
        expect(apart.reduce((sum, one) => sum + one, 0) / apart.length).toBeLessThan(2);
      }
      expect(
        JSON.parse(readFileSync(join(out, "library.json"), "utf8")).network.attention.blocks,
      ).toBe(depth);
    } finally {
      await files.close();
      await server.close();
      store.free();
    }
  },
);

it("a page of files whose network was trained on means of patches tells nothing of it", async () => {
  const store = openStore(await embedded(folder, place, { recipe: "odis-pool" }));
  const out = mkdtempSync(join(folder, "page-"));
  await writeLibrary(store, { out });
  const files = await serveFiles(out);
  const { page } = await open(files.url, 1600);
  await page.locator(".cell").first().click();
  await near(page);
  expect(await page.locator("summary").count()).toBe(0);
  await page.close();
  await files.close();
  store.free();
});
