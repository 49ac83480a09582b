import {
  cpSync,
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { basename, join } from "node:path";
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

  it("and not which part of it was embedded: more of it is added, what is there already is not", () => {
    const store = join(folder, "parts");
    const embed = (part: string, ...words: string[]) =>
      odis(["embed", run, `coco:photos${part}`, "--out", store, ...words], { cwd: folder }).stdout;
    expect(embed("#limit=2,crowd")).toContain("in 2 images, 2 images added");
    expect(embed("#take=0..1,seed=3,crowd")).toContain("in 6 images, 4 images added");
    expect(embed("#crowd")).toContain("in 6 images, 0 images added");
    using opened = openStore(store);
    expect(opened.places).toEqual([`${absolute(folder)}#crowd`]);
    const part = odis(["embed", run, "coco:photos#limit=2,crowd", "--out", store, "--prune"], {
      cwd: folder,
    });
    expect(part).toMatchObject({
      code: 2,
      stderr: expect.stringContaining(
        "coco:photos#limit=2,crowd is a part of a library: to prune by it would drop all other parts. Name the whole of it.",
      ),
    });
  });

  it("pictures alone are objects as a whole; without any object nothing is searched or shown", () => {
    const [store, none] = [join(folder, "wholes"), join(folder, "none")];
    const embed = (place: string, out: string) =>
      odis(["embed", run, place, "--out", out], { cwd: folder });
    expect(embed("photos/images", store).stdout).toContain("6 objects in 6 images");
    expect(sheet(store, folder).stdout).toMatch(/^1 +1\.000/m);

    const bare = { images: [{ id: 1, width: 640, height: 428, file_name: basename(photo) }] };
    const list = join(folder, "bare.json");
    writeFileSync(list, JSON.stringify({ ...bare, annotations: [], categories: [] }));
    expect(embed(`coco:photos/images,${list}`, none).stdout).toContain("0 objects in 1 image,");
    for (const words of [
      ["search", none, photo],
      ["explore", none, "--static", "page"],
    ])
      expect(odis(words, { cwd: folder })).toMatchObject({
        code: 4,
        stderr: expect.stringContaining(
          `store ${none}: has 1 image and no objects. Add pictures with objects: odis embed RUN PLACE`,
        ),
      });
    expect(odis(["search", none, photo, "--for", "images"]).code).toBe(0);
  });

  it("of two parts that an earlier release took for libraries one becomes the whole, and others stay what they are", () => {
    const store = join(folder, "two-parts");
    cpSync(join(folder, "photos"), join(folder, "others"), { recursive: true });
    const embed = (place: string) =>
      odis(["embed", run, `coco:${folder}/${place}`, "--out", store], { cwd: tmpdir() });
    for (const place of ["photos", "others"]) expect(embed(place).code).toBe(0);
    const list = join(store, "store.json");
    const told = JSON.parse(readFileSync(list, "utf8"));
    const [photos, others] = ["photos", "others"].map((name) => `coco:${folder}/${name}`);
    told.places = [`${photos}#take=0..0.5`, `${photos}#take=0.5..1`, others];
    for (const shard of told.shards) shard.place *= 2;
    writeFileSync(list, JSON.stringify(told));
    expect(embed("photos").stdout).toContain("0 images added");
    using opened = openStore(store);
    expect(opened.places).toEqual([photos, `${photos}#take=0.5..1`, others]);
    expect(opened.image(6).place).toBe(others);
    expect(sheet(store, tmpdir())).toMatchObject({ code: 0, stderr: "" });
  });

  it("pictures that an earlier release has put in without objects are not put in once more", () => {
    const store = join(folder, "objectless");
    const line = ["embed", run, "photos/images", "--out", store];
    expect(odis(line, { cwd: folder }).code).toBe(0);
    const list = join(store, "store.json");
    writeFileSync(list, readFileSync(list, "utf8").replace("#whole", ""));
    expect(odis(line, { cwd: folder })).toMatchObject({
      code: 4,
      stderr: expect.stringContaining(
        `store ${store}: was made by an earlier release, to which pictures alone had no objects. Delete it, or embed into another folder.`,
      ),
    });
  });

  it("a folder of something else, or a file, is refused and left as it is", () => {
    const photos = join(folder, "photos");
    const before = readdirSync(photos);
    const embed = (out: string) =>
      odis(["embed", run, "coco:photos", "--out", out], { cwd: folder });
    expect(embed("photos")).toMatchObject({
      code: 4,
      stderr:
        "odis embed: store photos: the folder holds other things (README.md); wanted a new or empty folder, or a store.\n",
    });
    expect(readdirSync(photos)).toEqual(before);
    const tried = join(folder, "tried"); // what a process that was killed while it tried the folder leaves
    mkdirSync(join(tried, ".odis-a1B2c3"), { recursive: true });
    expect(embed("tried").code).toBe(0);
    expect(readdirSync(tried)).not.toContain(".odis-a1B2c3");
    expect(embed("photos/instances.json")).toMatchObject({
      code: 4,
      stderr:
        "odis embed: store photos/instances.json: is a file; wanted a folder. Choose another --out.\n",
    });
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
    const store = join(folder, "both-parts");
    const line = ["embed", run, "coco:photos", "--out", store];
    expect(odis(line, { cwd: folder }).code).toBe(0);
    asTyped(store, join(folder, "photos"));
    expect(sheet(store, tmpdir())).toMatchObject({ code: 0, stderr: "" });
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
