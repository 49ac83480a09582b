import { expect, test } from "vitest";
import { counted } from "../../src/core/index.js";

test.each([
  [0, "0 images"],
  [1, "1 image"],
  [2, "2 images"],
  [1234, "1,234 images"],
])("%i is counted as %s", (n, text) => {
  expect(counted(n, "image")).toBe(text);
});

test("what has a plural of its own is told of it", () => {
  expect([1, 3].map((n) => counted(n, "class", "classes"))).toEqual(["1 class", "3 classes"]);
});
