import { cpSync, truncateSync } from "node:fs";
import { join } from "node:path";
import { load, openSource, parseDataSpec, pretrain, recipeLayers, resolveRecipe } from "odis";
import { describe, expect, it } from "vitest";
import { scratchFolder } from "./scratch.js";

const scratch = scratchFolder();
const photos = parseDataSpec(`coco:${new URL("fixtures/coco-6", import.meta.url).pathname}`);
const tiny = {
  model: { dim: 16, depth: 2, heads: 2, patch: 8 },
  head: { hidden: 16, bottleneck: 8, prototypes: 16 },
  optim: { batch: 2, steps: 3 },
};

// The README's ten lines, on real photographs.
describe("library use", () => {
  it("pretrains, loads the teacher and asks for one object of a photograph", async () => {
    const recipe = resolveRecipe([
      ...recipeLayers("odis", "vit-mini"),
      { source: "test", values: tiny },
    ]);
    const run = await pretrain({ recipe, data: photos, out: join(scratch(), "run") });
    expect(run).toMatchObject({ finished: true, steps: 3, totalSteps: 3 });

    using teacher = load(run.out);
    const source = await openSource(photos);
    const photo = await source.read(0);
    const [first, second] = photo.objects;
    const whole = teacher.features(photo);
    const one = teacher.features(photo, first);
    expect(one).toHaveLength(teacher.width);
    expect(one).toEqual(teacher.features(photo, first));
    expect(one).not.toEqual(whole);
    if (second) expect(one).not.toEqual(teacher.features(photo, second));
    expect(teacher.patchFeatures(photo)).toHaveLength((32 / 8) ** 2 * teacher.width);
  });

  it("ends a run when more images are unusable than it was told to bear", async () => {
    const folder = join(scratch(), "photos");
    cpSync(new URL("fixtures/coco-6", import.meta.url), folder, { recursive: true });
    const data = parseDataSpec(`coco:${folder}`);
    truncateSync(join(folder, "images", (await openSource(data)).key(0)), 500);
    const recipe = resolveRecipe([
      ...recipeLayers("odis", "vit-mini"),
      { source: "test", values: tiny },
    ]);
    const run = (maxBad: number) =>
      pretrain({ recipe, data, out: join(scratch(), `bad-${maxBad}`), maxBad });
    await expect(run(0)).rejects.toThrow(
      /1 image cannot be used; at most 0 may be skipped\. The first of them:/,
    );
    const { finished, skipped } = await run(0.5);
    expect({ finished, skipped: skipped.size }).toEqual({ finished: true, skipped: 1 });
  });
});
