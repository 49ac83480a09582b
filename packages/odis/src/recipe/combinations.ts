import { ConfigError } from "../core/index.js";
import type { TokenKind } from "../model/index.js";
import type { Recipe } from "./schema.js";

/** The kinds of token that a recipe's losses read. */
export function kindsRead({ loss }: Pick<Recipe, "loss">): TokenKind[] {
  const weights = { cls: loss.clsWeight, object: loss.objectWeight, patch: loss.patchWeight };
  return (Object.keys(weights) as TokenKind[]).filter((kind) => weights[kind] > 0);
}

/** The kind of token that summarises an object, or else an image: what KoLeo spreads and statistics read. */
export function summaryKind(recipe: Pick<Recipe, "loss">): "cls" | "object" | undefined {
  const kinds = kindsRead(recipe);
  return kinds.includes("object") ? "object" : kinds.includes("cls") ? "cls" : undefined;
}

/**
 * Whether losses read objects alone, and nothing around an object reaches them: then no other patch
 * needs to be computed.
 */
export function readsObjectsAlone(recipe: Recipe): boolean {
  const { model, loss, views } = recipe;
  const guessesAround =
    loss.patchWeight > 0 && (views.hidden.where === "view" || loss.patchCenter === "all");
  return (
    model.objectAttention === "isolated" &&
    model.tokens === "obj" &&
    views.object.count === 1 && // a patch of two objects would see both
    loss.objectFrom === "token" &&
    !guessesAround
  );
}

/** Whether its object loss has nothing to learn from where there is no object. Masks made up on purpose need none. */
export function needsObjects({ loss, views: { masks } }: Recipe): boolean {
  return loss.objectWeight > 0 && masks.kind !== "none" && masks.false === 0;
}

/** K of the summaries: what their targets' entropies are measured against. */
export function summaryPrototypes(recipe: Pick<Recipe, "loss" | "head">): number {
  const { prototypes, objectPrototypes = prototypes } = recipe.head;
  return summaryKind(recipe) === "object" ? objectPrototypes : prototypes;
}

interface Rule {
  readonly broken: (recipe: Recipe) => boolean;
  /** what, got, wanted */
  readonly say: (recipe: Recipe) => string;
}

