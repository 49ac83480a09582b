import { describe, expect, test } from "vitest";
import { ConfigError } from "../../src/core/errors.js";
import { checkViewSizes, viewConfig } from "../../src/views/config.js";

/** The first complaint as `path: message`. */
function complaint(value: unknown): string {
  const result = viewConfig.safeParse(value);
  const issue = result.error?.issues[0];
  return issue ? `${issue.path.join(".")}: ${issue.message}` : "accepted";
}

describe("the configuration of views", () => {
  test("defaults are the published values", () => {
    expect(viewConfig.parse(undefined)).toEqual({
      drawnBy: "workers",
      globals: { count: 2, size: 224, scale: [0.25, 1], aspect: [3 / 4, 4 / 3] },
      locals: {
        count: 10,
        size: 96,
        scale: [0.05, 0.25],
        aspect: [3 / 4, 4 / 3],
        masked: false,
        aware: false,
      },
      flip: 0.5,
      masks: { kind: "truth", iou: 1, missing: 0, minScore: 0, false: 0, seed: 0 },
      object: {
        choose: "area",
        weigh: "none",
        count: 1,
        overlap: 0.3,
        minArea: 0.0025,
        crop: "redraw",
        tries: 20,
        minVisible: 0.01,
      },
      visible: { rule: "any", coverage: 0.5, margin: 1 },
      hidden: {
        shape: "block",
        where: "view",
        ratio: [0, 0.3],
        variance: [0, 0.2],
        aspect: [0.3, 1 / 0.3],
      },
      color: {
        jitter: { p: 0.8, brightness: 0.4, contrast: 0.4, saturation: 0.2, hue: 0.1 },
        gray: 0.2,
        blur: { p: [1, 0.1, 0.5], radius: [0.1, 2] },
        solarize: 0.2,
      },
    });
  });

  test("one changed leaf keeps its siblings' defaults", () => {
    const config = viewConfig.parse({ globals: { size: 48 }, color: { blur: { radius: [0, 1] } } });
    expect(config.globals).toEqual({ ...viewConfig.parse({}).globals, size: 48 });
    expect(config.color.blur).toEqual({ p: [1, 0.1, 0.5], radius: [0, 1] });
  });

  test.each([
    [
      { globals: { size: -8 } },
      "globals.size: wanted the side of the view in pixels, a whole number from 1 to 4096",
    ],
    [
      { globals: { size: 22.5 } },
      "globals.size: wanted the side of the view in pixels, a whole number from 1 to 4096",
    ],
    [
      { globals: { count: 0 } },
      "globals.count: wanted how many views of this kind an image gets, a whole number from 1 to 64",
    ],
    [
      { globals: { scale: [1, 0.25] } },
      "globals.scale: wanted [lowest, highest] of the share of the image's area that a crop covers, the lower number first",
    ],
    [
      { globals: { scale: 0.5 } },
      "globals.scale: wanted [lowest, highest] of the share of the image's area that a crop covers",
    ],
    [
      { locals: { scale: [0, 1] } },
      "locals.scale.0: wanted the share of the image's area that a crop covers, from 0.0001 to 1",
    ],
    [{ flip: "often" }, "flip: wanted the chance of mirroring a view, from 0 to 1"],
    [
      { color: { jitter: { hue: 0.6 } } },
      "color.jitter.hue: wanted the largest turn of the colour circle, from 0 to 0.5",
    ],
    [
      { object: { crop: "first-view", count: 2 } },
      "object.count: wanted 1 with views.object.crop first-view, which knows one object",
    ],
    [
      { masks: { iou: 0.5 } },
      'masks.iou: wanted 1 unless views.masks.kind is "box": only boxes can be moved',
    ],
    [
      { masks: { kind: "none", false: 2 } },
      'masks.kind: wanted another kind with views.masks.missing or .false: "none" leaves no objects',
    ],
    [{ hidden: { ratio: [0.3] } }, "hidden.variance: wanted as many variances as ratios"],
    [
      { hidden: { ratio: [0.1], variance: [0.2] } },
      "hidden.variance: wanted ratio - variance and ratio + variance within 0 to 1",
    ],
    [{ hidden: { ratio: [], variance: [] } }, "hidden.ratio: wanted at least one ratio"],
  ])("%j is refused with a sentence", (value, wanted) => {
    expect(complaint(value)).toBe(wanted);
  });

  test("unknown keys are refused at every level", () => {
    expect(complaint({ crops: 1 })).toContain("crops");
    expect(complaint({ color: { blur: { sigma: 1 } } })).toContain("sigma");
  });

  test("view sizes must divide into patches; without local views their size is not asked for", () => {
    const config = viewConfig.parse({ globals: { size: 100 } });
    expect(() => checkViewSizes(config, 16)).toThrow(
      new ConfigError(
        "views.globals.size: got 100; wanted a multiple of the patch size 16, e.g. 96 or 112",
      ),
    );
    const local = viewConfig.parse({ locals: { size: 8 } });
    expect(() => checkViewSizes(local, 16)).toThrow(
      new ConfigError("views.locals.size: got 8; wanted a multiple of the patch size 16, e.g. 16"),
    );
    checkViewSizes(viewConfig.parse({ locals: { size: 8, count: 0 } }), 16);
    checkViewSizes(viewConfig.parse({}), 16);
  });
});

test("values that had another name once are taken under their new one", () => {
  const { object, visible } = viewConfig.parse({
    object: { crop: "lineage" },
    visible: { rule: "lineage" },
  });
  expect([object.crop, visible.rule]).toEqual(["first-view", "boxes"]);
});
