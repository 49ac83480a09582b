import type { WeightFormat } from "./format.js";
import { linear, renamer } from "./naming.js";
import { vitNames } from "./timm.js";

/**
 * Files of the published trainers: DINO, iBOT and DINOv2, full checkpoints and released backbones.
 * Backbones have timm's names; `last_layer2` is iBOT's prototypes of patches.
 */
export const dino: WeightFormat<"dino"> = {
  name: "dino",
  title: "DINO, iBOT and DINOv2",
  read: {
    rename: renamer(
      [
        ...vitNames,
        ["(?:mask_token|masked_embed)", "masked_embed"],
        // DINOv2's trainer cuts the blocks into chunks and numbers them through: blocks.CHUNK.BLOCK.
        [
          `blocks.(?:\\d+.)?(\\d+).(norm1|norm2|attn.qkv|attn.proj|mlp.fc1|mlp.fc2|mlp.w12|mlp.w3).${linear}`,
          "blocks.$1.$2.$3",
        ],
        ["blocks.(?:\\d+.)?(\\d+).(ls[12]).gamma", "blocks.$1.$2.gamma"],
      ],
      [
        ["dino_head.(.+)", "head.$1"],
        ["ibot_head.(.+)", "head_patch.$1"],
        ["head.last_layer2.(.+)", "head.last_layer_patch.$1"],
        ["head.(mlp\\..+|last_layer\\..+)", "head.$1"],
      ],
    ),
  },
};
