import { SwiGlu } from "../model/index.js";
import { kindsRead, type Recipe } from "../recipe/index.js";
import { roomForPicture } from "../views/index.js";

/** What a step of a recipe takes: known before anything is allocated. */
export interface StepCost {
  /** numbers in the student's weights */
  readonly parameters: number;
  /**
   * floating-point operations of the matrix products of a step of the whole batch; multiply and add
   * count as two; norms, softmax, GELU, losses and the update are left out
   */
  readonly flops: number;
  /** bytes of one process at the peak of a step */
  readonly memory: StepMemory;
}

/** Bytes, by what they are for. */
export interface StepMemory {
  /** of student and teacher */
  readonly weights: number;
  readonly gradients: number;
  /** AdamW's two moments */
  readonly moments: number;
  /** what the backward pass needs of the backbone */
  readonly activations: number;
  /** what heads, targets and losses keep */
  readonly heads: number;
  /** one batch on the device */
  readonly batch: number;
  /** batches that wait in host memory */
  readonly waiting: number;
  /** on the device; on the CPU with those that wait */
  readonly total: number;
}

export interface CostOptions {
  /** default cpu */
  readonly device?: string | undefined;
  /** processes that share each batch, default 1 */
  readonly processes?: number | undefined;
  /** of the CPU; each has its own room for attention scores. Default 1 */
  readonly threads?: number | undefined;
}

/** Bytes of a float32. */
const FLOAT = 4;
/** Batches that the loader holds in host memory. */
const WAITING = 4;

/**
 * Sizes of a recipe's step. Where losses read objects alone (`readsObjectsAlone`) a step takes less, as the
 * objects are in their views: every patch is counted here. Memory is an estimate: a test holds it within a factor of 1.5 of what
 * steps were seen to take. The process before its first tensor is not in it.
 */
export function stepCost(recipe: Recipe, options: CostOptions = {}): StepCost {
  const parameters = parameterCounts(recipe);
  return {
    parameters: parameters.student,
    flops: stepFlops(recipe, rowsRead(recipe, recipe.optim.batch), true),
    memory: memoryOf(recipe, parameters, options),
  };
}

interface ParameterCounts {
  readonly student: number;
  readonly teacher: number;
  /** of all blocks together */
  readonly blocks: number;
  /** of the layers of prototypes */
  readonly prototypes: number;
}

function parameterCounts(recipe: Recipe): ParameterCounts {
  const { model, views } = recipe;
  const { dim: D, depth, patch, layerScale, objectEmbedding, objectPosition } = model;
  const { cls, objects } = specialTokens(recipe);
  const kinds = kindsRead(recipe);
  const entries = (of: "shared" | "each"): number =>
    of === "each" ? objects : Math.min(1, objects);
  const hidden = hiddenWidth(recipe);
  const feedForward =
    model.ffn === "mlp" ? 2 * D * hidden + hidden + D : 3 * D * hidden + 2 * hidden + D;
  const block = 4 * D + 4 * D * D + 4 * D + feedForward + (layerScale > 0 ? 2 * D : 0);
  const positions = cls + entries(objectPosition) + patchesOf(views.globals.size, patch);
  const special = cls + entries(objectEmbedding);
  const embedding = (special + positions) * D + (3 * patch * patch + 1) * D;
  const heads = headsOf(recipe);
  const teacher = embedding + depth * block + 2 * D + heads.parameters;
  return {
    student: teacher + (kinds.includes("patch") ? D : 0),
    teacher,
    blocks: depth * block,
    prototypes: heads.prototypes,
  };
}

