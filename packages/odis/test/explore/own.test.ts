import sharp from "sharp";
import { expect, it } from "vitest";
import { OwnPictures } from "../../src/explore/own.js";

const picture = (width: number, height: number): Promise<Buffer> =>
  sharp({ create: { width, height, channels: 3, background: "#fa3" } })
    .png()
    .toBuffer();

it("numbers of photographs are not those of another server, and fit into an address", async () => {
  const file = await picture(2, 3);
  const numbers: number[] = [];
  for (let server = 0; server < 5; server += 1) {
    const kept = new OwnPictures();
    const [first, second] = [await kept.add(file), await kept.add(file)];
    expect([first.width, first.height, second.own]).toEqual([2, 3, first.own + 1]);
    numbers.push(first.own);
  }
  expect(new Set(numbers).size).toBe(5);
  for (const own of numbers) expect(String(own)).toMatch(/^\d{1,15}$/);
});

it("keeps photographs up to so many bytes, and the last one whatever it has", async () => {
  const kept = new OwnPictures(2 * 300);
  const small = await picture(10, 10);
  const [a, b, c] = [await kept.add(small), await kept.add(small), await kept.add(small)];
  expect(() => kept.get(a.own)).toThrow(
    `photograph ${a.own} of yours is not kept any more: give it again`,
  );
  for (const { own } of [b, c]) expect(kept.get(own).width).toBe(10);
  const large = await kept.add(await picture(100, 100));
  expect(kept.get(large.own).rgb).toHaveLength(30_000);
  expect(() => kept.get(c.own)).toThrow("give it again");
});
