import { cpSync, mkdtempSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { makeScenes } from "odis";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { useBrowser } from "../browser.js";
import { odis } from "../cli/odis.js";
import { randomRun } from "../formats/random-run.js";

const views = { views: { globals: { size: 32 }, locals: { size: 16, count: 0 } } };
let folder: string;
let images: string;
let store: string;
const browser = useBrowser();

/** Scenes, one of them twice: smaller and as a JPEG, under a name that means harm. */
const hostile = '<img src=x onerror="alert(1)">.jpg';

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "odis-test-"));
  const { train } = await makeScenes(join(folder, "scenes"), { train: 60, test: 1 });
  images = join(folder, "images");
  cpSync(train.images, images, { recursive: true });
  const [first] = readdirSync(images).toSorted(); // file systems have orders of their own
  // So near that any network takes it for the same, random ones as well.
  const jpeg = { quality: 100, chromaSubsampling: "4:4:4" };
  await sharp(join(images, first!)).jpeg(jpeg).toFile(join(images, hostile));
  store = join(folder, "store");
  const run = randomRun(folder, "odis", views).path;
  expect(odis(["embed", run, `folder:${images}#whole`, "--out", store]).code).toBe(0);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

describe("odis embed report", () => {
  it("tells what stands out, and writes a page that asks for nothing and runs nothing", async () => {
    const { code, stdout, stderr } = odis(["embed", "report", store, "--clusters", "3"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const [first] = readdirSync(images)
      .filter((name) => name !== hostile)
      .toSorted();
    expect(stdout).toContain("61 images, 61 objects\n");
    expect(stdout).toMatch(/near-duplicates: \d+ images in \d+ groups?/);
    const [line] = stdout.split("\n").filter((text) => text.includes(hostile));
    expect(line).toContain(` = `);
    expect(line).toContain(first);
    expect(stdout).toContain("clusters: 3\n");
    const file = join(store, "report.html");
    expect(stdout).toContain(`report: ${file}\n`);
    for (const width of [400, 1400]) {
      const { page, problems, requests } = await browser.open(file, width);
      expect(problems).toEqual([]);
      expect(requests).toEqual([`file://${file}`]);
      expect(await page.locator("h2").allTextContents()).toEqual([
        "Near-duplicates",
        "Farthest from all others",
        "Labels in doubt",
        "Clusters",
      ]);
      const copies = page.locator("article", { hasText: hostile }).first();
      expect(await copies.locator("li img").count()).toBeGreaterThan(1);
      expect(await page.locator("section").first().textContent()).toContain(hostile);
      expect(await page.locator(".missing").count()).toBe(0);
      expect(await browser.sidewaysScroll(page)).toBe(0);
      await page.close();
    }
  });

  it("writes its page without pictures that are gone, and says so once", () => {
    renameSync(images, `${images}-away`);
    const out = join(folder, "page.html");
    const { code, stderr } = odis(["embed", "report", store, "--out", out]);
    renameSync(`${images}-away`, images);
    expect(code).toBe(0);
    expect(stderr.split("\n").filter((text) => text !== "")).toHaveLength(1);
    expect(stderr).toContain("the pictures of the store: ");
    expect(readFileSync(out, "utf8")).toContain("no picture");
  });

  it("says of how many images near-duplicates were looked for, and of how many neighbours", () => {
    const out = join(folder, "some.html");
    const { code, stdout } = odis(["embed", "report", store, "--limit", "20", "--out", out]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/near-duplicates of 20 of 61 images: /);
    const text = readFileSync(out, "utf8");
    expect(text).toContain(" of 20 of 61 images");
    expect(text).toContain("mean distance to the 10 nearest");
  });

  it("wants a store", () => {
    const { code, stderr } = odis(["embed", "report", images]);
    expect(code).toBe(4);
    expect(stderr).toContain(
      `odis embed report: store ${images}: holds no store.json. Make one: odis embed RUN PLACE --out`,
    );
  });
});