/** Weights of all heads, as `Network` builds them. */
function headsOf(recipe: Recipe): { readonly parameters: number; readonly prototypes: number } {
  const { hidden: h, bottleneck: b, prototypes: K, share, ...own } = recipe.head;
  const { objectPrototypes = K, patchPrototypes = K, patchBottleneck = b } = own;
  const kinds = kindsRead(recipe);
  const both = kinds.includes("cls") && kinds.includes("object");
  const mlp = (bottleneck: number): number =>
    recipe.model.dim * h + h + h * h + h + h * bottleneck + bottleneck;
  const apart = [
    ...(share !== "all" && both ? [{ K: objectPrototypes, b }] : []),
    ...(share !== "all" && kinds.includes("patch")
      ? [{ K: patchPrototypes, b: share === "none" ? patchBottleneck : b }]
      : []),
  ];
  const layers = [{ K, b }, ...apart];
  const mlps = share === "none" ? layers : layers.slice(0, 1);
  const prototypes = sum(layers, (layer) => layer.K * (layer.b + 1));
  return { parameters: prototypes + sum(mlps, (layer) => mlp(layer.b)), prototypes };
}

function memoryOf(
  recipe: Recipe,
  parameters: ParameterCounts,
  { device = "cpu", processes = 1, threads = 1 }: CostOptions,
): StepMemory {
  const { model, head, views, optim } = recipe;
  const { dim: D, depth, heads: H, patch } = model;
  const { globals, locals } = views;
  const images = optim.batch / processes;
  const micro = optim.batch / Math.max(optim.accumulate, processes);
  const { cls, objects } = specialTokens(recipe);
  const passes = [globals, ...(locals.count > 0 ? [locals] : [])].map(({ count, size }) => {
    const patches = patchesOf(size, patch);
    return { views: micro * count, patches, tokens: cls + objects + patches };
  });
  const T = Math.max(...passes.map(({ tokens }) => tokens));

  // A block keeps its input, both norms, q, k, v, the mixed values, and what the GELU is between.
  const fused = device === "cpu" && optim.precision === "float32";
  const hidden = hiddenWidth(recipe);
  const perToken = (tokens: number): number =>
    8 * D +
    (model.layerScale > 0 ? 2 * D : 0) +
    (model.ffn === "mlp" ? 2 * hidden : 4 * hidden) +
    (fused ? 2 * H : 2 * H * tokens); // scores beside their softmax
  const block = passes.map((pass) => pass.views * pass.tokens * perToken(pass.tokens));
  const kept =
    optim.memory === "keep"
      ? depth * sum(block, (one) => one)
      : depth * sum(passes, (pass) => pass.views * pass.tokens * D);
  const embedding = sum(passes, (pass) => pass.views * pass.patches * (3 * patch * patch + 2 * D));
  const scratch = fused ? threads * 2 * T * T : 0;
  const lower = optim.precision === "bfloat16" ? 0.7 : 1; // products in two bytes, norms in four
  // The block that is differentiated has gradients beside its activations.
  const atWork = 2.5 * Math.max(...block);
  const activations = FLOAT * (lower * (kept + atWork) + embedding + scratch);

  const { hidden: h, bottleneck: b } = head;
  const K = Math.max(head.prototypes, head.objectPrototypes ?? 0, head.patchPrototypes ?? 0);
  const student = rowsRead(recipe, micro);
  const targets = rowsRead(recipe, images).teacher;
  const perRow = D + 4 * h + 3 * b + 3 * K;
  // Backward has, of the prototypes' length: v / |v|, the gradients of W and of that, and two parts of
  // the gradient of v.
  const ofHeads =
    FLOAT *
    ((student.studentGlobal + student.studentLocal) * perRow +
      targets * 2 * K +
      5 * parameters.prototypes);

  const pixels = 3 * (globals.count * globals.size ** 2 + locals.count * locals.size ** 2);
  const weights = FLOAT * (parameters.student + parameters.teacher);
  const gradients =
    FLOAT *
    (optim.memory === "stream"
      ? parameters.student - parameters.blocks * (1 - 1 / depth)
      : parameters.student);
  const moments = (2 * FLOAT * parameters.student) / (optim.shard ? processes : 1);
  // A change of colours has its views before and after it beside each other.
  const batch = FLOAT * images * pixels * (views.drawnBy === "device" ? 3 : 1);
  const waiting =
    WAITING *
    images *
    ((views.drawnBy === "device" ? roomForPicture(views) : pixels) +
      globals.count * patchesOf(globals.size, patch) * (views.object.count + 1));
  const onDevice = weights + gradients + moments + activations + ofHeads + batch;
  return {
    weights,
    gradients,
    moments,
    activations,
    heads: ofHeads,
    batch,
    waiting,
    total: onDevice + (device === "cpu" ? waiting : 0),
  };
}

