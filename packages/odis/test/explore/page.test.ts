import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { outlineOf } from "../../src/portable/index.js";
import {
  grow,
  openStore,
  photoQuery,
  planeOf,
  type Store,
  type StoredImage,
  type StoredObject,
  StorePictures,
} from "../../src/search/index.js";
import type { Page } from "playwright-core";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type ExploreServer, serveStore } from "../../src/explore/index.js";
import { useBrowser } from "../browser.js";
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
/** A busy machine takes its time. */
const patient = { timeout: 10_000 };
let folder: string;
let store: Store;
let server: ExploreServer;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "odis-test-"));
  store = openStore(await embedded(folder, library(join(folder, "photos"))));
  server = await serveStore(store);
});
afterAll(async () => {
  await server.close();
  store[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** A pixel of an image that is in no box of some objects, nor near the image's edge. */
function freeOf(objects: readonly StoredObject[], { width, height }: StoredImage) {
  for (let y = 10; y < height - 10; y += 5)
    for (let x = 10; x < width - 10; x += 5) {
      const covers = ({ box }: StoredObject) =>
        x >= box.x - 4 && y >= box.y - 4 && x < box.x + box.width + 4 && y < box.y + box.height + 4;
      if (!objects.some(covers)) return [x, y] as const;
    }
  throw new Error("all of it is covered");
}

describe.each([
  [1600, "light"],
  [400, "dark"],
] as const)("at %i pixels, %s", (width, colorScheme) => {
  let page: Page;
  let problems: readonly string[];
  let requests: readonly string[];
  beforeEach(async () => {
    ({ page, problems, requests } = await open(server.url, width, { colorScheme }));
    await page.waitForSelector(".cell img");
  });
  afterEach(async () => {
    await page.waitForLoadState("networkidle");
    expect(problems).toEqual([]);
    expect(requests.filter((url) => !url.startsWith(server.url))).toEqual([]);
    expect(await sidewaysScroll(page)).toBe(0);
    expect(await page.title()).toMatch(/-store – odis explore$/);
    await page.close();
  });

  it("shows what is like an object after one click, and what is like that after another", async () => {
    await page.locator(".cell").nth(2).click();
    const wanted = store.search(store.vector("objects", 2), { top: 24, without: [2] });
    expect(await near(page)).toEqual(wanted.map(({ row }) => row));
    const [first] = await page.locator(".near b").allTextContents();
    expect(first).toBe(wanted[0]!.similarity.toFixed(3));
    expect(await page.locator("h2").textContent()).toBe(store.object(2).class);
    expect(await page.locator("#detail > .photo .edge").count()).toBe(1);

    await page.locator(".near button").first().click();
    await expect
      .poll(() => page.evaluate(`location.hash.endsWith("object=${wanted[0]!.row}")`), patient)
      .toBe(true);
    await expect
      .poll(() =>
        page.evaluate(
          `document.querySelector("#detail:not([aria-busy]) .near li button")?.dataset.row !== "${wanted[0]!.row}"`,
        ),
      )
      .toBe(true);
    await page.goBack();
    await expect
      .poll(() => page.evaluate(`location.hash.endsWith("object=2")`), patient)
      .toBe(true);
  });

  it("opens an object whose cell is not filled yet, as soon as it is known", async () => {
    const release = await hold(page, /api\/objects\?.*count=120/);
    await page.reload();
    await page.locator(".cell").nth(2).click();
    expect(await page.locator(".cell img, #detail .near").count()).toBe(0);
    await release();
    await near(page);
    expect(marked(page, "object")).toBe("2");
  });

  it("is used by keys alone", async () => {
    await page.focus("#grid");
    for (const key of ["ArrowRight", "ArrowRight", "ArrowLeft", "Enter"])
      await page.keyboard.press(key);
    await near(page);
    expect(page.url()).toContain("object=1");
    await page.keyboard.press("Escape");
    await page.waitForSelector("#detail[hidden]", { state: "attached" });
    expect(await page.evaluate("document.activeElement.id")).toBe("grid");
    await page.keyboard.press("End");
    const last = store.size("objects") - 1;
    await page.waitForSelector(`.cell.active[data-row="${last}"]`);
    await page.keyboard.press("Enter");
    await near(page);
    expect(page.url()).toContain(`object=${last}`);
    await page.fill("#detail input", "10,10,90,80");
    await page.keyboard.press("Enter");
    await expect
      .poll(() =>
        page.evaluate(
          `location.hash.endsWith("box=10%2C10%2C90%2C80") || location.hash.endsWith("box=10,10,90,80")`,
        ),
      )
      .toBe(true);
    expect(await near(page)).toHaveLength(24);
  });

  it("searches for a box that is drawn on a photograph", async () => {
    await page.locator(".cell").first().click();
    await near(page);
    expect(await dragBox(page)).toHaveLength(24);
    const box = marked(page, "box").split(",").map(Number);
    const image = store.object(0).image;
    const parts = [image.width, image.height, image.width, image.height].map(
      (of, at) => box[at]! / of,
    );
    for (const [at, part] of [0.2, 0.3, 0.4, 0.4].entries())
      expect(Math.abs(parts[at]! - part)).toBeLessThan(0.02);
  });

  it("searches for the thing that is clicked on, as odis search --point does", async () => {
    await page.locator(".cell").first().click();
    await near(page);
    const { x, y, width: w, height: h } = await photoBox(page);
    // A place that no other object's box covers.
    const { image } = store.object(0);
    const others = store.objectsIn(image.row).filter(({ row }) => row !== 0);
    const [px, py] = freeOf(others, image);
    await page.mouse.click(x + (px / image.width) * w, y + (py / image.height) * h);
    await page.waitForSelector(`#detail h2:text-is("a thing at a point")`);
    const got = await near(page);
    const point = marked(page, "point").split(",");
    const sample = await new StorePictures().read(image);
    const object = grow(store.network(), sample, Number(point[0]), Number(point[1]));
    const wanted = store.search({ sample, object }, { top: 24 });
    expect(got).toEqual(wanted.map(({ row }) => row));
    expect(await page.locator("#detail > .photo .edge").getAttribute("d")).toBe(
      outlineOf(object.pixels(), sample),
    );
  });

  it.each(["Shift", "Alt"])(
    "takes a click inside of another object's box, with %s held, for the point",
    async (key) => {
      await page.locator(".cell").first().click();
      await near(page);
      expect(await page.locator("#detail .note").nth(1).textContent()).toContain(
        "dashed boxes are its other objects: hold Shift or Alt to click on a point inside of one.",
      );
      const [other] = store.objectsIn(store.object(0).image.row).filter(({ row }) => row !== 0);
      const { image, box } = other!;
      const at = [box.x + box.width / 2, box.y + box.height / 2] as const;
      const click = async () => {
        const { x, y, width: w, height: h } = await photoBox(page);
        await page.mouse.click(x + (at[0] / image.width) * w, y + (at[1] / image.height) * h);
      };
      await page.keyboard.down(key);
      await click();
      await page.keyboard.up(key);
      await page.waitForSelector(`#detail h2:text-is("a thing at a point")`);
      expect(await near(page)).toHaveLength(24);
      const point = marked(page, "point").split(",").map(Number);
      for (const side of [0, 1]) expect(Math.abs(point[side]! - at[side]!)).toBeLessThan(3);
      // Without a key the same click opens the object that is there.
      await click();
      await page.waitForSelector(`#detail h2:not(:text-is("a thing at a point"))`);
      expect(marked(page, "object")).not.toBeNull();
    },
  );

  it.each([
    ["pressed", "a thing at a point"],
    ["let go", "the object"],
  ] as const)(
    "takes a click during which Shift is %s for %s, and for nothing else",
    async (what, meant) => {
      await page.locator(".cell").first().click();
      await near(page);
      const [other] = store.objectsIn(store.object(0).image.row).filter(({ row }) => row !== 0);
      const { image, box } = other!;
      const { x, y, width: w, height: h } = await photoBox(page);
      const middle = [
        (box.x + box.width / 2) / image.width,
        (box.y + box.height / 2) / image.height,
      ];
      await page.mouse.move(x + middle[0]! * w, y + middle[1]! * h);
      const asked: string[] = [];
      page.on("request", (request) => {
        if (request.url().includes("/api/near")) asked.push(request.url());
      });
      if (what === "let go") await page.keyboard.down("Shift");
      await page.mouse.down();
      await (what === "pressed" ? page.keyboard.down("Shift") : page.keyboard.up("Shift"));
      const addresses = (): Promise<number> => page.evaluate("history.length");
      const before = await addresses();
      await page.mouse.up();
      await page.keyboard.up("Shift");
      await expect.poll(() => asked.length, patient).toBe(1);
      await expect.poll(() => near(page), patient).toHaveLength(24);
      expect([marked(page, "point") !== null, marked(page, "object") !== null]).toEqual([
        meant === "a thing at a point",
        meant === "the object",
      ]);
      expect([asked.length, (await addresses()) - before]).toEqual([1, 1]);
    },
  );

  it("takes a photograph of the visitor's own", async () => {
    const [, some] = readdirSync(join(photos, "images")).toSorted();
    const own = join(photos, "images", some!);
    await drop(page, own, "image/jpeg");
    const got = await mark(page, "30,40,120,100");
    const query = await photoQuery(own, { box: [30, 40, 120, 100] }, () => store.network());
    const wanted = store.search(query, { top: 24 });
    expect(got).toEqual(wanted.map(({ row }) => row));
    await page.click("text=Patch likeness");
    const { x, y, width: w, height: h } = await photoBox(page);
    await page.mouse.move(x + 0.5 * w, y + 0.4 * h);
    await page.waitForSelector(".near canvas");
  });

  it("shows names that would be markup as what they are", async () => {
    await page.selectOption("#class", hostile);
    await expect
      .poll(() =>
        page.evaluate(
          `document.querySelectorAll(".cell span").length > 0 && [...document.querySelectorAll(".cell span")].every((one) => one.textContent.startsWith("<img"))`,
        ),
      )
      .toBe(true);
    await page.locator(".cell").first().click();
    await near(page);
    expect(await page.locator("h2").textContent()).toBe(hostile);
    expect(await page.locator("h2 *, .cell b, .cell script, .note b").count()).toBe(0);
  });

  it("shows where the like of a patch is, in this photograph and the others", async () => {
    await page.locator(".cell").first().click();
    await near(page);
    await page.click("text=Patch likeness");
    const { x, y, width: w, height: h } = await photoBox(page);
    // The middle of a patch of 8 x 8.
    await page.mouse.move(x + 0.5625 * w, y + 0.4375 * h);
    await page.waitForSelector(".near canvas");
    const [here, least, most]: readonly number[] = await page.evaluate(`(() => {
      const canvas = document.querySelector("#detail > .photo canvas");
      const { width, height } = canvas;
      const bytes = canvas.getContext("2d").getImageData(0, 0, width, height).data;
      const heat = Array.from({ length: width * height }, (_, at) => bytes[4 * at]);
      const here = heat[Math.floor(0.4375 * height) * width + Math.floor(0.5625 * width)];
      return [here, heat.reduce((a, b) => Math.min(a, b)), heat.reduce((a, b) => Math.max(a, b))];
    })()`);
    expect(most! - here!).toBeLessThan(12); // the canvas smooths
    expect(here! - least!).toBeGreaterThan(60);
    await page.click("text=Patch likeness");
    expect(await page.locator("#detail canvas").count()).toBe(0);
  });

  it("shows where [OBJ] looks, head by head, with the mask and without", async () => {
    await page.locator(".cell").first().click();
    await near(page);
    await page.click("summary");
    await page.waitForSelector(".heads canvas");
    const { heads, depth } = store.network().recipe.model;
    expect(await page.locator(".heads figure").count()).toBe(2 * heads);
    expect(await page.locator("[aria-label=Block] option").count()).toBe(depth);
    await page.selectOption("[aria-label=Block]", "0");
    await page.waitForLoadState("networkidle");
    expect(await page.locator(".heads canvas").count()).toBe(2 * heads);
  });

  it("has a map: a lasso chooses, a click opens", async () => {
    await page.click("#map-button");
    await page.waitForSelector("#map-note:not(:empty)");
    await page.click("#map-lasso");
    const { x, y, width: w, height: h } = (await page.locator("#map").boundingBox())!;
    const path = [
      [0.01, 0.01],
      [0.99, 0.01],
      [0.99, 0.99],
      [0.01, 0.99],
    ] as const;
    await page.mouse.move(x + 0.01 * w, y + 0.01 * h);
    await page.mouse.down();
    for (const [px, py] of path) await page.mouse.move(x + px * w, y + py * h, { steps: 3 });
    await page.mouse.up();
    const all = store.size("objects");
    await expect
      .poll(() => page.locator("#status").textContent(), patient)
      .toBe(`${all} objects chosen on the map`);
    const { places } = planeOf(store);
    const scale = 0.47 * Math.min(w, h);
    const at = [w / 2 + (places[0]! * scale * w) / Math.min(w, h), h / 2 - places[1]! * scale];
    await page.mouse.click(x + at[0]!, y + at[1]!);
    await near(page);
    // Others may lie within a pixel of it.
    const opened = Number(marked(page, "object"));
    expect(
      Math.hypot(places[2 * opened]! - places[0]!, places[2 * opened + 1]! - places[1]!) * scale,
    ).toBeLessThan(3);
  });
});

describe("answers that come late", () => {
  const setSize = (page: Page) => page.locator(".cell").first().getAttribute("aria-setsize");
  async function opened(hash = ""): Promise<Page> {
    const { page } = await open(`${server.url}${hash}`, 1600);
    await page.waitForSelector(".cell img");
    return page;
  }

  it("do not give the list that is shown another's length", async () => {
    const page = await opened();
    const all = String(store.size("objects"));
    const release = await hold(page, /api\/objects\?.*count=1&class=/);
    await page.selectOption("#class", hostile);
    await page.selectOption("#class", "");
    await release();
    expect(await setSize(page)).toBe(all);
    await page.selectOption("#class", hostile);
    await expect.poll(() => setSize(page), patient).not.toBe(all);
    await page.close();
  });

  it("say nothing of what is not asked any more", async () => {
    const page = await opened("#image=0&object=0");
    await near(page);
    const release = await hold(page, /api\/near\?.*box=9000/);
    await page.fill("#detail input", "9000,0,10,10");
    await page.click("text=Search there");
    await page.waitForSelector(`#detail h2:text-is("a box")`);
    await page.goBack();
    await near(page);
    await release();
    expect(await page.locator("#status").textContent()).toBe("");
    expect(await near(page)).toHaveLength(24);
    await page.close();
  });

  it("are not drawn over the block that was chosen since", async () => {
    const page = await opened("#image=0&object=0");
    const last = store.network().recipe.model.depth - 1;
    expect(last).toBeGreaterThan(0);
    const drawn = () =>
      page.evaluate(
        `[...document.querySelectorAll(".heads canvas")].map((one) => one.toDataURL()).join()`,
      );
    await page.click("summary");
    await page.waitForSelector(".heads canvas");
    const ofLast = await drawn();
    const release = await hold(page, /api\/attention\?.*block=0/);
    await page.selectOption("[aria-label=Block]", "0");
    const answered = page.waitForResponse(/api\/attention/);
    await page.selectOption("[aria-label=Block]", String(last));
    await answered;
    await release();
    expect(await drawn()).toBe(ofLast);
    await page.selectOption("[aria-label=Block]", "0");
    await expect.poll(drawn, patient).not.toBe(ofLast);
    await page.close();
  });
});

it("a box outside of the photograph can be corrected where it was typed", async () => {
  const { page } = await open(`${server.url}#image=0&object=0`, 1600);
  await near(page);
  await page.fill("#detail input", "9000,0,10,10");
  await page.click("text=Search there");
  const said = () => page.locator("#status").textContent();
  await expect.poll(said, patient).toMatch(/box 9000,0,10,10: .* outside of the picture/);
  expect(await page.inputValue("#detail input")).toBe("9000,0,10,10");
  expect(await mark(page, "20,30,90,80")).toHaveLength(24);
  expect(await said()).toBe("");
  await page.close();
});

it.each(["point=,", "box=,,,", "box=1,2,3", "point=1.5,2", "point=x,1"])(
  "an address with %s marks nothing",
  async (words) => {
    const { page } = await open(`${server.url}#image=0&${words}`, 1600);
    await near(page);
    expect(await page.locator("h2").textContent()).toBe("all of it");
    await page.close();
  },
);

it("a page whose server has ended says so, and what to do", async () => {
  const ending = await serveStore(store);
  const { page } = await open(ending.url, 1600);
  await page.waitForSelector(".cell img");
  await ending.close();
  await page.locator(".cell").first().click();
  await expect
    .poll(() => page.locator("#status").textContent(), patient)
    .toBe("api/image: no answer; odis explore has ended: start it again");
  await page.close();
});
