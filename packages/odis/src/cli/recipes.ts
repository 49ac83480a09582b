import { exitCodes, nearest } from "../core/index.js";
import { modelNames, recipeLayers, recipeNames, recipes } from "../recipe/index.js";
import { command, UsageError } from "./command.js";
import { choice, flag, list, path, positional, text } from "./options.js";

const kinds = {
  paper: "paper",
  published: "published code",
  "follow-up": "published follow-up",
  ours: "our choice",
  given: "given",
} as const;

export const recipesCommand = command({
  name: "recipes",
  summary: "List the recipes, or show one resolved, each value with where it comes from.",
  examples: [
    ["odis recipes", "the methods and the sizes of networks"],
    ["odis recipes odis --model vit-b", "every value that such a run would have"],
    ["odis recipes ibot --only optim", "one part of it"],
    ["odis recipes odis --json > mine.json", "a file for odis pretrain --config"],
  ],
  options: {
    recipe: positional(choice(recipeNames, { help: "recipe to show", placeholder: "NAME" })),
    model: choice(modelNames, { help: "size of the network", default: "vit-s" }),
    config: path({ help: "JSON file of settings, over the recipe", exists: "file" }),
    set: list({ help: "one setting, over the file", placeholder: "PATH=VALUE" }),
    only: text({ help: "show values under this path only", placeholder: "PATH" }),
    json: flag({ help: "print the settings as JSON" }),
  },
  async run({ recipe, model, config, set, only, json }, io) {
    if (recipe === undefined) {
      const width = Math.max(...recipeNames.map((name) => name.length)) + 2;
      io.print("recipes");
      for (const name of recipeNames) io.print(`  ${name.padEnd(width)}${recipes[name].summary}`);
      io.print(`sizes\n  ${modelNames.join("  ")}`);
      return exitCodes.ok;
    }
    const [{ loadConfigFile, settingsLayer }, { explainRecipe }] = await Promise.all([
      import("../core/index.js"),
      import("../recipe/index.js"),
    ]);
    const explained = explainRecipe([
      ...recipeLayers(recipe, model),
      ...(config === undefined ? [] : [loadConfigFile(config)]),
      settingsLayer(set),
    ]);
    if (json) {
      io.print(JSON.stringify(explained.recipe, null, 2));
      return exitCodes.ok;
    }
    const shown = explained.values.filter(
      ({ path: place }) => only === undefined || place === only || place.startsWith(`${only}.`),
    );
    if (only !== undefined && shown.length === 0)
      throw new UsageError(`--only ${only}: ${noSuchPath(only, explained.values)}`);
    const rows = shown.map(({ path: place, value, origin }) => [
      place,
      JSON.stringify(value),
      `${kinds[origin.kind]}: ${origin.where}`,
    ]);
    const widths = [0, 1].map((column) => Math.max(...rows.map((row) => row[column]!.length)));
    for (const [place, value, origin] of rows)
      io.print(`${place!.padEnd(widths[0]!)}  ${value!.padEnd(widths[1]!)}  ${origin}`);
    return exitCodes.ok;
  },
});

function noSuchPath(only: string, values: readonly { readonly path: string }[]): string {
  const known = new Set(
    values.flatMap(({ path: place }) => {
      const parts = place.split(".");
      return parts.map((_, index) => parts.slice(0, index + 1).join("."));
    }),
  );
  const close = nearest(only, known);
  const top = [...known].filter((place) => !place.includes("."));
  return `no setting is there. ${close === undefined ? `Wanted one of ${top.join(", ")}, or a path below` : `Did you mean ${close}?`}`;
}