/** What a step runs its last block's row-wise half and its heads on. */
export interface RowsRead {
  /** rows of the teacher's global views */
  readonly teacher: number;
  /** rows of the student's global views */
  readonly studentGlobal: number;
  readonly studentLocal: number;
}

/** Summaries of every view, and the hidden patches to be expected. */
function rowsRead(recipe: Recipe, images: number): RowsRead {
  const { views, model } = recipe;
  const kinds = kindsRead(recipe);
  const perView =
    Number(kinds.includes("cls")) + (kinds.includes("object") ? views.object.count : 0);
  const { ratio } = views.hidden;
  const share = kinds.includes("patch") ? sum(ratio, (one) => one) / ratio.length : 0;
  const hidden = share * patchesOf(views.globals.size, model.patch);
  const global = images * views.globals.count * (perView + hidden);
  return {
    teacher: global,
    studentGlobal: global,
    studentLocal: images * views.locals.count * perView,
  };
}

/**
 * Floating-point operations of the matrix products of one step.
 *
 * With D width, r the MLP ratio, p the patch side, T tokens and N patches of a view:
 *
 *     patch projection   2 N 3p² D            forward, and once more for its weight's gradient
 *     block, dense       2 T D² (4 + 2r)      forward, and twice that backward (input and weight)
 *     block, attention   2 T² D 2             the same
 *     head               2 (Dh + h² + hb + bK) per row, the same
 *
 * The teacher runs forward only. `read` says on how many rows the heads run: as published on every
 * token, here on those that a loss reads. In the last block those rows are also the only ones that
 * need what follows the attention (projection and MLP); pass `trimmed` when the step uses that.
 */
export function stepFlops(recipe: Recipe, read: RowsRead, trimmed: boolean): number {
  const { model, head, views, optim } = recipe;
  const { dim: D, depth, mlpRatio: r, patch } = model;
  const { cls, objects } = specialTokens(recipe);

  const backbone = (count: number, size: number, rows: number, trained: boolean): number => {
    const N = patchesOf(size, patch);
    const T = N + cls + objects;
    const tokens = count * optim.batch * T;
    const afterAttention = trimmed ? rows : tokens;
    const dense = (depth - 1) * tokens * (4 + 2 * r) + tokens * 3 + afterAttention * (1 + 2 * r);
    const blocks = 2 * D * D * dense + depth * tokens * 4 * T * D;
    const embedding = 2 * count * optim.batch * N * 3 * patch * patch * D;
    return trained ? 3 * blocks + 2 * embedding : blocks + embedding;
  };
  const { hidden: h, bottleneck: b, prototypes: K } = head;
  const perRow = 2 * (D * h + h * h + h * b + b * K);

  const { globals, locals } = views;
  return (
    backbone(globals.count, globals.size, read.teacher, false) +
    backbone(globals.count, globals.size, read.studentGlobal, true) +
    backbone(locals.count, locals.size, read.studentLocal, true) +
    perRow * (read.teacher + 3 * (read.studentGlobal + read.studentLocal))
  );
}

function specialTokens({ model, views }: Recipe): {
  readonly cls: number;
  readonly objects: number;
} {
  return {
    cls: model.tokens === "obj" ? 0 : 1,
    objects: model.tokens === "cls" ? 0 : views.object.count,
  };
}

/** Width between the two layers of the feed-forward part. */
function hiddenWidth({ model: { dim, mlpRatio, ffn } }: Recipe): number {
  const width = Math.round(mlpRatio * dim);
  return ffn === "mlp" ? width : SwiGlu.widthFor(width);
}

const patchesOf = (size: number, patch: number): number => (size / patch) ** 2;

function sum<T>(items: readonly T[], of: (item: T) => number): number {
  return items.reduce((total, item) => total + of(item), 0);
}
