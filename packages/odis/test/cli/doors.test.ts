import { cpSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { runtimeInfo } from "@odis/torch";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { tinyData, tinyRun } from "../run/tiny-run.js";
import { scratchFolder } from "../scratch.js";
import { odis } from "./odis.js";

vi.setConfig({ testTimeout: 300_000 });

const scratch = scratchFolder();
let data: string;
let trained: string;
beforeAll(async () => {
  data = await tinyData();
  trained = join(data, "run");
  expect(odis(tinyRun(data, trained, "--steps", "2"))).toMatchObject({ code: 0 });
}, 300_000);
afterAll(() => rmSync(data, { recursive: true }));

/** What it ended with. */
const lastLine = (text: string): string => text.trimEnd().split("\n").at(-1)!;

describe("a device that is not there", () => {
  const missing = ["cuda", "gpu", "mps", "cpu:7", "tpu", ""].filter(
    (device) => !(device === "cuda" && runtimeInfo().devices.length > 1),
  );

  it.each(missing)("%j is refused in a sentence before anything is read", (device) => {
    const run = join(scratch(), "run");
    for (const words of [
      tinyRun(join(scratch(), "nowhere"), run, "--steps", "2", "--device", device),
      ["evaluate", trained, "--device", device],
    ]) {
      const { code, stdout, stderr } = odis(words);
      expect(stderr).toMatch(new RegExp(`^odis ${words[0]}: \\S.*\\n$`));
      expect(stderr.trimEnd().split("\n")).toHaveLength(1);
      expect({ code, stdout }).toEqual({ code: device === "" ? 2 : 5, stdout: "" });
    }
  });
});

describe("numbers beyond all bounds", () => {
  it.each([
    ["pretrain", "--threads", "100000"],
    ["pretrain", "--workers", "100000"],
    ["evaluate", "--threads", "100000"],
    ["quickstart", "--threads", "100000"],
    ["scenes", "--canvas", "100000"],
  ] as const)("odis %s %s %s", (command, option, value) => {
    const { code, stdout, stderr } = odis([command, option, value]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(
      new RegExp(
        `^odis ${command}: ${option} 100000: wanted an integer of at least \\d+ and at most \\d+\\n$`,
      ),
    );
  });
});

describe("a place to write to that is taken", () => {
  const photographs = join(import.meta.dirname, "../fixtures/coco-6");

  it("ends every command with 4 and a sentence, and nothing in it is touched", () => {
    const [taken, file] = [join(scratch(), "taken"), join(scratch(), "taken/thesis.txt")];
    mkdirSync(taken);
    writeFileSync(file, "x");
    for (const out of [taken, file])
      for (const words of [
        ["scenes", out],
        ["data", "convert", photographs, out, "--to", "coco"],
        ["data", "shard", photographs, out],
        ["masks", photographs, "--with", "regions", "--out", out],
        tinyRun(data, out, "--steps", "2"),
        ["import", trained, out],
        ["export", trained, out, "--format", "hf"],
        ["embed", trained, photographs, "--out", out],
        ["explore", trained, "--static", out],
        ["compare", "main", "--train", photographs, "--test", photographs, "--out", out],
      ]) {
        const { code, stdout, stderr } = odis(words);
        expect({ words, code, stdout, stderr }).toMatchObject({ code: 4, stdout: "" });
        expect(lastLine(stderr)).toMatch(/^odis [a-z ]+: .*taken/);
      }
    expect(readdirSync(taken)).toEqual(["thesis.txt"]);
    expect(readFileSync(file, "utf8")).toBe("x");
  });

  it("is refused at once where nothing can be made", () => {
    for (const words of [
      ["data", "convert", photographs, "/proc/x/y", "--to", "coco"],
      ["data", "shard", photographs, "/proc/x/y"],
    ]) {
      const { code, stderr } = odis(words);
      expect({ code, stderr }).toMatchObject({ code: 4 });
      expect(lastLine(stderr)).toMatch(/^odis data \w+: folder \/proc\/x: cannot be written: /);
    }
  });
});

describe("names from outside that would steer a terminal", () => {
  it("are spelled out wherever they are shown", () => {
    const folder = join(scratch(), "data");
    cpSync(data, folder, { recursive: true });
    const evil = "evil\u001b[2J\u001b]0;title\u0007\r\u202e.png";
    const file = JSON.parse(readFileSync(join(folder, "instances.json"), "utf8")) as {
      images: { file_name: string }[];
      categories: { name: string }[];
    };
    file.images[0]!.file_name = evil;
    file.categories[0]!.name = `class\u001b[2J`;
    writeFileSync(join(folder, "instances.json"), JSON.stringify(file));
    writeFileSync(join(folder, "images", evil), "no picture");
    const run = join(scratch(), "run");
    const words = tinyRun(folder, run, "--steps", "3", "--max-bad", "0.5");
    const training = odis(words);
    expect(training.code, training.stderr).toBe(0);
    expect(training.stdout).toContain("1 image could not be used; named in ");
    const evaluation = odis([
      "evaluate",
      run,
      "--limit",
      "12",
      "--k",
      "1",
      "--suite",
      "knn,linear",
    ]);
    const refused = odis([...tinyRun(folder, `${run}-2`, "--steps", "3", "--max-bad", "0")]);
    const shown = [training, evaluation, refused].map(({ stdout, stderr }) => stdout + stderr);
    shown.push(readFileSync(join(run, "log.txt"), "utf8"));
    for (const text of shown) expect(text).not.toMatch(/[^\P{Cc}\n\t]|\p{Cf}/u);
    expect(shown.join("")).toContain(String.raw`evil\u001b[2J`);
  });
});

describe("a long run", () => {
  it("says what it takes before it begins, and what a smaller one would take", () => {
    const words = ["pretrain", "--data", `coco:${data}`, "--batch", "8", "--steps", "100000"];
    // Refused for its folder, which is looked at after the forecast.
    const { code, stderr } = odis([...words, "--out", data, "--model", "vit-s"]);
    expect(code).toBe(4);
    expect(stderr.split("\n")[0]).toMatch(
      /^\d+ million parameters; a step of 8 images needs about [\d.]+ GB of [\d.]+ GB memory and about [\d. a-z]+: \d+ d \d+ h for 100000 steps; smaller: --model vit-ti \d.*, --model vit-mini \d.*, --set views\.locals\.count=4 \d.*$/,
    );
  });
});

it("advises commands that a shell takes literally", () => {
  const run = join(scratch(), "a run; rm -rf $HOME");
  const words = tinyRun(data, "OUT", "--steps", "100000");
  words[words.indexOf("OUT")] = run;
  const { stderr } = odis(["import", "nowhere; echo", run]);
  expect(lastLine(stderr)).not.toContain("undefined");
  const inspected = odis(["import", trained, run]);
  expect(inspected.stdout).toContain(`odis evaluate '${run}'`);
});
