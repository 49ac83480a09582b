import type { ExportedNetwork, WritableFormat } from "./format.js";
import { describeExport } from "./entries.js";

/** Writes a file for onnxruntime; see `objectModel`. */
export async function writeOnnx(
  out: string,
  exported: ExportedNetwork,
  options: { readonly attention?: boolean } = {},
): Promise<void> {
  // The library behind these takes its time to load.
  const [{ objectModel }, { writeModel }] = await Promise.all([
    import("./onnx/models.js"),
    import("./onnx/file.js"),
  ]);
  writeModel(out, objectModel(exported, options), describeExport(exported));
}

/** A file for onnxruntime: an image and an object's patches in, features out. */
export const onnx: WritableFormat<"onnx"> = {
  name: "onnx",
  title: "onnxruntime and other ONNX programs",
  write: {
    makes: "file",
    extension: ".onnx",
    async write(out, exported) {
      await writeOnnx(out, exported);
      return [out];
    },
    notes: ({ network, recipe, precision }) => [
      "image: RGB from 0 to 1, less odis.mean, over odis.std (both in the file's metadata); any multiple of " +
        `${network.backbone.config.patch} pixels: positions are resized in the graph`,
      "visible: the patches that the object covers, row by row; all of them for the whole image" +
        (["separate", "isolated"].includes(recipe.model.objectAttention)
          ? " (nearly: [CLS] sees no [OBJ] then)"
          : ""),
      ...(precision === "float16" ? ["weights are float16, computed with in float32"] : []),
    ],
  },
};
