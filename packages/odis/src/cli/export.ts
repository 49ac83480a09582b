import { choice, command, path, positional } from "./command.js";

export const exportCommand = command({
  name: "export",
  summary: "Write a run's network for other programs: timm, Hugging Face, or odis with its heads.",
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
  ],
  options: {
    run: positional(
      path({
        help: "run folder (its newest checkpoint), or a checkpoint",
        exists: "folder",
        required: true,
      }),
    ),
    out: positional(path({ help: "new file, for hf a new folder", required: true })),
    format: choice(["timm", "hf", "odis"], { help: "whose names", required: true }),
    side: choice(["teacher", "student"], { help: "which network", default: "teacher" }),
  },
  async run({ run, ...options }, io) {
    const { exportRun } = await import("../export/export-run.js");
    const { files, notes } = exportRun(run, options);
    for (const note of notes) io.stderr.write(`${note}\n`);
    for (const file of files) io.print(file);
    return undefined;
  },
});
