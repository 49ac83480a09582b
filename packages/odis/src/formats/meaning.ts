import type { Renamed, Side } from "./format.js";
import { translator } from "./naming.js";
import { readers } from "./registry.js";

/** What a tensor's full name says of it. */
export type Meaning = { readonly side: Side | undefined } & (
  | Renamed
  /** changes a network's features in a way that ours has no part for */
  | { readonly kind: "foreign"; readonly what: string }
  /** no part of a backbone or a projection head */
  | { readonly kind: "other"; readonly reason: string }
);

/** Wrappers of distributed training and compilation; they may stand anywhere. */
const wrappers = new Set([
  "module",
  "_orig_mod",
  "_fsdp_wrapped_module",
  "_checkpoint_wrapped_module",
]);
/** Dicts and models that a backbone or a head may lie in. */
const containers = new Set(["model", "state_dict", "backbone", "vit", "dinov2", "ijepa"]);

/** Parts of networks that look like ours and are not. */
const foreign = translator([
  ["(?:embeddings.)?(?:reg_token|register_tokens|storage_tokens)", "register tokens"],
  ["(?:embeddings.)?(?:dist_token|distillation_token)", "a distillation token"],
  ["(?:rope_embed|embeddings.rope).*", "rotary position embeddings"],
  [
    "(?:blocks|encoder.layer|layers|norm_pre|patch_embed|embeddings).*",
    "a part of another network",
  ],
]);

const others = translator([
  ["(?:optimizer|scaler|fp16_scaler|grad_scaler).*", "the old run's optimiser"],
  ["(?:.*_loss|loss|centers).*", "the old run's loss"],
  ["(?:head|classifier|fc|fc_norm|pooler|pre_logits|cls_classifier).*", "a classifier's"],
]);

/** What a tensor's full name in a file means. */
export function meaningOf(full: string): Meaning {
  const words = full.split(".").filter((word) => !wrappers.has(word));
  let side: Side | undefined;
  let first = 0;
  for (; first < words.length - 1; first += 1) {
    const word = words[first]!;
    if (isSide(word)) side = word;
    else if (!containers.has(word)) break;
  }
  const name = words.slice(first).join(".");
  for (const { rename } of readers) {
    const ours = rename(name);
    if (ours) return { side, ...ours };
  }
  const what = foreign(name);
  if (what !== undefined) return { side, kind: "foreign", what };
  const reason = others(name) ?? "nothing that odis has a place for";
  return { side, kind: "other", reason };
}

function isSide(word: string): word is Side {
  return word === "student" || word === "teacher";
}
