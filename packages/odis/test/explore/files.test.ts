import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  renameSync,
  rmSync,
  statSync,
  truncateSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Page } from "playwright-core";
import sharp from "sharp";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { writeLibrary } from "../../src/explore/index.js";
import { openStore } from "../../src/search/index.js";
import { useBrowser } from "../browser.js";
import { odis } from "../cli/odis.js";
import { serveFiles } from "./file-server.js";
import {
  dragBox,
  drop,
  embedded,
  hold,
  hostile,
  library,
  mark,
  marked,
  near,
  photoBox,
  photos,
} from "./library.js";

const { open, sidewaysScroll } = useBrowser();
let folder: string;
let place: string;
/** A photograph that is not in the library, as files of two kinds. */
const own = { "mine.png": "", "mine.jpg": "" };

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "odis-test-"));
  place = library(join(folder, "photos"));
  const [, , some] = readdirSync(join(photos, "images")).toSorted();
  const turned = sharp(join(photos, "images", some!))
    .rotate(90)
    .modulate({ saturation: 0.7 });
  for (const name of Object.keys(own) as (keyof typeof own)[]) {
    own[name] = join(folder, name);
    await turned.clone().toFile(own[name]);
  }
});
afterAll(() => rmSync(folder, { recursive: true, force: true }));

/** Writes a store's page, serves it and looks at it; nothing may go wrong meanwhile. */
async function look(
  store: string,
  options: {
    width?: number;
    colorScheme?: "light" | "dark";
    browseOnly?: boolean;
    /** does something to the folder before it is served */
    harm?: (out: string) => void;
  },
  work: (page: Page) => Promise<void>,
): Promise<void> {
  const { width = 1600, colorScheme = "light", browseOnly = false, harm } = options;
  const out = mkdtempSync(join(folder, "page-"));
  using opened = openStore(store);
  await writeLibrary(opened, { out, browseOnly });
  harm?.(out);
  const server = await serveFiles(out);
  const { page, problems, requests } = await open(server.url, width, { colorScheme });
  try {
    if (!harm) await page.waitForSelector(".cell img");
    await work(page);
    await page.waitForLoadState("networkidle");
    expect(problems).toEqual([]);
    expect(requests.filter((url) => !url.startsWith(server.url))).toEqual([]);
    expect(await sidewaysScroll(page)).toBe(0);
  } finally {
    await page.close();
    await server.close();
  }
}

/** What `odis search` finds. */
function searched(store: string, photo: string, ...words: readonly string[]) {
  const { stdout, stderr } = odis(["search", store, photo, "--top", "24", "--json", ...words]);
  expect(stderr).toBe("");
  const hits: { row: number; similarity: number }[] = JSON.parse(stdout);
  return hits;
}

/** The same rows in the same order, but for those that are alike to four decimals. */
function expectSame(got: readonly number[], wanted: ReturnType<typeof searched>): void {
  const similarity = new Map(wanted.map((hit) => [hit.row, hit.similarity]));
  expect(new Set(got)).toEqual(new Set(wanted.map(({ row }) => row)));
  for (const [at, row] of got.entries())
    expect(Math.abs(similarity.get(row)! - wanted[at]!.similarity)).toBeLessThan(1e-4);
}

