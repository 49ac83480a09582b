import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it, vi } from "vitest";
import { besideStore, serveStore } from "../../src/explore/index.js";
import { openStore, type Store } from "../../src/search/index.js";
import { useBrowser } from "../browser.js";
import { odis } from "../cli/odis.js";
import { madeStore } from "../search/made-store.js";
import { embedded, near, photos } from "./library.js";

const { open, sidewaysScroll } = useBrowser();
let folder: string;
let shown: Store;
let other: Store;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "odis-test-"));
  shown = openStore(await embedded(folder, `coco:${photos}`));
  // The same photographs elsewhere, in another order and one fewer, as another network sees them.
  const place = join(folder, "photos");
  cpSync(photos, place, { recursive: true });
  const file = join(place, "instances.json");
  const told = JSON.parse(readFileSync(file, "utf8"));
  const [dropped, ...images] = told.images.toReversed();
  const annotations = told.annotations.filter(
    ({ image_id: image }: { image_id: number }) => image !== dropped.id,
  );
  writeFileSync(file, JSON.stringify({ ...told, images, annotations }));
  other = openStore(await embedded(folder, `coco:${place}`, { recipe: "ibot" }));
});
afterAll(() => {
  shown[Symbol.dispose]();
  other[Symbol.dispose]();
  rmSync(folder, { recursive: true, force: true });
});

/** Where the other store has an object of the first, by what people see. */
function otherRow(row: number): number | undefined {
  const { image, box } = shown.object(row);
  for (let at = 0; at < other.size("images"); at += 1)
    if (other.image(at).key === image.key)
      return other.objectsIn(at).find((one) => JSON.stringify(one.box) === JSON.stringify(box))
        ?.row;
  return undefined;
}

describe("a store beside another", () => {
  it("is searched by the same objects, and answers with the rows that are shown", () => {
    const beside = besideStore(shown, other);
    const rows = Array.from({ length: shown.size("objects") }, (_, row) => row);
    const back = new Map(rows.map((row) => [otherRow(row), row]));
    const missing = rows.filter((row) => otherRow(row) === undefined);
    expect(missing.length).toBeGreaterThan(0);
    for (const row of [0, 3, shown.size("objects") - 1]) {
      const theirs = otherRow(row);
      if (theirs === undefined) {
        expect(beside.like(row, 5)).toEqual([]);
        continue;
      }
      const wanted = other.search(other.vector("objects", theirs), { top: 5, without: [theirs] });
      const got = beside.like(row, 5);
      expect(got.map((hit) => hit.row)).toEqual(wanted.map((hit) => back.get(hit.row)));
      expect(got.map((hit) => hit.object!.image.key)).toEqual(wanted.map((hit) => hit.image.key));
      expect(got.map((hit) => hit.similarity)).toEqual(wanted.map((hit) => hit.similarity));
    }
  });

  it("is asked for as many as are needed, not for all that it has", () => {
    // Of every nine objects of the other one, the first store has two: the least alike to the rest.
    const sizes = { shards: 1, images: 6, width: 4 };
    const value = (perImage: number) => (object: number, at: number) =>
      object % perImage < 2
        ? [1, 0.01 * (object % 7), 0.001 * Math.floor(object / perImage), 0][at]!
        : Math.sin(1 + 4 * object + at);
    const few = madeStore(join(folder, "few"), { ...sizes, objects: 2 }, value(2));
    const many = madeStore(join(folder, "many"), { ...sizes, objects: 9 }, value(9));
    const asked = vi.spyOn(many, "search");
    const beside = besideStore(few, many);
    const all = many
      .search(many.vector("objects", 9), { top: 54, without: [9] })
      .filter(({ row }) => row % 9 < 2)
      .map(({ row }) => 2 * Math.floor(row / 9) + (row % 9));
    asked.mockClear();
    for (const top of [0, 1, 3, 11, 40]) {
      expect(beside.like(2, top).map(({ row }) => row)).toEqual(all.slice(0, top));
      const tops = asked.mock.calls.map(([, options]) => options!.top!);
      expect(tops[0]).toBe(Math.min(54, 2 * top));
      if (top === 3) expect(Math.max(...tops)).toBeLessThan(54);
      asked.mockClear();
    }
    few[Symbol.dispose]();
    many[Symbol.dispose]();
  });

  it.each([
    [1600, "light"],
    [400, "dark"],
  ] as const)("is a second list on the page, at %i pixels", async (width, colorScheme) => {
    const beside = besideStore(shown, other);
    const server = await serveStore(shown, { beside });
    const { page, problems } = await open(server.url, width, { colorScheme });
    await page.waitForSelector(".cell img");
    await page.locator(".cell").first().click();
    const wanted = (row: number): readonly number[] => [
      ...shown
        .search(shown.vector("objects", row), { top: 24, without: [row] })
        .map((hit) => hit.row),
      ...beside.like(row, 24).map((hit) => hit.row),
    ];
    const both = wanted(0);
    expect(await near(page)).toEqual(both);
    const titles = await page.locator(".lists h3").allTextContents();
    expect(titles[0]).toBe("Most alike by step-00000007-store");
    const models = await page.locator(".lists p.note").allTextContents();
    expect(models.map((model) => model.split(" ")[0])).toEqual(["odis", "ibot"]);
    // On from what the other one found.
    const next = both.at(-1)!;
    await page.locator(".near").nth(1).locator("button").last().click();
    // The page forbids eval, which waitForFunction needs.
    await expect.poll(() => page.url(), { timeout: 10_000 }).toMatch(new RegExp(`object=${next}$`));
    await page.waitForSelector(`.lists li button:not([data-row="${next}"])`);
    await expect.poll(() => near(page), { timeout: 10_000 }).toEqual(wanted(next));
    expect(await sidewaysScroll(page)).toBe(0);
    expect(problems).toEqual([]);
    await page.close();
    await server.close();
  });

  it("is refused when it is of another library", () => {
    const apart = madeStore(
      join(folder, "apart"),
      { shards: 1, images: 3, objects: 2, width: 4 },
      undefined,
      "coco:not-here",
    );
    const { code, stderr } = odis(["explore", shown.path, apart.path]);
    expect([code, stderr]).toEqual([
      4,
      `odis explore: stores ${shown.path} and ${apart.path}: have no object of an image in common; ` +
        "wanted two networks' stores of one library\n",
    ]);
    expect(odis(["explore", shown.path, other.path, "--static", join(folder, "x")])).toMatchObject({
      code: 2,
      stderr: "odis explore: --static: writes the page of one store; got two\n",
    });
  });
});
