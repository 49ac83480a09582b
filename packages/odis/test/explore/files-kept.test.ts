import { cpSync, readdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeEach, describe, expect, it } from "vitest";
import { writeLibrary } from "../../src/explore/index.js";
import { openStore } from "../../src/search/index.js";
import { odis } from "../cli/odis.js";
import { scratchFolder } from "../scratch.js";
import { bytesOf } from "../search/bytes.js";
import { madeStore } from "../search/made-store.js";
import { embedded, photos } from "./library.js";

const scratch = scratchFolder();
const at = (name: string): string => join(scratch(), name);
const [IMAGES, DONE] = [12, 5];

/** A store of photographs that can be taken away. */
beforeEach(() => {
  cpSync(photos, at("photos"), { recursive: true });
  const of = { shards: 2, images: IMAGES / 2, objects: 2, width: 4 };
  madeStore(at("store"), of, undefined, `coco:${at("photos")}`).free();
});

/** Writes the page of a store until so many images are finished. */
async function stopped(out: string): Promise<void> {
  using store = openStore(at("store"));
  let asked = 0;
  const stop = {
    requested: async () => {
      asked += 1;
      return asked > DONE;
    },
  };
  const done = await writeLibrary(store, { out: at(out), browseOnly: true, stop });
  expect(done).toMatchObject({ stopped: DONE, of: IMAGES, kept: at(`.${out}.part`) });
}

async function written(out: string): Promise<Readonly<Record<string, string>>> {
  using store = openStore(at("store"));
  expect(await writeLibrary(store, { out: at(out), browseOnly: true })).toHaveProperty("bytes");
  return bytesOf(at(out));
}

const finished = (): number => readdirSync(join(at(".page.part"), "images", "0")).length;

describe("what was finished of a page of files", () => {
  it("stays when going on with it fails before the first image, with a word of where it is", async () => {
    await stopped("page");
    renameSync(at("photos"), at("elsewhere"));
    const words = ["explore", at("store"), "--static", at("page"), "--browse-only"];
    const { code, stderr } = odis(words);
    expect(code).toBe(3);
    expect(stderr).toContain(
      `run this where odis embed was run. The images that were finished are kept in ${at(".page.part")}: ` +
        "the same command goes on from there\n",
    );
    expect(stderr).not.toContain("internal");
    expect(finished()).toBe(DONE);
    renameSync(at("elsewhere"), at("photos"));
    const calm = await written("calm");
    expect(await written("page")).toEqual(calm);
  });

  it("stays when an image cannot be read, with a word of where it is", async () => {
    const images = join(at("photos"), "images");
    using store = openStore(at("store"));
    const { key } = store.image(2);
    writeFileSync(join(images, key), "no picture");
    const words = ["explore", at("store"), "--static", at("page"), "--browse-only"];
    const { code, stderr } = odis(words);
    expect(code).toBe(3);
    expect(stderr).toContain(`image ${key}: `);
    expect(stderr).toContain(`are kept in ${at(".page.part")}: the same command goes on`);
    expect(finished()).toBe(2);
    cpSync(join(photos, "images", key), join(images, key));
    expect(odis(words).code).toBe(0);
    const calm = await written("calm");
    expect(bytesOf(at("page"))).toEqual(calm);
  });

  it("is not mixed with a store whose tables say something else of as many objects", async () => {
    await stopped("page");
    const table = join(at("store"), "shards", "000000.jsonl");
    writeFileSync(table, readFileSync(table, "utf8").replaceAll('"class 1"', '"class one"'));
    const calm = await written("calm");
    expect(await written("page")).toEqual(calm);
    expect(readFileSync(join(at("page"), "images", "0", "0.json"), "utf8")).toContain("class one");
  });

  it("says nothing when nothing was finished, and leaves nothing", () => {
    rmSync(at("photos"), { recursive: true });
    const words = ["explore", at("store"), "--static", at("page"), "--browse-only"];
    const { code, stderr } = odis(words);
    expect(code).toBe(3);
    expect(stderr).not.toContain("are kept");
    expect(readdirSync(scratch())).toEqual(["store"]);
  });
});

it("a page of files says nothing of where the pictures and the run lie on its maker's machine", async () => {
  const store = await embedded(scratch(), `coco:${at("photos")}`);
  expect(odis(["explore", store, "--static", at("page")]).code).toBe(0);
  const files = readdirSync(at("page"), { recursive: true, withFileTypes: true }).filter((one) =>
    one.isFile(),
  );
  expect(files.length).toBeGreaterThan(30);
  const telling = files.filter(({ parentPath, name }) =>
    readFileSync(join(parentPath, name)).includes(scratch()),
  );
  expect(telling.map(({ name }) => name)).toEqual([]);
});
