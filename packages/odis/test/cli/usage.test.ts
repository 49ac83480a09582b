import { mkdirSync, readdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { scratchFolder } from "../scratch.js";
import { odis } from "./odis.js";

const scratch = scratchFolder();
const pretrain = (...words: string[]): ReturnType<typeof odis> =>
  odis(["pretrain", "--data", "coco:photos", "--out", "run", ...words], { cwd: scratch() });

describe("help", () => {
  const commands = [
    "scenes",
    "pretrain",
    "evaluate",
    "compare",
    "report",
    "import",
    "export",
    "doctor",
  ];

  it("lists every command with what it does, examples and exit codes", () => {
    const { code, stdout, stderr } = odis(["--help"]);
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    for (const name of commands) expect(stdout).toMatch(new RegExp(`^  ${name}\\b.* {2}\\S`, "m"));
    expect(stdout).toMatch(/Examples:\n  odis scenes/);
    expect(stdout).toMatch(/Exit codes: 0 done, 1 .* 130 stopped by Ctrl-C/s);
  });

  it.each(commands)("%s --help has options and examples", (name) => {
    const { code, stdout } = odis([name, "--help"]);
    expect(code).toBe(0);
    expect(stdout).toMatch(new RegExp(`^Usage: odis ${name}`));
    expect(stdout).toMatch(new RegExp(`Examples:\\n  odis ${name}`));
    expect(odis(["help", name]).stdout).toBe(stdout);
  });

  it("says of numbers between which bounds they lie, before the default", () => {
    const words = (name: string) => odis([name, "--help"]).stdout.replaceAll(/\s+/g, " ");
    expect(words("pretrain")).toContain("before the run ends, 0 to 1 (default: 0.05) ");
    expect(words("compare")).toContain(
      "--model <NAME> size of the network, in every run: vit-mini, vit-ti, vit-s, vit-b, vit-l, vit-g (default: the plan's) ",
    );
    expect(words("search")).toContain("--sheet <FILE.png> PNG");
  });

  it("does not load the engine for help", () => {
    // A LibTorch that cannot be there would be complained about.
    expect(odis(["pretrain", "--help"], { env: { LIBTORCH: "/nowhere" } }).code).toBe(0);
  });

  it("prints the version", () => {
    expect(odis(["--version"])).toMatchObject({ code: 0, stdout: "0.1.0\n" });
  });
});

describe("a command line that cannot be understood", () => {
  const long = "a".repeat(120);
  const data = ["--data", "coco:x", "--out", "y"];

  it.each<[readonly string[], string]>([
    [["pretrian"], "odis: unknown command 'pretrian'. Did you mean pretrain? See odis --help."],
    [["--verbose"], "odis: unknown option '--verbose'. See odis --help."],
    [
      ["pretrain", "--bathc", "3"],
      "odis pretrain: unknown option '--bathc'. Did you mean --batch? See odis pretrain --help.",
    ],
    [
      ["pretrain", "--out", "y"],
      "odis pretrain: --data is missing; wanted --data PLACE (data set: a folder or file, or KIND:PLACE; odis data kinds lists the kinds). See odis pretrain --help.",
    ],
    [
      ["pretrain", ...data, "--batch"],
      "odis pretrain: option '--batch <N>' argument missing. See odis pretrain --help.",
    ],
    [
      ["pretrain", ...data, "--batch", "-3"],
      "odis pretrain: --batch -3: wanted an integer of at least 1",
    ],
    [
      ["pretrain", ...data, "--batch", "3.5"],
      "odis pretrain: --batch 3.5: wanted an integer of at least 1",
    ],
    [
      ["pretrain", ...data, "--seed", "0x10"],
      "odis pretrain: --seed 0x10: wanted an integer of at least 0",
    ],
    [
      ["pretrain", ...data, "--model", "vit-xs"],
      "odis pretrain: --model vit-xs: wanted one of vit-mini, vit-ti, vit-s, vit-b, vit-l, vit-g. Did you mean vit-s?",
    ],
    [
      ["pretrain", ...data, "--config", "nothing.json"],
      "odis pretrain: --config nothing.json: wanted a file that exists",
    ],
    [
      ["scenes", "x", "--objects", "5,2"],
      "odis scenes: --objects 5,2: wanted LOWEST,HIGHEST: two numbers, the lower one first",
    ],
    [
      ["scenes", "x", "--sprites", "stamp"],
      "odis scenes: --sprites stamp: wanted one of fashion-mnist, stamps. Did you mean stamps?",
    ],
    [["pretrain", ...data, "--out", ""], "odis pretrain: --out: got nothing, wanted a path"],
    [
      ["pretrain", ...data, "more"],
      "odis pretrain: more: stands behind no option; wanted options alone. See odis pretrain --help.",
    ],
    [
      ["pretrain", "my photos", "--out", "y"],
      "odis pretrain: my photos: stands behind no option; did you mean --data 'my photos'? See odis pretrain --help.",
    ],
    [
      ["data", "convert", "a", "b", "c", "--to", "coco"],
      "odis data convert: c: stands behind the last of PLACE OUT. See odis data convert --help.",
    ],
    [
      ["--data", `/photos/${long}`, "pretrain", "--out", `/runs/${long}`],
      `odis: --data: options stand behind the command: odis pretrain --data /photos/${long} --out /runs/${long}. See odis pretrain --help.`,
    ],
    [["--data", "masks", "pretrain"], "odis: unknown option '--data'. See odis --help."],
    [
      ["data", "convrt", "a"],
      "odis data: got convrt, wanted one of inspect, convert, shard, kinds. Did you mean convert? See odis data --help.",
    ],
    [
      ["--sheet", "a.png", "data", "inspect", "x"],
      "odis: --sheet: options stand behind the command: odis data inspect --sheet a.png x. See odis data inspect --help.",
    ],
    [
      ["--data", "my photos", "pretrain", "--steps", "3"],
      "odis: --data: options stand behind the command: odis pretrain --data 'my photos' --steps 3. See odis pretrain --help.",
    ],
    [["scenes"], "odis scenes: missing required argument 'folder'. See odis scenes --help."],
    [
      ["scenes", "x", "--train", "many"],
      "odis scenes: --train many: wanted an integer of at least 1",
    ],
    [
      ["evaluate", ".", "--dense-bank", "1000,ten"],
      "odis evaluate: --dense-bank 1000,ten: wanted an integer of at least 1, or several with commas between them",
    ],
    [
      ["evaluate", ".", "--mode", "none,crpo"],
      "odis evaluate: --mode none,crpo: wanted one of mask, none, crop, blackout, crop-mask, isolated. Did you mean crop?",
    ],
    [
      ["evaluate", "none"],
      "odis evaluate: RUN none: wanted a folder that exists, or one of the networks vit-mini-quads, vit-mini-scenes",
    ],
  ])("%j", (words, sentence) => {
    expect(odis(words)).toEqual({ code: 2, stdout: "", stderr: `${sentence}\n` });
  });

  it("prints help, and fails, when there is no command", () => {
    const { code, stdout, stderr } = odis([]);
    expect({ code, stdout }).toEqual({ code: 2, stdout: "" });
    expect(stderr).toMatch(/^Usage: odis/);
  });
});

describe("a device that is not there", () => {
  it.each(["gpu", "mps", "cpu:7", "cuda:99"])("%s is refused before anything is made", (device) => {
    const { code, stderr } = pretrain("--device", device);
    expect(code).toBe(5);
    expect(stderr).toMatch(/^odis pretrain: .*device/);
    expect(stderr).toContain(device);
    expect(stderr.trimEnd().split("\n")).toHaveLength(1);
  });
});

describe("settings that cannot be", () => {
  it("are named with path, value and wish, a line each, before anything is made", () => {
    const { code, stderr } = pretrain(
      "--set",
      "optim.lrr=1",
      "optim.lr=-1",
      "--set",
      "loss.centering=sinkhron",
    );
    expect(code).toBe(2);
    expect(stderr.split("\n").toSorted()).toEqual([
      "",
      'odis pretrain: --set: loss.centering: got "sinkhron", wanted one of "mean", "sinkhorn". Did you mean "sinkhorn"?',
      "odis pretrain: --set: optim.lr: got -1, wanted the learning rate for a batch of optim.lrBatch, from 1e-12 to 1000",
      "odis pretrain: --set: optim.lrr: unknown setting (got 1). Did you mean optim.lr?",
    ]);
    expect(readdirSync(scratch())).toEqual([]);
  });

  it("are refused when sizes do not fit together", () => {
    expect(pretrain("--set", "views.globals.size=225")).toMatchObject({
      code: 2,
      stderr: expect.stringMatching(
        /views\.globals\.size: got 225; wanted a multiple of the patch size 16, e\.g\. 224 or 240/,
      ),
    });
    expect(pretrain("--set", "model.heads=5").stderr).toMatch(
      /model\.dim: got 384; wanted a multiple of model\.heads \(5\)/,
    );
  });

  it("come from a file that names itself", () => {
    writeFileSync(join(scratch(), "mine.json"), '{"optim": {"batch": 0}}');
    expect(pretrain("--config", "mine.json").stderr).toBe(
      "odis pretrain: mine.json: optim.batch: got 0, wanted the images of a step, a whole number from 1 to 1000000000\n",
    );
    writeFileSync(join(scratch(), "mine.json"), "lr = 1\n");
    const broken = pretrain("--config", "mine.json");
    expect(broken.stderr).toBe(
      'odis pretrain: config file mine.json is not JSON: unexpected "l" at line 1, column 1\n',
    );
    expect(broken.code).toBe(2);
  });
});

describe("data that cannot be used", () => {
  it("ends with 3 and a sentence, and leaves no run folder", () => {
    const { code, stderr } = odis(["pretrain", "--data", "coco:photos", "--out", "run"], {
      cwd: scratch(),
    });
    expect(code).toBe(3);
    expect(stderr).toMatch(/^odis pretrain: .*photos/);
    expect(readdirSync(scratch())).toEqual([]);
  });

  it("is a usage error when its kind is unknown", () => {
    const { code, stderr } = odis(["pretrain", "--data", "photos", "--out", "run"], {
      cwd: scratch(),
    });
    expect(code).toBe(2);
    expect(stderr).toMatch(
      /data "photos": there is no such place; wanted a folder or file that exists, or KIND:PLACE/,
    );
  });

  it("is no run where there is none", () => {
    mkdirSync(join(scratch(), "empty"));
    const { code, stderr } = odis(["report", "empty"], { cwd: scratch() });
    expect(code).toBe(4);
    expect(stderr).toBe(
      "odis report: empty: is not a run folder (it has no config.json). Give the folder that odis pretrain --out made.\n",
    );
  });

  it("is no run where there is a checkpoint, which can be made one", () => {
    const checkpoint = join(scratch(), "step-00000007");
    mkdirSync(checkpoint);
    writeFileSync(join(checkpoint, "state.json"), "{}");
    expect(odis(["evaluate", "step-00000007"], { cwd: scratch() })).toMatchObject({
      code: 4,
      stderr:
        "odis evaluate: step-00000007: is a checkpoint, not a run folder. Give the run's folder, which means its newest checkpoint, " +
        "or make this one a run of its own: odis import step-00000007 NEW_FOLDER\n",
    });
  });
});
