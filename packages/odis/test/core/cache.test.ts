import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Cache } from "../../src/core/index.js";

describe("a cache", () => {
  it("keeps what was asked for last, as much as its bound allows", async () => {
    const asked = fc.array(fc.integer({ min: 1, max: 9 }), { maxLength: 60 });
    await fc.assert(
      fc.asyncProperty(asked, fc.integer({ min: 1, max: 30 }), async (keys, most) => {
        const cache = new Cache<number, number>(most, (value) => value);
        // What costs its own number: the last ones asked for, oldest first.
        let kept: number[] = [];
        for (const key of keys) {
          let isMade = false;
          const value = await cache.get(key, async () => {
            isMade = true;
            return key;
          });
          expect([value, isMade]).toEqual([key, !kept.includes(key)]);
          kept = [...kept.filter((one) => one !== key), key];
          while (kept.length > 1 && kept.reduce((sum, one) => sum + one, 0) > most) kept.shift();
        }
      }),
    );
  });

  it("keeps what is still being made, and what came after something that failed late", async () => {
    const cache = new Cache<string, number>(10, (value) => value);
    let fail: (reason: Error) => void = () => undefined;
    const first = cache.get("slow", () => new Promise((_, reject) => (fail = reject)));
    for (const key of ["a", "b", "c"]) await cache.get(key, async () => 8);
    let again = 0;
    const remade = async (): Promise<number> => (again += 1);
    expect(cache.get("slow", remade)).toBe(first);
    fail(new Error("no"));
    await expect(first).rejects.toThrow("no");
    expect(await cache.get("slow", remade)).toBe(1);
    expect(await cache.get("slow", remade)).toBe(1);
  });

  it("makes once what several ask for at a time, and anew what failed", async () => {
    const cache = new Cache<string, number>(10, () => 1);
    let made = 0;
    const make = async (): Promise<number> => (made += 1);
    expect(await Promise.all([cache.get("a", make), cache.get("a", make)])).toEqual([1, 1]);
    await expect(cache.get("b", () => Promise.reject(new Error("no")))).rejects.toThrow("no");
    expect(await cache.get("b", make)).toBe(2);
  });
});
