import {
  cpSync,
  existsSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { openStore } from "odis";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { odis } from "../cli/odis.js";
import { randomRun } from "../formats/random-run.js";

const views = { views: { globals: { size: 32 }, locals: { size: 16, count: 0 } } };
const absolute = (folder: string): string => `coco:${folder}/photos`;
let folder: string;
let run: string;
let photo: string;

beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "odis-test-"));
  const photos = new URL("../fixtures/coco-6", import.meta.url).pathname;
  cpSync(photos, join(folder, "photos"), { recursive: true });
  run = randomRun(folder, "odis", views).path;
  photo = join(photos, "images", readdirSync(join(photos, "images"))[0]!);
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

const sheet = (store: string, cwd: string) =>
  odis(["search", store, photo, "--top", "3", "--sheet", join(store, "found.png")], { cwd });

/** As releases before wrote it: the place as it was typed, or both of its parts. */
function asTyped(store: string, at = "photos"): void {
  const list = join(store, "store.json");
  const told = JSON.parse(readFileSync(list, "utf8"));
  told.places = [`coco:${at}/images,${at}/instances.json`];
  writeFileSync(list, JSON.stringify(told));
}

describe("a store names its data from anywhere", () => {
  it("however the place was typed: its photographs are found from another folder", () => {
    const store = join(folder, "store");
    expect(odis(["embed", run, "coco:photos", "--out", store], { cwd: folder }).code).toBe(0);
    using opened = openStore(store);
    expect(opened.places).toEqual([absolute(folder)]);
    expect(sheet(store, tmpdir())).toMatchObject({ code: 0, stderr: "" });
    expect(existsSync(join(store, "found.png"))).toBe(true);
    const again = odis(["embed", run, `coco:${folder}/photos`, "--out", store], { cwd: tmpdir() });
    expect(again.stdout).toContain("0 images added");
  });

  it("one of an earlier release is found where it was made, and is told from everywhere when it is added to", () => {
    const store = join(folder, "old");
    expect(odis(["embed", run, "coco:photos", "--out", store], { cwd: folder }).code).toBe(0);
    asTyped(store);
    expect(sheet(store, folder).code).toBe(0);
    const elsewhere = sheet(store, tmpdir());
    expect(elsewhere.code).toBe(3);
    expect(elsewhere.stderr).toContain(
      "Put them back; if the store is of an earlier release, which names them from a working folder, run this where odis embed was run",
    );
    const added = odis(["embed", run, "coco:photos", "--out", store], { cwd: folder });
    expect(added.stdout).toContain("0 images added");
    using opened = openStore(store);
    expect(opened.places).toEqual([absolute(folder)]);
    expect(sheet(store, tmpdir()).code).toBe(0);
  });

  it("one whose place has both parts by name is told by its folder when it is added to", () => {
    const store = join(folder, "parts");
    const line = ["embed", run, "coco:photos", "--out", store];
    expect(odis(line, { cwd: folder }).code).toBe(0);
    asTyped(store, join(folder, "photos"));
    expect(sheet(store, tmpdir()).code).toBe(0);
    expect(odis(line, { cwd: folder }).stdout).toContain("0 images added");
    using opened = openStore(store);
    expect(opened.places).toEqual([absolute(folder)]);
  });

  it("does not mix up two places, one of which an earlier release has named", () => {
    const store = join(folder, "both");
    expect(odis(["embed", run, "coco:photos", "--out", store], { cwd: folder }).code).toBe(0);
    asTyped(store);
    const other = odis(["embed", run, `coco:${folder}/photos`, "--out", store], { cwd: tmpdir() });
    expect(other.stdout).toContain("6 images added");
    const first = odis(["embed", run, "coco:photos", "--out", store], { cwd: folder });
    expect(first.stdout).toContain("0 images added");
    using opened = openStore(store);
    expect(opened.places).toHaveLength(2);
    expect(opened.image(0).place).toBe("coco:photos/images,photos/instances.json");
    expect(opened.image(6).place).toBe(absolute(folder));
  });
});
