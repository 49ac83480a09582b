import { spawnSync } from "node:child_process";
import { appendFileSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { shellWord } from "../../src/core/text.js";
import { evaluateRun, readEvaluation } from "../../src/evaluate/run.js";
import { writeReport } from "../../src/report/run.js";
import { savePosition } from "../../src/run/session.js";
import { recipeSchema } from "../../src/recipe/schema.js";
import { savedState } from "../../src/train/saved.js";
import { createState } from "../../src/train/state.js";
import { type Opened, useBrowser } from "../browser.js";
import { odisProgram } from "../cli/odis.js";
import { emptyRun, metricsRows, writeJsonLines } from "../evaluate/fake-run.js";
import { scratchFolder, tinyCoco } from "../evaluate/tiny-coco.js";

const recipe = recipeSchema.parse({
  name: "tiny",
  model: { dim: 32, depth: 2, heads: 2, patch: 8 },
  head: { hidden: 16, bottleneck: 8, prototypes: 64 },
  views: { globals: { size: 32 }, locals: { size: 16, count: 2 } },
});
const hostile = "<img src=x onerror=document.title='stolen'>.png";
const folder = scratchFolder();
afterAll(() => rmSync(folder, { recursive: true }));
const { open, sidewaysScroll, unfold, cutOff } = useBrowser();

describe("the report of a run that has only begun", () => {
  let file: string;
  beforeAll(async () => {
    const data = await tinyCoco(join(folder, "begun-data"), ["a.png", hostile, "c.png"], 2);
    const run = emptyRun(join(folder, "begun"), recipe, data);
    writeJsonLines(join(run, "metrics.jsonl"), metricsRows(30, recipe));
    appendFileSync(join(run, "metrics.jsonl"), '{"step":30,"epo'); // a killed run
    writeJsonLines(join(run, "skipped.jsonl"), [
      { step: 3, key: hostile, reason: "is <b>not</b> a picture" },
      { step: 9, key: hostile, reason: "is <b>not</b> a picture" },
    ]);
    file = await writeReport(run);
  });

  it.each([400, 1200])("opens in a browser without errors or requests at %i px", async (width) => {
    const { page, problems, requests } = await open(file, width);
    expect(problems).toEqual([]);
    expect(requests).toEqual([pathToFileURL(file).href]);
    expect(await page.title()).toBe("begun – odis report");
    expect(await sidewaysScroll(page)).toBeLessThanOrEqual(0);
    await page.close();
  });

  it("shows three images with two global and two local views each, and ten curves", async () => {
    const { page } = await open(file, 1200);
    expect(await page.locator("section .views svg.picture").count()).toBe(3 * 3);
    expect(await page.locator("img.local").count()).toBe(3 * 2);
    expect(await page.locator("figure.chart").count()).toBe(10);
    expect(await page.locator("figure.chart .reference text").textContent()).toBe("ln K = 4.159");
    expect(await page.locator(".hover title").first().textContent()).toContain("step 0: total ");
    await page.close();
  });

  it("shows names of files as text", async () => {
    const { page } = await open(file, 1200);
    expect(await page.locator("ul.plain li").allTextContents()).toEqual([
      `${hostile}: is <b>not</b> a picture`,
    ]);
    expect(await page.locator("img[onerror]").count()).toBe(0);
    expect(await page.locator(".views figcaption", { hasText: hostile }).count()).toBe(1);
    await page.close();
  });

  it("says first what it is, and what is likely to come", async () => {
    const { page } = await open(file, 1200);
    const [what, ability, outlook] = await page.locator("header .verdict p").allTextContents();
    expect(what).toMatch(
      /^This is a Vision Transformer \(32 wide, .* from 3 images and the objects/,
    );
    expect(ability).toBe("What it can do has not been measured yet.");
    expect(outlook).toContain("The run has done 30 of ");
    await page.close();
  });

  it("says what is not there yet", async () => {
    const { page } = await open(file, 1200);
    const text = (await page.locator("main").textContent()) ?? "";
    expect(text).toContain("Not evaluated yet");
    expect(text).toContain("No attention maps: they need a checkpoint");
    await page.close();
  });
});

describe("the report of a run that was evaluated", () => {
  let file: string;
  let opened: Opened;
  beforeAll(async () => {
    const data = await tinyCoco(
      join(folder, "done-data"),
      Array.from({ length: 20 }, (_, i) => `picture ${i}.png`),
      3,
    );
    const run = emptyRun(join(folder, "it's done"), recipe, data);
    const config: unknown = JSON.parse(readFileSync(join(run, "config.json"), "utf8"));
    const state = createState(recipe);
    savePosition(join(run, "checkpoints"), config, savedState(state), { step: 40, seconds: 9 }, 2);
    await evaluateRun(run, {
      data: { train: data },
      k: [3, 1],
      suites: ["knn", "linear", "dense"],
      probe: { epochs: 5 },
      limit: 40,
    });
    const missing: string[] = [];
    file = await writeReport(run, { onMissing: (part) => missing.push(part) });
    expect(missing).toEqual([]);
    opened = await open(file, 1200);
  });
  afterAll(() => opened.page.close());

  it("says first how good it is, against what needs no training", async () => {
    const { page } = opened;
    const said = await page.locator("header .verdict p").allTextContents();
    expect(said[1]).toMatch(
      /^In \d+\.\d % of cases it recognises an object that its mask points at, by the vote of the 3 most similar known ones\. For comparison: raw pixels, without any network, 100\.0 %, the same network untrained \d+\.\d %, always the most frequent class 50\.0 %, guessing among 2 classes 50\.0 %\.$/,
    );
    expect(said[2]).toMatch(/Only 4 images were tested: all this may change\.$/);
  });

  it("can be evaluated again by the line that it shows", async () => {
    const { page } = opened;
    const line = (await page.locator("pre").first().textContent())!.split("\n").at(-1)!;
    const run = join(folder, "it's done");
    const before = readEvaluation(run)!;
    expect(before.settings).toMatchObject({ limit: 40, k: [3, 1] });
    const here = `set -e; odis() { node ${shellWord(odisProgram)} "$@"; }; `;
    const again = line.replace("NEW_FOLDER", shellWord(run));
    const { status, stderr } = spawnSync("sh", ["-c", here + again], { encoding: "utf8" });
    expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
    const { settings, measurements } = readEvaluation(run)!;
    expect({ ...settings, k: [3, 1] }).toEqual(before.settings);
    // The command line asks for one k; it is the first, and the usual ones follow.
    const shared = before.measurements.filter(({ name }) => !name.includes("/knn1/"));
    expect(shared.length).toBeGreaterThan(10);
    expect(measurements).toEqual(expect.arrayContaining([...shared]));
  });

  it("has the table with intervals, and says what was compared", async () => {
    const { page, problems } = opened;
    expect(problems).toEqual([]);
    const table = page.locator("table").first();
    expect(await table.locator("thead th").allTextContents()).toEqual([
      "",
      "raw pixels",
      "untrained network",
      "trained teacher",
    ]);
    expect(await table.locator("tbody th").allTextContents()).toEqual([
      "with mask",
      "no mask",
      "image, with mask",
      "image, no mask",
    ]);
    expect(await table.locator("td").first().textContent()).toBe("100.0 [100.0, 100.0]");
    expect(await page.locator("caption").allTextContents()).toEqual([
      "k-NN top-1, per cent, k = 3 [95 % interval, whole images resampled]",
      "linear top-1, per cent [95 % interval, whole images resampled]",
      "segmentation by patches, mIoU, per cent [95 % interval, whole images resampled]",
      "top-1 / top-5, per cent",
      "per cent that they were chosen by, on images of the bank held out from training",
    ]);
    const text = (await page.locator("main").textContent())?.replace(/\s+/g, " ") ?? "";
    expect(text).toContain("The bank has 32 objects in 16 images; 8 objects in 4 other images");
    expect(text).toContain("Test images were held out from the bank, but pretraining saw them");
  });

  it("shows attention with mask and without, and neighbours marked by sign and name", async () => {
    const { page } = opened;
    expect(await page.locator(".maps svg.picture").count()).toBe(4 * 3);
    expect(await page.locator(".strip").count()).toBe(8);
    expect(await page.locator(".strip li").count()).toBe(8 * 6);
    const first = page.locator(".strip li").first();
    const right = (await first.getAttribute("class")) === "right";
    expect(await first.locator(".mark").textContent()).toBe(right ? "✓" : "✗");
    expect(await first.locator(".mark").getAttribute("aria-label")).toBe(right ? "right" : "wrong");
  });

  it("shows every picture, and each has words for those who do not see it", async () => {
    const { page } = opened;
    const broken = await page.evaluate(
      "[...document.images].filter((image) => !image.naturalWidth || !image.hasAttribute('alt')).length",
    );
    expect(broken).toBe(0);
    expect(await page.locator("svg[role=img]:not([aria-label])").count()).toBe(0);
  });

  it("fits a phone", async () => {
    const { page } = await open(file, 400);
    await unfold(page);
    expect(await page.locator("td[data-column='learning rate']").first().isVisible()).toBe(true);
    expect(await sidewaysScroll(page)).toBeLessThanOrEqual(0);
    expect(await cutOff(page)).toEqual([]);
    await page.close();
  });
});

it("of an evaluation without k-NN shows attention all the same, and where neighbours come from", async () => {
  const data = await tinyCoco(
    join(folder, "attributes-data"),
    Array.from({ length: 12 }, (_, i) => `p${i}.png`),
    4,
  );
  const run = emptyRun(join(folder, "attributes"), recipe, data);
  const config: unknown = JSON.parse(readFileSync(join(run, "config.json"), "utf8"));
  const state = createState(recipe);
  savePosition(join(run, "checkpoints"), config, savedState(state), { step: 40, seconds: 9 }, 2);
  await evaluateRun(run, { data: { train: data }, suites: ["attributes"], modes: ["mask"] });
  const { page } = await open(await writeReport(run), 1200);
  expect(
    await page.locator("caption", { hasText: "beside the class, with mask: R²" }).count(),
  ).toBe(1);
  expect(await page.locator(".maps svg.picture").count()).toBeGreaterThan(0);
  expect(await page.locator("main").textContent()).toContain(
    "No neighbours: they need an evaluation of the run by k-NN",
  );
  await page.close();
});

it("stays whole when its metrics are not numbers, or beyond all numbers", async () => {
  const data = await tinyCoco(join(folder, "wild-data"), ["a.png", "b.png"], 2);
  const run = emptyRun(join(folder, "wild"), recipe, data);
  const wild = [1e308, -1e308, 1e300, null, "NaN", [], 5e-324, true];
  const rows = metricsRows(wild.length, recipe).map((row, at) =>
    Object.fromEntries(
      Object.entries(row).map(([key, value]) => [key, key === "step" ? value : wild[at]]),
    ),
  );
  const odd = [{ step: 1e300, loss: 1 }, { step: -1 }, { loss: 2 }, [], null, { step: 0.5 }];
  writeJsonLines(join(run, "metrics.jsonl"), [...rows, ...(odd as object[])]);
  const { page, problems } = await open(await writeReport(run), 400);
  expect(problems).toEqual([]);
  const markup = await page.content();
  expect(markup).not.toMatch(/="[^"]*(NaN|Infinity|undefined|\d{40})/);
  expect(await page.locator(".facts").textContent()).toContain(`steps${wild.length}`);
  await page.close();
});

it("shows a source of two members, whose classes have no names, and hostile words as text", async () => {
  const module = join(folder, "source.mjs");
  writeFileSync(
    module,
    `const rgb = Uint8Array.from({ length: 3 * 64 * 64 }, (_, i) => (i * 7) % 251);
     const object = { id: 1, label: -1, area: 1024, box: { x: 8, y: 8, width: 32, height: 32 },
       pixels: () => Uint8Array.from({ length: 64 * 64 }, (_, i) => Number(i % 64 >= 8 && i % 64 < 40 && i >= 512 && i < 2560)) };
     export const open = () => ({ size: 3, read: () => ({ width: 64, height: 64, rgb, objects: [object] }) });`,
  );
  const run = emptyRun(join(folder, "two-members"), recipe, { kind: "module", path: module });
  const key = "a\u0000b\u202egnp.exe<script>alert(1)</script>";
  writeJsonLines(join(run, "skipped.jsonl"), [{ step: 3, key, reason: "x\u001b[2J" }]);
  const missing: string[] = [];
  const file = await writeReport(run, { onMissing: (part) => missing.push(part) });
  expect(missing).toEqual(["checkpoint"]);
  const { page, problems } = await open(file, 1200);
  expect(problems).toEqual([]);
  expect(await page.locator("section .views").count()).toBe(3);
  expect(await page.locator("ul.plain li").allTextContents()).toEqual([
    "a\ufffdb\ufffdgnp.exe<script>alert(1)</script>: x\ufffd[2J",
  ]);
  await page.close();
});

it("renders without metrics and without its data, and says why", async () => {
  const data = { kind: "coco", images: "/no/such", annotations: "/no/such.json" } as const;
  const missing: string[] = [];
  const file = await writeReport(emptyRun(join(folder, "bare"), recipe, data), {
    onMissing: (part, reason) => missing.push(`${part}: ${reason}`),
  });
  const text = readFileSync(file, "utf8");
  expect(text).toContain("No metrics yet.");
  expect(text).toContain("the training data could not be read");
  expect(missing).toHaveLength(2);
  expect(missing[0]).toContain("training data: ");
  expect(missing[1]).toContain("no checkpoint was written yet");
});

it("refuses a folder that is no run", async () => {
  await expect(writeReport(join(folder, "nowhere"))).rejects.toThrow("does not exist");
  const run = emptyRun(join(folder, "odd"), recipe, { kind: "module", path: "x.js" });
  writeFileSync(join(run, "config.json"), '{"recipe":{"seed":"seven"}}');
  await expect(writeReport(run)).rejects.toThrow(
    "its configuration is not one of this release: recipe.seed",
  );
});
