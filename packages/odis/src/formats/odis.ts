import { tensorEntry, writeWeights } from "./entries.js";
import type { WritableFormat } from "./format.js";
import { numberIn, sizeIn } from "./leaves.js";
import { linear, renamer } from "./naming.js";
import { vitNames } from "./timm.js";

/** Checkpoints and exports of odis: backbone and heads under their own names. */
export const odis: WritableFormat<"odis"> = {
  name: "odis",
  title: "odis",
  read: {
    rename: renamer(
      [
        ...vitNames,
        ["(obj_token|masked_embed)", "$1"],
        [`blocks.(\\d+).mlp.(w12|w3).${linear}`, "blocks.$1.mlp.$2.$3"],
      ],
      [["(head|head_obj|head_patch).(mlp\\..+|last_layer(?:_obj|_patch)?\\..+)", "$1.$2"]],
    ),
    folder: { weights: "tensors.safetensors", texts: { "state.json": "state" } },
    stated(plain) {
      const recipe = "state.config.recipe"; // of a checkpoint; exports have theirs as a text
      const size = sizeIn(plain, `${recipe}.views.globals.size`) ?? sizeIn(plain, "odis.imageSize");
      return {
        heads: sizeIn(plain, `${recipe}.model.heads`) ?? sizeIn(plain, "odis.heads"),
        image: size === undefined ? undefined : { height: size, width: size },
        normEpsilon:
          numberIn(plain, `${recipe}.model.normEpsilon`) ?? numberIn(plain, "odis.normEpsilon"),
      };
    },
  },
  write: {
    makes: "file",
    async write(out, exported) {
      const { network, precision } = exported;
      const entries = network
        .namedParameters()
        .map(([name, weight]) => tensorEntry(name, weight, precision));
      writeWeights(out, entries, exported);
      return [out];
    },
    notes: () => [],
  },
};
