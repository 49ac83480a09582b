import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import type { PlanInput } from "../../src/compare/plan.js";
import { collect } from "../../src/compare/collect.js";
import type { ComparisonWithCurves } from "../../src/compare/results.js";
import { reportPage } from "../../src/compare/page.js";
import { formatComparison, markdown } from "../../src/compare/tables.js";
import { useBrowser } from "../browser.js";
import { scratchFolder } from "../evaluate/tiny-coco.js";
import { fakeFailure, fakePlan, fakeRun, fakeTraining } from "./fake-comparison.js";

const hostile = "<img src=x onerror=document.title='stolen'>";
const folder = scratchFolder();
const { open, sidewaysScroll, unfold, cutOff } = useBrowser();
afterAll(() => rmSync(folder, { recursive: true }));

const plan: PlanInput = {
  name: "fake",
  title: "A comparison of fakes",
  note: `With ${hostile}`,
  data: { train: "coco:a", test: "coco:b" },
  common: { model: "vit-mini", steps: 1000 },
  seeds: [0, 1, 2],
  rows: [
    { name: "ibot", recipe: "ibot", note: hostile },
    { name: "odis", recipe: "odis", unequal: "it is a test" },
    { name: "broken", recipe: "dino" },
    { name: "late", recipe: "odis-crop" },
  ],
  lines: [
    { name: "iBOT", row: "ibot", inference: "none" },
    { name: "ODIS + masks", row: "odis", inference: "mask" },
  ],
};

const worth = (none: number, mask: number) => ({
  "trained/object/none/knn20/top1": none,
  "trained/object/mask/knn20/top1": mask,
  "trained/image/none/knn20/top1": none,
  "trained/object/mask/linear/top1": mask,
  "untrained/object/none/knn20/top1": 0.1,
});

let collected: ComparisonWithCurves;
let file: string;
beforeAll(() => {
  const out = join(folder, "out");
  mkdirSync(out);
  const { plan: checked, runs } = fakePlan(plan, out);
  for (const run of runs) {
    if (run.row === "ibot") fakeRun(out, run, worth(0.2, 0.3));
    if (run.row === "odis" && run.seed > 0) fakeRun(out, run, worth(0.3, 0.95));
    if (run.name === "odis-s0") fakeFailure(out, run, `step 9: ${hostile}`);
    if (run.name === "broken-s0") fakeTraining(run);
  }
  collected = collect(checked, runs, out);
  file = join(out, "report.html");
  writeFileSync(file, reportPage(collected));
});

describe("what is collected", () => {
  it("is the mean over the seeds that finished, and says what became of the others", () => {
    const [ibot, odis, broken, late] = collected.comparison.rows;
    expect(ibot!.cells["none"]).toMatchObject({ seeds: 3, overImages: true });
    expect(odis!.cells["mask"]).toMatchObject({ seeds: 2 });
    const values = odis!.runs.map((run) => run.values["mask"]);
    expect(values[0]).toBeUndefined();
    expect(odis!.cells["mask"]!.value).toBeCloseTo((values[1]! + values[2]!) / 2, 12);
    expect(odis!.runs.map(({ status }) => status)).toEqual(["failed", "finished", "finished"]);
    expect(broken!.runs.map(({ status }) => status)).toEqual(["waiting", "waiting", "waiting"]);
    expect(late!.cells).toEqual({});
    expect(collected.comparison.baselines).toEqual([
      expect.objectContaining({ name: "untrained network" }),
    ]);
  });

  it("compares only seeds that both rows have, and marks what differs", () => {
    const found = collected.comparison.differences.find(
      ({ of, measure }) => of === "odis" && measure === "mask",
    );
    expect(found).toMatchObject({ to: "ibot", seeds: 2, overImages: true });
    expect(found!.value).toBeGreaterThan(0.4);
    expect(collected.comparison.lines[1]!.difference).toMatchObject({ of: "odis", to: "ibot" });
    expect(collected.comparison.lines[0]!.difference).toBeUndefined();
  });

  it("has the median rate without the first steps, and the peak of the process", () => {
    const { cells } = collected.comparison.rows[0]!;
    expect(cells["rate"]!.value).toBeGreaterThan(140);
    expect(cells["rate"]!.value).toBeLessThan(170);
    expect(cells["memory"]!.value).toBe(5e8);
  });
});

