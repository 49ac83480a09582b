import { describe, expect, it } from "vitest";
import { writableFormats, writerOf } from "../../src/formats/index.js";
import { readers, readTitles } from "../../src/formats/registry.js";
import { odis } from "../cli/odis.js";

describe("the registry of weight formats", () => {
  it("decides what the command line offers", () => {
    const { code, stdout } = odis(["export", "--help"]);
    expect(code).toBe(0);
    const help = stdout.replace(/\s+/g, " ");
    for (const { name, title, write } of writableFormats)
      expect(help).toContain(`${name}, a ${write.makes} for ${title}`);
  });

  it("names every format once, each with something that it can do", () => {
    const names = writableFormats.map(({ name }) => name);
    expect(new Set(names).size).toBe(names.length);
    expect(readTitles).toHaveLength(readers.length);
    for (const name of names) expect(writerOf(name)).toBeDefined();
    expect(writerOf("dino")).toBeUndefined(); // read, not written
  });

  it("refuses what no format means, and what none is called", () => {
    const offered = writableFormats.map(({ name }) => name).join(", ");
    expect(odis(["export", "/", "net.bin"])).toMatchObject({
      code: 2,
      stderr: `odis export: net.bin: the name does not tell the format; wanted --format with one of ${offered}\n`,
    });
    expect(odis(["export", "/", "net.bin", "--format", "tim"])).toMatchObject({
      code: 2,
      stderr: `odis export: --format tim: wanted one of ${offered}. Did you mean timm?\n`,
    });
  });
});
