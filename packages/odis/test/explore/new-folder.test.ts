import { existsSync, mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { NewFolder } from "../../src/explore/new-folder.js";

let folder: string;
let [place, part] = ["", ""];
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "odis-test-"));
  [place, part] = [join(folder, "page"), join(folder, ".page.part")];
});
afterEach(() => rmSync(folder, { recursive: true, force: true }));

it("a folder is there when it is whole, with what was written and nothing else", () => {
  {
    using made = new NewFolder(place);
    made.write("a/b.txt", "what");
    expect(() => new NewFolder(place)).toThrow(/^folder .*page is in use by process/);
    expect(existsSync(place)).toBe(false);
    made.finish();
    expect(made.bytes).toBe(4);
  }
  expect(readdirSync(folder)).toEqual(["page"]);
  expect(readdirSync(place)).toEqual(["a"]);
});

it("a finished folder leaves alone what another writer has begun beside it since", () => {
  const made = new NewFolder(place);
  made.write("a", "1");
  made.finish();
  mkdirSync(part);
  writeFileSync(join(part, "theirs"), "");
  made[Symbol.dispose]();
  expect(readdirSync(part)).toEqual(["theirs"]);
});

it("nothing is left of one that was not finished, nor of what a crash left before", () => {
  mkdirSync(join(part, "old"), { recursive: true });
  {
    using made = new NewFolder(place);
    made.write("a/b/c", "1");
    expect(readdirSync(part).toSorted()).toEqual(["a", "lock"]);
    mkdirSync(place);
    writeFileSync(join(place, "theirs"), "");
    expect(() => made.finish()).toThrow(
      /page: holds something already \(theirs\); wanted a new or/,
    );
  }
  expect(readdirSync(folder)).toEqual(["page"]);
});