/** What the schema cannot know: settings that are possible alone, but not together. */
const rules: readonly Rule[] = [
  {
    broken: ({ model }) => Math.round(model.mlpRatio * model.dim) < 1,
    say: ({ model: { dim, mlpRatio } }) =>
      `model.mlpRatio: got ${mlpRatio}, which leaves no width with model.dim ${dim}; wanted at least ${1 / dim}`,
  },
  {
    broken: ({ model }) => model.dim % model.heads !== 0,
    say: ({ model: { dim, heads } }) =>
      `model.dim: got ${dim}; wanted a multiple of model.heads (${heads}), e.g. ${Math.ceil(dim / heads) * heads}`,
  },
  {
    broken: ({ loss }) => loss.clsWeight + loss.objectWeight + loss.patchWeight === 0,
    say: () =>
      "loss: clsWeight, objectWeight and patchWeight are all 0; wanted one above 0, or nothing is learned",
  },
  {
    broken: ({ loss, model }) => loss.clsWeight > 0 && model.tokens === "obj",
    say: ({ loss }) =>
      `loss.clsWeight: got ${loss.clsWeight}, but model.tokens "obj" has no [CLS]; wanted 0, or model.tokens "cls" or "cls+obj"`,
  },
  {
    broken: ({ loss, model }) =>
      loss.objectWeight > 0 && loss.objectFrom === "token" && model.tokens === "cls",
    say: ({ loss }) =>
      `loss.objectWeight: got ${loss.objectWeight}, but model.tokens "cls" has no [OBJ]; wanted 0, loss.objectFrom "pooled", or model.tokens "obj" or "cls+obj"`,
  },
  {
    broken: ({ model, views }) =>
      model.tokens === "obj" && views.object.crop === "off" && model.objectAttention === "open",
    say: () =>
      'model.objectAttention: got "open" with views.object.crop "off": objects would change nothing; wanted another of the two, or recipe ibot',
  },
  {
    broken: ({ head }) =>
      head.share === "all" && (head.patchPrototypes ?? head.prototypes) !== head.prototypes,
    say: ({ head }) =>
      `head.patchPrototypes: got ${head.patchPrototypes} with head.share "all"; wanted head.prototypes (${head.prototypes}), or head.share "mlp" or "none"`,
  },
  {
    broken: (recipe) => {
      const { objectPrototypes: own, prototypes, share } = recipe.head;
      const apart =
        share !== "all" &&
        ["cls", "object"].every((kind) => kindsRead(recipe).includes(kind as TokenKind));
      return !apart && (own ?? prototypes) !== prototypes;
    },
    say: ({ head }) =>
      `head.objectPrototypes: got ${head.objectPrototypes}, but [OBJ] has prototypes of its own only beside a [CLS] with a loss and with head.share "mlp" or "none"; wanted head.prototypes (${head.prototypes})`,
  },
  {
    broken: ({ head }) =>
      head.share !== "none" && (head.patchBottleneck ?? head.bottleneck) !== head.bottleneck,
    say: ({ head }) =>
      `head.patchBottleneck: got ${head.patchBottleneck} with head.share "${head.share}"; wanted head.bottleneck (${head.bottleneck}), or head.share "none"`,
  },
  {
    broken: ({ views, model, loss }) =>
      views.object.count > 1 && model.tokens === "cls" && loss.objectFrom === "token",
    say: ({ views }) =>
      `views.object.count: got ${views.object.count}, but model.tokens "cls" has no [OBJ]; wanted 1, or model.tokens "obj" or "cls+obj"`,
  },
  {
    broken: ({ views, loss }) =>
      views.globals.count < 2 && views.locals.count === 0 && loss.clsWeight + loss.objectWeight > 0,
    say: () =>
      "views: got 1 global and no local view; wanted 2 or more views, so that there is a pair to compare",
  },
  {
    broken: ({ views, loss }) =>
      loss.patchWeight > 0 &&
      Math.max(...views.hidden.ratio) + Math.max(...views.hidden.variance) === 0,
    say: ({ loss }) =>
      `loss.patchWeight: got ${loss.patchWeight}, but views.hidden.ratio hides no patch; wanted a ratio above 0, or loss.patchWeight 0`,
  },
  {
    broken: ({ loss }) => loss.koleoWeight > 0 && loss.clsWeight + loss.objectWeight === 0,
    say: ({ loss }) =>
      `loss.koleoWeight: got ${loss.koleoWeight}, but clsWeight and objectWeight are 0 and KoLeo spreads [CLS] or [OBJ]; wanted 0, or a weight for one of them`,
  },
  {
    broken: ({ optim }) => optim.batch % optim.accumulate !== 0,
    say: ({ optim: { accumulate, batch } }) =>
      `optim.accumulate: got ${accumulate}; wanted a divisor of optim.batch (${batch})`,
  },
  {
    broken: ({ optim }) =>
      optim.memory === "stream" && (optim.accumulate > 1 || optim.clipScope !== "each"),
    say: ({ optim: { accumulate, clipScope } }) =>
      `optim.memory: got "stream" with accumulate ${accumulate} and clipScope "${clipScope}"; blocks can be updated one by one only if nothing needs all gradients at once. Wanted accumulate 1 and clipScope "each", or memory "recompute"`,
  },
];

/** @throws ConfigError naming the first settings that exclude each other, and what would do */
export function checkCombinations(recipe: Recipe): void {
  const rule = rules.find(({ broken }) => broken(recipe));
  if (rule) throw new ConfigError(rule.say(recipe));
}
