import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, expect, it } from "vitest";
import { NewFolder } from "../../src/explore/new-folder.js";
import { scratchFolder } from "../scratch.js";

const scratch = scratchFolder();
let [place, part] = ["", ""];
beforeEach(() => {
  [place, part] = [join(scratch(), "page"), join(scratch(), ".page.part")];
});

it("a folder is there when it is whole, with what was written and nothing else", () => {
  {
    using made = new NewFolder(place, "page 1");
    made.write("a/b.txt", "what");
    expect(() => new NewFolder(place, "page 1")).toThrow(/^folder .*page is in use by process/);
    expect(existsSync(place)).toBe(false);
    made.finish();
    expect(made.bytes).toBe(4);
  }
  expect(readdirSync(scratch())).toEqual(["page"]);
  expect(readdirSync(place)).toEqual(["a"]);
});

it("a finished folder leaves alone what another writer has begun beside it since", () => {
  const made = new NewFolder(place, "page 1");
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
    using made = new NewFolder(place, "page 1");
    made.write("a/b/c", "1");
    expect(readdirSync(part).toSorted()).toEqual(["a", "lock", "plan.json"]);
    mkdirSync(place);
    writeFileSync(join(place, "theirs"), "");
    expect(() => made.finish()).toThrow(
      /page: holds something already \(theirs\); wanted a new or/,
    );
  }
  expect(readdirSync(scratch())).toEqual(["page"]);
});

it("what was kept of one that was not finished is there for the same, and for nothing else", () => {
  {
    using made = new NewFolder(place, "page 1");
    made.writeWhole("a", "1");
    made.keep();
  }
  expect(readdirSync(part).toSorted()).toEqual(["a", "plan.json"]);
  {
    using made = new NewFolder(place, "page 1");
    expect([made.read("a"), made.read("b")]).toEqual(["1", undefined]);
    expect(made.count("a")).toBe(1);
    made.finish();
  }
  expect(readdirSync(place)).toEqual(["a"]);
  rmSync(place, { recursive: true });
  {
    using made = new NewFolder(place, "page 1");
    made.writeWhole("a", "1");
    made.keep();
  }
  // Whoever goes on with it and comes to nothing leaves it as it was.
  {
    using made = new NewFolder(place, "page 1");
    expect(made.keeps).toBe(true);
  }
  expect(readdirSync(part).toSorted()).toEqual(["a", "plan.json"]);
  using made = new NewFolder(place, "page 2");
  expect(made.keeps).toBe(false);
  expect(made.read("a")).toBeUndefined();
  expect(readFileSync(join(part, "plan.json"), "utf8")).toBe("page 2");
});