describe("the tables as text", () => {
  it("fit a terminal and name what is missing", () => {
    const text = formatComparison(collected.comparison, false);
    for (const line of text.split("\n")) expect(line.length).toBeLessThanOrEqual(80);
    expect(text).toMatch(/^odis \(2 of 3\) +\d+\.\d ±\d+\.\d/m);
    expect(text).toMatch(/^late \(0 of 3\) +–/m);
    expect(text.replace(/\s+/g, " ")).toContain(`! odis seed 0 failed: step 9: ${hostile}`);
    expect(text).toContain("! odis costs more or less than the others: it is a test");
    expect(text).toMatch(/^iBOT +\d+\.\d ±\d+\.\d$/m);
    expect(text).toMatch(/^ODIS \+ masks +\d+\.\d ±\d+\.\d +\+\d+\.\d \[[+−]\d+\.\d, \+\d+\.\d\]/m);
  });

  it("are Markdown tables with equal columns, and have the commands", () => {
    const text = markdown(collected.comparison);
    const blocks = text.split("\n\n").filter((block) => block.startsWith("|"));
    expect(blocks.length).toBeGreaterThan(4);
    for (const block of blocks) {
      const widths = block.split("\n").map((line) => line.split("|").length);
      expect(new Set(widths).size).toBe(1);
    }
    expect(text).toContain("odis pretrain --data coco:a --out ");
  });
});

describe("the report", () => {
  it.each([400, 1200])("opens in a browser without errors or requests at %i px", async (width) => {
    const { page, problems, requests } = await open(file, width);
    expect(problems).toEqual([]);
    expect(requests).toHaveLength(1);
    expect(await page.title()).toBe("A comparison of fakes – odis comparison");
    await unfold(page);
    expect(await sidewaysScroll(page)).toBeLessThanOrEqual(0);
    expect(await cutOff(page)).toEqual([]);
    await page.close();
  });

  it("shows every row, what went wrong as text, and the commands of every run", async () => {
    const { page } = await open(file, 1200);
    const rows = page.locator("table").first().locator("tbody th");
    expect(await rows.allTextContents()).toEqual([
      "ibot",
      "odis (2 of 3)",
      "broken (0 of 3)",
      "late (0 of 3)",
      "untrained network",
    ]);
    expect(await page.locator("img").count()).toBe(0);
    expect(await page.locator("ul.plain li").allTextContents()).toEqual([
      "odis costs more or less than the others: it is a test",
      `odis seed 0 failed: step 9: ${hostile}`,
    ]);
    const shown = (await page.locator("pre").allTextContents()).join("\n");
    for (const { runs } of collected.comparison.rows)
      for (const { commands } of runs) {
        expect(shown).toContain(commands.pretrain);
        expect(shown).toContain(commands.evaluate);
      }
    await page.close();
  });

  it("marks what differs by weight and sign, not by colour alone", async () => {
    const { page } = await open(file, 1200);
    const marked = page.locator("td.differs");
    expect(await marked.count()).toBeGreaterThan(0);
    for (const text of await marked.allTextContents()) expect(text).toContain("*");
    expect(await page.locator("td:not(.differs)", { hasText: "*" }).count()).toBe(0);
    await page.close();
  });

  it("draws three curves for each row that trained, one line a seed", async () => {
    const { page } = await open(file, 1200);
    const curves = page.locator("section", { has: page.locator("h2", { hasText: "Curves" }) });
    expect(await curves.locator("h3").allTextContents()).toEqual(["ibot", "odis", "broken"]);
    expect(await curves.locator("figure.chart").count()).toBe(9);
    expect(await curves.locator("figure.chart").first().locator("path.line").count()).toBe(
      2 * 3, // and in the legend
    );
    expect(await page.locator("svg[role=img]:not([aria-label])").count()).toBe(0);
    await page.close();
  });

  it("of nothing says so", async () => {
    const out = join(folder, "nothing");
    const { plan: checked, runs } = fakePlan(plan, out);
    mkdirSync(out);
    const empty = join(out, "report.html");
    writeFileSync(empty, reportPage(collect(checked, runs, out)));
    const { page, problems } = await open(empty, 1200);
    expect(problems).toEqual([]);
    expect(await page.locator("main").textContent()).toContain("No run is finished yet.");
    await page.close();
  });
});
