import { cpSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Page } from "playwright-core";
import type { Settings } from "../../src/core/index.js";
import { openSource, parseDataSpec } from "../../src/data/index.js";
import type { Frame } from "../../src/portable/index.js";
import type { RecipeName } from "../../src/recipe/methods.js";
import { embed, loadModel } from "../../src/search/index.js";
import { randomRun } from "../formats/random-run.js";

export const photos = new URL("../fixtures/coco-6", import.meta.url).pathname;
export const hostile = `<img src=x onerror="document.title='owned'"><script>document.title='owned'</script>`;
const views = { views: { globals: { size: 32 }, locals: { size: 16, count: 0 } } };

/** Photographs of which one class and one file have names that would be markup. */
export function library(place: string): string {
  mkdirSync(place, { recursive: true });
  cpSync(join(photos, "images"), join(place, "images"), { recursive: true });
  const told = JSON.parse(readFileSync(join(photos, "instances.json"), "utf8"));
  const [first] = readdirSync(join(place, "images")).toSorted();
  const name = `a"><b onmouseover=alert(1)>'.jpg`;
  cpSync(join(place, "images", first!), join(place, "images", name));
  for (const image of told.images) if (image.file_name === first) image.file_name = name;
  told.categories.find(({ id }: { id: number }) => id === told.annotations[0].category_id).name =
    hostile;
  writeFileSync(join(place, "instances.json"), JSON.stringify(told));
  return `coco:${place}`;
}

/** A store of a library by a random network. @returns its folder */
export async function embedded(
  folder: string,
  place: string,
  {
    recipe = "odis",
    settings = {},
    frame = "whole",
  }: { recipe?: RecipeName; settings?: Settings; frame?: Frame } = {},
): Promise<string> {
  const run = randomRun(folder, recipe, views, settings).path;
  const { teacher, model } = loadModel(run, { frame });
  const out = `${run}-store`;
  await embed({ teacher, model, out, place, source: await openSource(parseDataSpec(place)) });
  teacher.free();
  return out;
}

/** What the page says is most alike, by rows. */
export async function near(page: Page): Promise<readonly number[]> {
  await page.waitForSelector("#detail:not([aria-busy]) .near li");
  return page.$$eval(".near button", (all) =>
    all.map((one) => Number(one.getAttribute("data-row"))),
  );
}

/** Marks a box or a point of the photograph by the page's form. @returns what is most alike */
export async function mark(page: Page, words: string): Promise<readonly number[]> {
  await page.fill("#detail input", words);
  await page.click("text=Search there");
  const title = words.split(",").length === 4 ? "a box" : "a thing at a point";
  await page.waitForSelector(`#detail h2:text-is("${title}")`);
  return near(page);
}

/** Where the photograph is on the screen. */
export const photoBox = async (page: Page) =>
  (await page.locator("#detail > .photo").boundingBox())!;

/** Draws a box from a fifth and three tenths of the photograph on. @returns what is most alike */
export async function dragBox(page: Page): Promise<readonly number[]> {
  const { x, y, width: w, height: h } = await photoBox(page);
  await page.mouse.move(x + 0.2 * w, y + 0.3 * h);
  await page.mouse.down();
  await page.mouse.move(x + 0.6 * w, y + 0.7 * h, { steps: 4 });
  await page.mouse.up();
  await page.waitForSelector("#detail > .photo .drawn");
  return near(page);
}

/** A word of the page's address, e.g. `box`. */
export const marked = (page: Page, word: string): string =>
  new URLSearchParams(new URL(page.url()).hash.slice(1)).get(word)!;

/** Holds what the page asks for. @returns lets all of it go on */
export async function hold(page: Page, address: RegExp): Promise<() => Promise<void>> {
  let release = (): void => undefined;
  const released = new Promise<void>((resolve) => (release = resolve));
  await page.route(address, async (route) => {
    await released;
    await route.continue();
  });
  return async () => {
    const answered = page.waitForResponse(address);
    release();
    await (await answered).finished();
    await page.evaluate("new Promise((done) => setTimeout(done, 100))");
  };
}

/** Drops a file on the page, as a hand does. */
export async function drop(page: Page, file: string, type: string): Promise<void> {
  const bytes = readFileSync(file).toString("base64");
  const named = JSON.stringify([bytes, file.split("/").at(-1)!, type]);
  await page.evaluate(`(() => {
    const [bytes, name, type] = ${named};
    const dataTransfer = new DataTransfer();
    const raw = Uint8Array.from(atob(bytes), (letter) => letter.charCodeAt(0));
    dataTransfer.items.add(new File([raw], name, { type }));
    for (const event of ["dragover", "drop"])
      document.body.dispatchEvent(new DragEvent(event, { dataTransfer, bubbles: true, cancelable: true }));
  })()`);
  await page.waitForSelector("#detail h2:has-text('your photograph')");
  await near(page);
}
