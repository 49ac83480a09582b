import { isRecord, parsedJson, plain, shellWord } from "../core/index.js";
import type { Inspection } from "../run/index.js";
import { command } from "./command.js";
import { choice, flag, integer, path, positional, text } from "./options.js";

export const importCommand = command({
  name: "import",
  summary: "Look into other people's weights, or make them a run that can be evaluated.",
  examples: [
    ["odis import ibot_vits16.pth", "what is in it, and how to train on from it"],
    ["odis import dinov2-small runs/dinov2-small", "a folder of Hugging Face's as a run at step 0"],
    ["odis import checkpoint.pth#student runs/student", "the student's weights, not the teacher's"],
  ],
  options: {
    weights: positional(
      text({
        help: ".pth, safetensors, a folder of Hugging Face's, a run, or a network that comes with odis; #teacher, #student, #backbone, #grid=ROWSxCOLUMNS",
        placeholder: "FILE[#PART]",
        required: true,
      }),
    ),
    out: positional(path({ help: "new run folder; without it the file is only looked at" })),
    heads: integer({ help: "attention heads, where the file does not say", min: 1 }),
  },
  async run({ weights, out, heads }, io) {
    const { importRun, inspectWeights } = await import("../run/index.js");
    if (out === undefined) {
      for (const line of await describe(weights, await inspectWeights(weights))) io.print(line);
      return undefined;
    }
    const [report, { describeImport }] = await Promise.all([
      importRun(weights, out, { heads }),
      import("../formats/index.js"),
    ]);
    for (const line of describeImport(report)) io.print(line);
    io.print(`made ${out}: odis evaluate ${shellWord(out)} --train coco:FOLDER`);
    return undefined;
  },
});

async function describe(
  weights: string,
  { network, shape, plain: leaves }: Inspection,
): Promise<readonly string[]> {
  const [{ trainingOptions, headSettings }, { recipeNames }] = await Promise.all([
    import("../formats/index.js"),
    import("../recipe/index.js"),
  ]);
  const { side, sides } = network;
  const { dim, depth, heads, mlpRatio, ffn, patch, grid, layerScale, cls, objects } = shape;
  const { rows, columns, from } = grid;
  const others = sides.filter((each) => each !== side);
  const tokens = [...(cls ? ["[CLS]"] : []), ...(objects > 0 ? ["[OBJ]"] : [])];
  const attention = {
    file: `${heads?.count} heads`,
    convention: `${heads?.count} heads (of 64 channels, as in all published networks)`,
    unknown: "heads unknown (put their number for HEADS)",
  }[heads?.from ?? "unknown"];
  const projection = headSettings(network.heads);
  const said = [...leaves].filter(([name]) => toldNames.has(name));
  const method = methodOf(leaves);
  // Names of runs with settings of their own begin with the recipe's; odis is the default.
  const recipe = recipeNames.find((name) => name === method && name !== "odis");
  const options = [recipe && `--recipe ${recipe}`, trainingOptions(shape, projection)]
    .filter(Boolean)
    .join(" ");
  return [
    ["whose", [side ?? "the file does not say", ...others.map((each) => `it has a ${each}, too`)]],
    [
      "network",
      [
        `width ${dim}`,
        `${depth} blocks`,
        attention,
        `${ffn} of ratio ${mlpRatio}`,
        layerScale ? "LayerScale" : "no LayerScale",
      ],
    ],
    [
      "tokens",
      [
        tokens.join(" and ") || "no class token",
        `${rows} x ${columns} patches of ${patch} pixels${from === "square" ? " (by their number)" : ""}`,
      ],
    ],
    [
      "head",
      projection.size === 0 ? ["none: it would be randomly initialised"] : pairs(projection),
    ],
    ...(said.length > 0 ? [["says", pairs(said)] as const] : []),
    [
      "train on",
      [`odis pretrain --init ${shellWord(weights)} ${options} --data KIND:PLACE --out FOLDER`],
    ],
  ].map(([name, parts]) => `${String(name).padEnd(10)}${(parts as readonly string[]).join(", ")}`);
}

/** What files say besides that tells a reader which they are. */
const toldNames = new Set(["epoch", "args.arch", "config.model_type", "odis.step"]);

/** The first word of the name of the recipe that odis trained such weights by. */
function methodOf(leaves: Inspection["plain"]): string | undefined {
  const text = leaves.get("odis.recipe"); // of an export; a checkpoint has its state's parts
  const kept = typeof text === "string" ? parsedJson(text) : undefined;
  const name = isRecord(kept) ? kept["name"] : leaves.get("state.config.recipe.name");
  return typeof name === "string" ? name.split(" ")[0] : undefined;
}

function pairs(values: Iterable<readonly [string, unknown]>): readonly string[] {
  return Array.from(
    values,
    ([name, value]) => `${name.replace(/^head\./, "")} ${plain(String(value))}`,
  );
}

export const exportCommand = command({
  name: "export",
  summary: "Write a run's network for other programs.",
  examples: [
    [
      "odis export runs/first vit.safetensors --format timm",
      "the teacher's backbone, timm's names",
    ],
    [
      "odis export runs/first vit --format hf",
      "a folder that AutoModel.from_pretrained reads: Dinov2 or ViT, as the network is",
    ],
    ["odis export runs/first all.safetensors --format odis --side student", "heads, too"],
    ["odis export runs/first vit.onnx --half", "image and object's patches in, features out"],
    ["odis export runs/first vit-js --format transformers.js", "a folder for browsers"],
  ],
  options: async () => {
    const { writableFormats } = await import("../formats/index.js");
    const meanings = writableFormats.map(
      ({ name, title, write: { makes } }) => `${name}, a ${makes} for ${title}`,
    );
    return {
      run: positional(
        text({
          help: "run folder (its newest checkpoint), a checkpoint, an export of odis, or a network that comes with odis",
          placeholder: "FOLDER",
          required: true,
        }),
      ),
      out: positional(path({ help: "new file or folder, as the format has it", required: true })),
      format: choice(
        writableFormats.map(({ name }) => name),
        { help: `${meanings.join("; ")} (default: what the file's name means)` },
      ),
      side: choice(["teacher", "student"], { help: "which network", default: "teacher" }),
      half: flag({ help: "write weights as float16: half the size, some 3 decimal places" }),
    };
  },
  async run({ run, ...options }, io) {
    const { exportRun } = await import("../run/index.js");
    const { files, notes } = await exportRun(run, options);
    for (const note of notes) io.stderr.write(`${note}\n`);
    for (const file of files) io.print(file);
    return undefined;
  },
});
