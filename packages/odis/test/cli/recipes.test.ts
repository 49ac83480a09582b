import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { describe, expect, it } from "vitest";
import { resolveRecipe } from "../../src/recipe/schema.js";
import { recipeLayers, recipeNames } from "../../src/recipe/methods.js";
import { scratchFolder } from "../scratch.js";
import { odis } from "./odis.js";

const scratch = scratchFolder();

describe("odis recipes", () => {
  it("lists every method and the sizes", () => {
    const { code, stdout } = odis(["recipes"]);
    expect(code).toBe(0);
    for (const name of recipeNames) expect(stdout).toMatch(new RegExp(`^  ${name} +\\S`, "m"));
    expect(stdout).toContain("vit-mini  vit-ti  vit-s  vit-b  vit-l  vit-g");
  });

  it("shows where each value comes from", () => {
    const { stdout } = odis([
      "recipes",
      "ibot",
      "--model",
      "vit-b",
      "--set",
      "optim.clip=1",
      "--only",
      "optim",
    ]);
    expect(stdout).toMatch(
      /^optim\.lr +0\.00075 +published code: bytedance\/ibot, argument file of ViT-B\/16$/m,
    );
    expect(stdout).toMatch(/^optim\.clip +1 +given: --set$/m);
    expect(stdout).not.toContain("loss.");
  });

  it("prints a file that gives the same recipe again", () => {
    const { stdout } = odis(["recipes", "dino", "--model", "vit-s", "--json"]);
    const wanted = resolveRecipe(recipeLayers("dino", "vit-s"));
    expect(JSON.parse(stdout)).toEqual(wanted);
    const file = join(scratch(), "mine.json");
    writeFileSync(file, stdout);
    expect(JSON.parse(odis(["recipes", "odis", "--config", file, "--json"]).stdout)).toEqual(
      wanted,
    );
  });

  it.each([
    [["recipes", "idot"], "odis recipes: RECIPE idot: wanted one of"],
    [
      ["recipes", "odis", "--set", "optim.lrr=1"],
      "odis recipes: --set: optim.lrr: unknown setting (got 1). Did you mean optim.lr?",
    ],
    [
      ["recipes", "dino", "--set", "loss.objectWeight=1"],
      'odis recipes: loss.objectWeight: got 1, but model.tokens "cls" has no [OBJ]',
    ],
    [
      ["recipes", "odis", "--only", "optm"],
      "odis recipes: --only optm: no setting is there. Did you mean optim?\n",
    ],
    [
      ["recipes", "odis", "--only", "views.globals.sice"],
      "odis recipes: --only views.globals.sice: no setting is there. Did you mean views.globals.size?\n",
    ],
    [
      ["recipes", "odis", "--only", "elephants"],
      "odis recipes: --only elephants: no setting is there. Wanted one of name, seed, model, head, views,",
    ],
  ])("%j is refused in a sentence", (words, sentence) => {
    const { code, stderr } = odis(words);
    expect(code).toBe(2);
    expect(stderr.startsWith(sentence)).toBe(true);
  });
});