describe("a page of files", () => {
  it.each([
    [1600, "light"],
    [400, "dark"],
  ] as const)("shows what a served one shows, at %i pixels, %s", async (width, colorScheme) => {
    const store = await embedded(folder, place);
    await look(store, { width, colorScheme }, async (page) => {
      using opened = openStore(store);
      await page.locator(".cell").nth(2).click();
      const wanted = opened.search(opened.vector("objects", 2), { top: 24, without: [2] });
      expectSame(await near(page), wanted);
      expect(await page.locator("h2").textContent()).toBe(opened.object(2).class);
      expect(await page.locator("summary").allTextContents()).toEqual(["Where the network looks"]);
      await page.click("text=Close");
      await page.selectOption("#class", hostile);
      const names = async () => new Set(await page.locator(".cell span").allTextContents());
      await expect.poll(names, { timeout: 10_000 }).toEqual(new Set([hostile]));
      await page.click("#map-button");
      await page.waitForSelector("#map-note:not(:empty)");
    });
  });

  const kinds = [
    ["[OBJ]", { recipe: "odis" }],
    ["the middle of photographs", { recipe: "odis", frame: "center" }],
    ["[CLS]", { recipe: "ibot" }],
    ["[CLS] and [OBJ]", { recipe: "odis-cls" }],
    ["means of patches", { recipe: "odis-pool" }],
    ["several [OBJ]", { recipe: "odis-multi", settings: { views: { object: { count: 3 } } } }],
  ] as const;
  it.each(kinds)("finds what odis search finds for a dropped photograph: %s", async (_, kind) => {
    const store = await embedded(folder, place, kind);
    await look(store, {}, async (page) => {
      await drop(page, own["mine.png"], "image/png");
      expectSame(await near(page), searched(store, own["mine.png"]));
      expectSame(
        await mark(page, "150,120,170,140"),
        searched(store, own["mine.png"], "--box", "150,120,170,140"),
      );
      expect(await page.locator("#detail > .photo .drawn").count()).toBe(1);
      expectSame(
        await mark(page, "200,260"),
        searched(store, own["mine.png"], "--point", "200,260"),
      );
      expect(await page.locator("#detail > .photo .edge").count()).toBe(1);
    });
  });

  it("finds the same for a JPEG, which the browser decodes in its own way", async () => {
    const store = await embedded(folder, place);
    await look(store, {}, async (page) => {
      await drop(page, own["mine.jpg"], "image/jpeg");
      const got = await dragBox(page);
      expectSame(got, searched(store, own["mine.jpg"], "--box", marked(page, "box")));
    });
  });

  it("has no control for what it cannot do without its network", async () => {
    const store = await embedded(folder, place);
    await look(store, { browseOnly: true }, async (page) => {
      await page.locator(".cell").first().click();
      expect(await near(page)).toHaveLength(24);
      const controls = await page.locator("button:visible, input:visible").count();
      expect(controls).toBe(2 + 24); // the map, closing, and what is alike
      expect(await page.locator("summary").count()).toBe(0); // nobody tells it of attention
      expect(await page.locator("#detail .note").nth(1).textContent()).toBe(
        "In the photograph, dashed boxes are its other objects.",
      );
    });
  });

  it("shows where the like of a patch is, in the visitor's photograph and the library's", async () => {
    const store = await embedded(folder, place);
    await look(store, {}, async (page) => {
      await drop(page, own["mine.png"], "image/png");
      await page.click("text=Patch likeness");
      const { x, y, width: w, height: h } = await photoBox(page);
      await page.mouse.move(x + 0.5625 * w, y + 0.4375 * h);
      await page.waitForSelector(".near canvas");
      expect(await page.locator("#detail > .photo canvas").count()).toBe(1);
      await page.click("text=Patch likeness");
      expect(await page.locator("#detail canvas").count()).toBe(0);
    });
  });

  it("says what it cannot read, and what has no place", async () => {
    const store = await embedded(folder, place);
    const text = join(folder, "notes.txt");
    writeFileSync(text, "no picture");
    await look(store, {}, async (page) => {
      const said = () => page.locator("#status").textContent();
      await page.setInputFiles("input[type=file]", text);
      await expect
        .poll(said, { timeout: 10_000 })
        .toBe(
          "notes.txt: this browser cannot read it as a picture (text/plain); JPEG, PNG and WebP are sure",
        );
      await drop(page, own["mine.png"], "image/png");
      await page.fill("#detail input", "9000,0,10,10");
      await page.click("text=Search there");
      await expect
        .poll(said, { timeout: 10_000 })
        .toMatch(/^box 9000,0,10,10: is outside of the picture of \d+ × \d+ pixels$/);
      // It can be corrected where it stands.
      expect(await page.inputValue("#detail input")).toBe("9000,0,10,10");
      await page.fill("#detail input", "20,9000");
      await page.click("text=Search there");
      await expect
        .poll(said, { timeout: 10_000 })
        .toMatch(/^point 20,9000: is outside of the picture of \d+ × \d+ pixels$/);
      expect(await mark(page, "20,30")).toHaveLength(24);
      expect(await said()).toBe("");
      await page.reload();
      await expect
        .poll(said, { timeout: 10_000 })
        .toBe("this photograph of yours is not kept any more: give it again");
    });
  });
});

describe("a folder that is not whole", () => {
  const half = (file: string): void => truncateSync(file, Math.floor(statSync(file).size / 2));
  const said = (page: Page) => page.locator("#status").textContent();
  const patient = { timeout: 10_000 };

  it("is not searched by vectors of which some are missing", async () => {
    const store = await embedded(folder, place);
    const harm = (out: string): void => half(join(out, "vectors", "0.f32"));
    await look(store, { harm }, async (page) => {
      await page.locator(".cell img").first().click();
      await expect
        .poll(() => said(page), patient)
        .toMatch(
          /^some\/where\/vectors\/0\.f32: got (\d+) bytes, wanted \d+; the folder is not whole$/,
        );
      expect(await page.locator(".near li").count()).toBe(0);
    });
  });

  it.each([
    ["network.onnx", /^some\/where\/network\.onnx: got \d+ bytes, wanted \d+; the folder is not/],
    [
      "onnxruntime/ort.wasm",
      /^some\/where\/onnxruntime\/ort\.wasm: got \d+ bytes, wanted \d+; the/,
    ],
  ])("does not look by half of %s", async (name, sentence) => {
    const store = await embedded(folder, place);
    await look(store, { harm: (out) => half(join(out, name)) }, async (page) => {
      await page.locator(".cell img").first().click();
      await near(page);
      await page.fill("#detail input", "20,30");
      await page.click("text=Search there");
      await expect.poll(() => said(page), patient).toMatch(sentence);
    });
  });

  it("is not read when another release wrote it", async () => {
    const store = await embedded(folder, place);
    const harm = (out: string): void => {
      const file = join(out, "library.json");
      writeFileSync(
        file,
        JSON.stringify({ ...JSON.parse(readFileSync(file, "utf8")), version: 1 }),
      );
    };
    await look(store, { harm }, async (page) => {
      await expect
        .poll(() => said(page), patient)
        .toBe(
          "library.json: got version 1, wanted 2; the folder is of two releases of odis: write it anew, or load this page anew",
        );
    });
  });
});

