import { spawnSync } from "node:child_process";
import {
  chmodSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import {
  appendText,
  checkReplaceable,
  checkWritable,
  FileProblem,
  makeFolder,
  readOwnText,
  readRegularHere,
  readRegularSync,
  replaceText,
} from "../../src/core/index.js";
import { systemSentence } from "../../src/core/system.js";
import { scratchFolder } from "../scratch.js";
import { canMount, shellOnSmallDisk } from "../small-disk.js";

const scratch = scratchFolder();
const at = (...names: string[]): string => join(scratch(), ...names);
const pipe = (): string => {
  spawnSync("mkfifo", [at("pipe")]);
  return at("pipe");
};
const thrown = (act: () => unknown): unknown => {
  try {
    act();
  } catch (error) {
    return error;
  }
  throw new Error("nothing was thrown");
};
const said = (act: () => unknown): string => (thrown(act) as Error).message;

describe("makeFolder", () => {
  it("makes all that is missing, and is content with what is there", () => {
    makeFolder(at("a", "b", "c"));
    makeFolder(at("a", "b", "c"));
    symlinkSync(at("a"), at("link"));
    makeFolder(at("link", "d"));
    expect(readdirSync(at("a")).toSorted()).toEqual(["b", "d"]);
  });

  it("says what is in the way: a file, a link that leads nowhere, a place that takes no folders", () => {
    writeFileSync(at("file"), "");
    symlinkSync(at("gone"), at("dangling"));
    expect(said(() => makeFolder(at("file")))).toMatch(/^ENOTDIR/);
    expect(said(() => makeFolder(at("file", "x", "y")))).toMatch(/^ENOTDIR/);
    expect(said(() => makeFolder(at("dangling")))).toMatch(/^ENOTDIR/);
    // Node's own mkdir never returns from this one.
    expect(said(() => makeFolder("/proc/x/y"))).toMatch(/^ENOENT/);
  });
});

describe("checkWritable and checkReplaceable", () => {
  it("leave nothing behind where writing works, and make nothing", () => {
    checkWritable(at("new", "run"), "run folder", "");
    checkReplaceable(at("new.txt"));
    writeFileSync(at("old.txt"), "");
    checkReplaceable(at("old.txt"));
    expect(readdirSync(scratch())).toEqual(["old.txt"]);
  });

  it("remove what a killed process tried with, and nothing else", () => {
    for (const name of [".odis-a1B2c3", ".odis-Z9y8X7", ".odis-own", ".odis-kept00/in"])
      mkdirSync(at(name), { recursive: true });
    checkWritable(scratch(), "run folder", "");
    expect(readdirSync(scratch()).toSorted()).toEqual([".odis-kept00", ".odis-own"]);
  });

  it("say why it does not", () => {
    writeFileSync(at("file"), "");
    mkdirSync(at("folder"));
    expect(said(() => checkWritable(at("file", "x"), "run folder", "Choose another."))).toBe(
      `run folder ${at("file", "x")}: cannot be written: a file is in the way. Choose another.`,
    );
    expect(said(() => checkWritable("/proc/x/y", "run folder", "Choose another."))).toBe(
      "run folder /proc/x/y: cannot be written: no folder can be made there. Choose another.",
    );
    expect(said(() => checkReplaceable(at("folder")))).toBe(
      `${at("folder")}: is a folder; wanted a file or nothing. Move it away.`,
    );
    expect(said(() => checkReplaceable(pipe()))).toContain("is a pipe; wanted a file or nothing");
  });

  it.skipIf(!canMount)("know a read-only file system, for root, too", () => {
    const script = `import { checkWritable } from ${JSON.stringify(new URL("../../dist/core/index.js", import.meta.url).pathname)};
      try { checkWritable("new/run", "run folder", "Choose another."); } catch (error) { console.log(error.message); }`;
    writeFileSync(at("check.mjs"), script);
    const { stdout } = shellOnSmallDisk(
      at("disk"),
      "size=1m",
      `mount -o remount,ro . && '${process.execPath}' ${at("check.mjs")}`,
    );
    expect(stdout).toBe(
      "run folder new/run: cannot be written: the file system is read-only. Choose another.\n",
    );
  });
});

describe("files that are none", () => {
  it("are refused at once, whatever would wait or never end", () => {
    mkdirSync(at("folder"));
    symlinkSync("/dev/zero", at("zeros"));
    for (const [path, text] of [
      [at("folder"), "is a folder; wanted a regular file"],
      [pipe(), "is a pipe; wanted a regular file"],
      [at("zeros"), "is a device; wanted a regular file"],
    ] as const) {
      expect(thrown(() => readRegularSync(path, 10))).toEqual(new FileProblem(text));
      expect(said(() => appendText(path, "x"))).toBe(text);
      expect(said(() => readOwnText(path))).toBe(
        `${path} ${text}. Put the file back, or move away what is there.`,
      );
    }
    expect(readOwnText(at("none"))).toBeUndefined();
    expect(said(() => readRegularSync(at("none"), 10))).toBe("does not exist");
  });

  it("too large ones, too", () => {
    writeFileSync(at("large"), "12345678901");
    expect(said(() => readRegularSync(at("large"), 10))).toBe(
      "has 11 bytes; at most 10 can be read in one piece",
    );
    expect(readRegularSync(at("large"), 11).toString()).toBe("12345678901");
  });

  it("the same for a thread that reads in memory of its own", async () => {
    writeFileSync(at("large"), "12345678901");
    mkdirSync(at("folder"), { recursive: true });
    const memory = new Uint8Array(100);
    const read = async (path: string, limit = 11) =>
      (await readRegularHere(path, limit, (bytes) => memory.subarray(4, 4 + bytes))).toString();
    expect(await read(at("large"))).toBe("12345678901");
    expect(Buffer.from(memory.subarray(0, 17)).toString("latin1")).toBe(
      "\0\0\0\x0012345678901\0\0",
    );
    for (const [path, text] of [
      [at("large"), "has 11 bytes; at most 10 can be read in one piece"],
      [at("folder"), "is a folder; wanted a regular file"],
      [pipe(), "is a pipe; wanted a regular file"],
      [at("none"), "does not exist"],
    ] as const)
      await expect(read(path, 10)).rejects.toEqual(expect.objectContaining({ message: text }));
  });
});

describe("replaceText", () => {
  it("puts the whole text there, over a file that may not be written, through its folder", () => {
    writeFileSync(at("a"), "old");
    chmodSync(at("a"), 0o444);
    replaceText(at("a"), "new");
    expect(readFileSync(at("a"), "utf8")).toBe("new");
    expect(readdirSync(scratch())).toEqual(["a"]);
    expect(statSync(at("a")).mode & 0o200).toBe(0o200);
  });

  it("names the file, not its hidden sibling, when it fails", () => {
    const path = at("none", "report.html");
    expect(systemSentence(thrown(() => replaceText(path, "")))).toBe(
      `${path} cannot be opened: it does not exist`,
    );
    mkdirSync(at("folder", "x"), { recursive: true });
    expect(systemSentence(thrown(() => replaceText(at("folder"), "")))).toMatch(
      /folder cannot be written: it is a folder$/,
    );
    expect(readdirSync(scratch())).toEqual(["folder"]);
    expect(existsSync(at("folder", "x"))).toBe(true);
  });
});

describe("systemSentence", () => {
  it("has none for mistakes of a program", () => {
    expect(systemSentence(new Error("x"))).toBeUndefined();
    expect(systemSentence(thrown(() => readFileSync(99_999)))).toBeUndefined(); // EBADF
    expect(systemSentence(thrown(() => JSON.parse("{")))).toBeUndefined();
    expect(systemSentence(thrown(() => readFileSync(at("a"))))).toBe(
      `${at("a")} cannot be opened: it does not exist`,
    );
  });
});
