import { expect, test } from "vitest";
import { viewLines } from "../../src/cli/diagnose.js";
import { measureViews } from "../../src/cli/view-rates.js";

test("a machine without a GPU is told what its cores deliver", () => {
  expect(viewLines({ drawn: 151.4, planned: 233, device: 28 }, "cpu", 2)).toEqual([
    [
      "views",
      "151 photographs a second and core drawn by workers, 233 decoded and planned (640 x 480 to 2 x 224 + 10 x 96)",
    ],
  ]);
});

test.each([
  [4012, "2,330, of which decoding is the limit (cuda:0 draws 4,012)"],
  [1290, "1,290, of which cuda:0 is the limit (cuda:0 draws 1,290)"],
])("one with a GPU is told which side would be the limit: %s", (device, text) => {
  const [, line] = viewLines({ drawn: 151.4, planned: 233, device }, "cuda:0", 10);
  expect(line).toEqual(["", `10 cores: 1,514 a second; with views.drawnBy=device ${text}`]);
});

test("rates are measured, and drawing takes its time", async () => {
  const { drawn, planned, device } = await measureViews("cpu");
  expect(Math.min(drawn, planned, device)).toBeGreaterThan(0);
  expect(planned).toBeGreaterThan(drawn);
});
