import { mkdirSync } from "node:fs";
import { join } from "node:path";
import { checkOneToken, describeExport, tokenNotes } from "./entries.js";
import type { WritableFormat } from "./format.js";
import { writeTexts } from "./hugging-face.js";

/** A folder for transformers.js, whose `image-feature-extraction` pipeline opens it. */
export const transformersJs: WritableFormat<"transformers.js"> = {
  name: "transformers.js",
  title: "@huggingface/transformers in browsers and Node",
  write: {
    makes: "folder",
    async write(out, exported) {
      checkOneToken(exported.network.backbone);
      const [{ imageModel }, { writeModel }] = await Promise.all([
        import("./onnx/models.js"),
        import("./onnx/file.js"),
      ]);
      mkdirSync(join(out, "onnx"), { recursive: true });
      // Its `dtype: "fp16"` asks for this name.
      const name = exported.precision === "float16" ? "model_fp16.onnx" : "model.onnx";
      const model = join(out, "onnx", name);
      writeModel(model, imageModel(exported), describeExport(exported));
      return [model, ...writeTexts(out, exported)];
    },
    notes: ({ network, precision }) => [
      ...tokenNotes(network),
      'read it with pipeline("image-feature-extraction", FOLDER' +
        `${precision === "float16" ? ', { dtype: "fp16" }' : ', { dtype: "fp32" }'}): last_hidden_state, its token first`,
    ],
  },
};