it("a page of files takes no message away when something was loaded", async () => {
  const store = await embedded(folder, place);
  const text = join(folder, "other.txt");
  writeFileSync(text, "no picture");
  await look(store, {}, async (page) => {
    const release = await hold(page, /vectors/);
    await page.locator(".cell").first().click();
    await page.waitForSelector("#detail[aria-busy]");
    await page.setInputFiles("input[type=file]", text);
    const said = () => page.locator("#status").textContent();
    await expect.poll(said, { timeout: 10_000 }).toMatch(/^other\.txt: this browser cannot read/);
    await release();
    expect(await near(page)).toHaveLength(24);
    expect(await page.locator("#progress").textContent()).toBe("");
    expect(await said()).toMatch(/^other\.txt: this browser cannot read/);
  });
});

describe("odis explore --static", () => {
  it("writes a folder once, says how large it is and how to look at it", async () => {
    const store = await embedded(folder, place);
    const out = join(folder, "new", "page");
    const { code, stdout } = odis(["explore", store, "--static", out]);
    expect(code).toBe(0);
    const [first, second] = stdout.trimEnd().split("\n");
    const kept = openStore(store);
    expect(first).toMatch(
      new RegExp(
        `^${out}: ${kept.size("objects")} objects in ${kept.size("images")} images, [\\d.]+ MB \\([\\d.]+ MB of it the network and what runs it, loaded when a visitor searches\\)$`,
      ),
    );
    expect(second).toBe(
      `any web server shows it, in any folder; here: python3 -m http.server --bind 127.0.0.1 --directory ${out} 8018`,
    );
    expect(readdirSync(join(folder, "new"))).toEqual(["page"]);
    const again = odis(["explore", store, "--static", out]);
    expect(again).toMatchObject({ code: 4, stdout: "" });
    expect(again.stderr).toContain(
      `${out}: a page of odis explore is there already, and whole; to write it anew, delete the folder first (rm -r ${out}) or choose another one`,
    );
  });

  it("leaves nothing where it cannot be done, and says why in a sentence", async () => {
    const there = library(join(folder, "moving"));
    const store = await embedded(folder, there);
    const out = join(folder, "never", "page");
    mkdirSync(join(folder, "never"));
    const refused = (...words: readonly string[]) => {
      const { code, stderr } = odis(["explore", store, ...words]);
      expect(existsSync(out)).toBe(false);
      expect(readdirSync(join(folder, "never"))).toEqual([]);
      expect(stderr.trimEnd().split("\n")).toHaveLength(1);
      return `${code} ${stderr.trimEnd()}`;
    };
    expect(refused("--browse-only")).toMatch(
      /^2 .*--browse-only: says how files are written; give --static FOLDER, too$/,
    );
    expect(refused("--static", out, "--port", "1")).toMatch(
      /^2 .*--port: says where it is served; --static writes files$/,
    );
    expect(refused("--limit", "3")).toMatch(
      /^2 .*--limit: says how many of a run's images are embedded; .* is a store$/,
    );
    writeFileSync(join(folder, "file"), "");
    expect(refused("--static", join(folder, "file"))).toMatch(
      /^4 .*file: is a file; wanted a new or an empty folder$/,
    );

    const images = join(folder, "moving", "images");
    const torn = join(images, readdirSync(images).find((name) => name.includes("<"))!);
    const whole = readFileSync(torn);
    writeFileSync(torn, whole.subarray(0, 3000));
    expect(refused("--static", out)).toMatch(/^3 .*image .*: cannot be decoded \(.*\)$/);
    writeFileSync(torn, whole);
    renameSync(join(folder, "moving"), join(folder, "moved"));
    expect(refused("--static", out)).toMatch(
      /^3 .*the pictures of the store: .* Put them back; if the store is of an earlier release/,
    );
    renameSync(join(folder, "moved"), join(folder, "moving"));

    const { from } = openStore(store).model;
    renameSync(from, `${from}-away`);
    expect(refused("--static", out)).toMatch(
      /^4 .*the run that made it is not at .* any more\. Say where it is: --run FOLDER$/,
    );
    expect(odis(["explore", store, "--static", out, "--run", `${from}-away`]).code).toBe(0);
  });
});
