import { existsSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { findLibTorch, runtimeInfo } from "@odis/torch";
import { describe, expect, it } from "vitest";

const root = join(dirname(fileURLToPath(import.meta.url)), "../../..");
const read = (path: string): string => readFileSync(join(root, path), "utf8");

interface Row {
  readonly release: string;
  readonly standard: string;
  readonly collectives: string;
  readonly tests: string;
  readonly when: string;
}

const rows: readonly Row[] = read("docs/engines.md")
  .split("\n")
  .filter((line) => /^\| \d/.test(line))
  .map((line) => {
    const [release = "", , standard = "", collectives = "", tests = "", when = ""] = line
      .split("|")
      .slice(1, -1)
      .map((cell) => cell.trim());
    return { release, standard, collectives, tests, when };
  });

const order = (release: string): number => {
  const [major = 0, minor = 0] = release.split(".").map(Number);
  return 1000 * major + minor;
};

/** The row of an npm script that runs on every change. */
const rowOf = (script: string): Row => rows.find(({ when }) => when.endsWith(`\`${script}\``))!;

describe("the table of what was run where", () => {
  it("tells the truth about the LibTorch that these tests run on, unless that is newer than all", () => {
    const release = findLibTorch().version.split(".").slice(0, 2).join(".");
    const row = rows.find((one) => one.release === release);
    if (!row) {
      expect(order(release)).toBeGreaterThan(Math.max(...rows.map((one) => order(one.release))));
      return;
    }
    expect(row.standard).toBe(order(release) >= order("2.9") ? "20" : "17");
    expect(row.collectives).toBe(runtimeInfo().collectives.join(", "));
  });

  it("begins with what every change is tested on, and CI runs both", () => {
    const scripts = (JSON.parse(read("package.json")) as { scripts: Record<string, string> })
      .scripts;
    expect(Object.keys(scripts)).toEqual(expect.arrayContaining(["test", "test:engines"]));
    expect(rowOf("npm test")).toMatchObject({ release: "1.13", tests: "all" });
    expect(read(".ci/run")).toContain("count npm test\ncount npm run test:engines\n");
  });

  it("lists the tests that run on the newest release, all of which exist", () => {
    const { tests } = JSON.parse(read("scripts/engines.json")) as { tests: readonly string[] };
    expect(rowOf("npm run test:engines").tests).toBe(tests.map((path) => `\`${path}\``).join(", "));
    expect(tests.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  });
});
