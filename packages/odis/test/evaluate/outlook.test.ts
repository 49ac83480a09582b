import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { parseDataSpec } from "../../src/data/index.js";
import { evaluateOutlook, readOutlook } from "../../src/evaluate/outlook.js";
import { evaluateRun, readEvaluation } from "../../src/evaluate/run.js";
import { makeReport } from "../../src/report/run.js";
import { shippedCurve } from "../../src/run/shipped.js";
import { odis, odisProgram } from "../cli/odis.js";
import { scratchFolder } from "../scratch.js";
import { tinyData, tinyRun } from "../run/tiny-run.js";

const scratch = scratchFolder();
const shipped = "vit-mini-scenes";

describe("where longer training leads", () => {
  let data = "";
  let run = "";
  beforeAll(async () => {
    data = await tinyData();
    run = join(data, "run");
    expect(odis(tinyRun(data, run, "--steps", "3")).code).toBe(0);
  });

  it("is what evaluating the other network alone says, and stands in the report", async () => {
    const own = { train: parseDataSpec(`coco:${data}`) };
    await expect(evaluateOutlook(run, shipped)).rejects.toThrow(
      `${run}: has no evaluation with a figure to set another network beside. Evaluate it first: odis evaluate ${run}`,
    );
    await expect(evaluateOutlook(run, run)).rejects.toThrow(
      /: no network of that name comes with odis; wanted one of .*vit-mini-scenes/,
    );
    await evaluateRun(run, { data: own, size: 32, limit: 12 });
    const before = readFileSync(join(run, "evaluation.json"), "utf8");
    const outlook = await evaluateOutlook(run, shipped);
    expect(readOutlook(run, readEvaluation(run))).toEqual(outlook);
    expect(readFileSync(join(run, "evaluation.json"), "utf8")).toBe(before);
    expect(outlook.same).toBe(false);

    const words = ["evaluate", shipped, "--train", `coco:${data}`, "--size", "32", "--limit", "12"];
    const alone = odis([...words, "--baselines", "no"], { cwd: scratch() });
    expect(alone.stderr).not.toMatch(/^odis/m);
    const { measurements, step } = readEvaluation(join(scratch(), shipped))!;
    const { value, low, high } = measurements.find(
      ({ name }) => name === "trained/object/mask/knn20/top1",
    )!;
    expect(outlook).toMatchObject({ step, value, low, high });

    const { file, verdict } = await makeReport(run);
    expect(verdict.at(-1)).toMatch(
      /^Where it leads: a network like it after [\d,]+ steps \(vit-mini-scenes, which comes with odis, .* of one core\) reaches [\d.]+ % in the same test\. This run has done 0\.\d % of those steps\.$/,
    );
    const html = readFileSync(file, "utf8");
    expect(html).toContain("Where longer training leads");
    expect(html).toContain("this run");

    await evaluateRun(run, { data: own, size: 32, limit: 12, modes: ["none"] });
    expect(readOutlook(run, readEvaluation(run))).toBeUndefined();
    expect((await makeReport(run)).verdict.at(-1)).not.toContain("Where it leads");
  });

  it("is told as damaged, not as nothing", () => {
    const folder = join(scratch(), "damaged");
    mkdirSync(folder);
    const evaluation = { outcomes: "ab" };
    expect(readOutlook(folder, evaluation)).toBeUndefined();
    const file = join(folder, "outlook.json");
    const unmeasured = { value: null, low: null, high: null };
    writeFileSync(
      file,
      JSON.stringify({ ...evaluation, network: shipped, step: 3, same: true, ...unmeasured }),
    );
    expect(readOutlook(folder, evaluation)).toMatchObject({ value: NaN, low: NaN, high: NaN });
    expect(readOutlook(folder, { outcomes: "cd" })).toBeUndefined();
    expect(readOutlook(folder, undefined)).toBeUndefined();
    // As the first release with outlooks wrote it: of which evaluation it was, nobody knows.
    const old = { network: shipped, step: 29_000, same: true, value: 0.5, low: 0.4, high: 0.6 };
    writeFileSync(file, `${JSON.stringify(old, null, 1)}\n`);
    for (const one of [evaluation, undefined]) expect(readOutlook(folder, one)).toBeUndefined();
    writeFileSync(file, '{ "network": 3 }');
    expect(() => readOutlook(folder, evaluation)).toThrow(
      /outlook\.json: damaged; delete it and write the report again\.$/,
    );
  });

  it("is found out by a trial of the very processes that will train", async () => {
    // Compiled: what is loaded into every process lies beside it.
    const compiled = new URL("../../dist/run/index.js", import.meta.url).href;
    const { trialSpeed } = (await import(compiled)) as typeof import("../../src/run/index.js");
    const words = tinyRun(data, "nowhere").filter(
      (word, at, all) => word !== "--out" && all[at - 1] !== "--out",
    );
    const perSecond = await trialSpeed([odisProgram, ...words], 2);
    expect(perSecond).toBeGreaterThan(0);
    expect(Number.isFinite(perSecond)).toBe(true);
    await expect(trialSpeed([odisProgram, ...words, "--batch", "3"], 2)).rejects.toThrow(
      /optim\.batch/,
    );
  });
});

describe("the curve of the network that comes with odis", () => {
  it("rises to what its card says", () => {
    const { points, batch, seconds } = shippedCurve(shipped)!;
    const steps = points.map(({ step }) => step);
    expect(steps).toEqual(steps.toSorted((a, b) => a - b));
    expect(steps[0]).toBe(0);
    expect(batch).toBe(64);
    expect(seconds).toBeGreaterThan(0);
    const { mask, none } = points.at(-1)!;
    const card = readFileSync(
      new URL(`../../weights/${shipped}/README.md`, import.meta.url),
      "utf8",
    );
    for (const share of [mask, none]) expect(card).toContain((100 * share).toFixed(1));
  });

  it("need not be there, but must be one", () => {
    const place = join(scratch(), "weights", "mine");
    mkdirSync(place, { recursive: true });
    writeFileSync(join(place, "model.safetensors"), "");
    const before = process.env["ODIS_WEIGHTS"];
    process.env["ODIS_WEIGHTS"] = join(scratch(), "weights");
    try {
      expect(shippedCurve("mine")).toBeUndefined();
      writeFileSync(join(place, "curve.json"), '{ "batch": 0 }');
      expect(() => shippedCurve("mine")).toThrow(
        /curve\.json: not the curve of a training: batch: .*\. Take it away: the network needs none\.$/,
      );
      writeFileSync(join(place, "curve.json"), '{ "batch": ');
      expect(() => shippedCurve("mine")).toThrow(
        /curve\.json: not the curve of a training: it is no JSON\. Take/,
      );
      const points = [4, 4].map((step) => ({ step, mask: 0.5, none: 0.5 }));
      const curve = { batch: 1, threads: 1, seconds: 1, measured: "here", points };
      writeFileSync(join(place, "curve.json"), JSON.stringify(curve));
      expect(() => shippedCurve("mine")).toThrow(
        /not the curve of a training: points: steps do not ascend\. Take/,
      );
    } finally {
      if (before === undefined) delete process.env["ODIS_WEIGHTS"];
      else process.env["ODIS_WEIGHTS"] = before;
    }
  });
});
