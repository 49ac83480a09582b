import {
  AdamW,
  Generator,
  type GradientBuckets,
  type NamedParameter,
  noGrad,
  type ParameterGroup,
  type Tensor,
} from "@odis/torch";
import { ConfigError, RunError } from "../core/index.js";
import { Center } from "../loss/index.js";
import { Network, type PerKind, type TokenKind, TokenLayout } from "../model/index.js";
import { kindsRead, type Recipe } from "../recipe/index.js";
import { World } from "./world.js";

/** All that a training step reads and changes. */
export interface TrainState extends Disposable {
  readonly recipe: Recipe;
  readonly device: string;
  /** the processes that train together */
  readonly world: World;
  readonly student: Network;
  readonly teacher: Network;
  /** one for each kind of token that a loss reads */
  readonly centers: PerKind<Center>;
  /** of the weights that this process updates */
  readonly optimizer: AdamW;
  /** which process updates a weight, where they share the optimiser's work */
  readonly owners: ReadonlyMap<Tensor, number> | undefined;
  /** sums gradients over processes; undefined alone */
  readonly buckets: GradientBuckets | undefined;
}

/** The plain numbers of a state; everything else is in `stateTensors`. */
export interface StateNumbers {
  readonly optimizerUpdates: Readonly<Record<string, number>>;
}

/**
 * Pieces that each process computes its images in. `optim.accumulate` cuts the whole batch, so that
 * its pieces, and with them the numbers, stay what they are when more processes share them.
 */
export function piecesOf({ optim }: Pick<Recipe, "optim">, processes: number): number {
  return Math.max(1, optim.accumulate / processes);
}

/** @throws ConfigError when a batch cannot be shared equally */
export function checkSharing({ optim }: Pick<Recipe, "optim">, processes: number): void {
  const { batch, accumulate } = optim;
  if (batch % processes !== 0)
    throw new ConfigError(
      `optim.batch: got ${batch}, shared by ${processes} processes; wanted a multiple of their number, ` +
        `e.g. ${Math.max(1, Math.round(batch / processes)) * processes}`,
    );
  const pieces = piecesOf({ optim }, processes);
  if (!Number.isInteger(pieces) || (batch / processes) % pieces !== 0)
    throw new ConfigError(
      `optim.accumulate: got ${accumulate}, with ${processes} processes that have ${batch / processes} images ` +
        `each; wanted ${processes} times a divisor of that, or 1`,
    );
}

/** The tokens of a recipe's networks. */
function layoutOf({ model, views }: Pick<Recipe, "model" | "views">): TokenLayout {
  const { tokens, objectAttention } = model;
  const objects = tokens === "cls" ? 0 : views.object.count;
  return new TokenLayout(tokens !== "obj", objects, objectAttention);
}

/** An uninitialised network of a recipe; students can replace hidden patches, teachers need not. */
export function buildNetwork(recipe: Recipe, role: "student" | "teacher"): Network {
  const { model, head, views } = recipe;
  const kinds = kindsRead(recipe);
  const hides = role === "student" && kinds.includes("patch");
  const backbone = { ...model, imageSize: views.globals.size };
  return new Network(backbone, head, layoutOf(recipe), kinds, hides);
}

/**
 * A fresh state at step 0, the teacher a copy of the student, the same in all processes; disposing of
 * it frees its tensors.
 *
 * @throws ConfigError when a batch cannot be shared equally
 */
export function createState(
  recipe: Recipe,
  device = "cpu",
  { world = World.alone }: { readonly world?: World | undefined } = {},
): TrainState {
  checkSharing(recipe, world.size);
  const student = buildNetwork(recipe, "student")
    .init(new Generator(recipe.seed))
    .requiresGrad_(true);
  const lastLayers = student.heads.flatMap((head) => head.lastLayers);
  if (recipe.head.normLastLayer) for (const layer of lastLayers) layer.weightG.requiresGrad_(false);
  const teacher = buildNetwork(recipe, "teacher").requiresGrad_(false);
  copyWeights(student, teacher);
  student.to(device);
  teacher.to(device);
  const { centerMomentum, patchCenterMomentum = centerMomentum, objectCenters } = recipe.loss;
  const center = (kind: TokenKind): Center => {
    const [K] = teacher.headOf(kind).prototypesOf(kind).weightV.dims(2);
    const each = kind === "object" && objectCenters === "each";
    const momentum = kind === "patch" ? patchCenterMomentum : centerMomentum;
    return new Center(each ? [recipe.views.object.count, K] : [K], momentum, device);
  };
  const trained = student.namedParameters().filter(([, weight]) => weight.requiresGrad);
  const owners = recipe.optim.shard && world.size > 1 ? shares(trained, world.size) : undefined;
  const own = trained.filter(([, weight]) => !owners || owners.get(weight) === world.rank);
  const state: TrainState = {
    recipe,
    device,
    world,
    student,
    teacher,
    centers: Object.fromEntries(kindsRead(recipe).map((kind) => [kind, center(kind)])),
    optimizer: new AdamW(parameterGroups(own, recipe), recipe.optim),
    owners,
    buckets:
      recipe.optim.memory === "stream"
        ? undefined
        : world.buckets(trained.map(([, weight]) => weight)),
    [Symbol.dispose]() {
      state.buckets?.[Symbol.dispose]();
      dropGradients(state);
      for (const tensor of stateTensors(state).values()) tensor.free();
    },
  };
  return state;
}

/** Weights by the process that updates them: about as many numbers for each. */
export function shares<W extends { readonly size: number }>(
  weights: readonly (readonly [name: string, weight: W])[],
  processes: number,
): Map<W, number> {
  const load = Array.from({ length: processes }, () => 0);
  const largestFirst = weights.toSorted(([, a], [, b]) => b.size - a.size);
  return new Map(
    largestFirst.map(([, weight]) => {
      const rank = load.indexOf(Math.min(...load));
      load[rank]! += weight.size;
      return [weight, rank] as const;
    }),
  );
}

export function dropGradients({ student }: TrainState): void {
  for (const weight of student.parameters()) weight.grad = undefined;
}

/** Gives a network the weights of another that has them all, as a teacher has its student's. */
export function copyWeights(from: Network, to: Network): void {
  const source = new Map(from.namedParameters());
  noGrad(() => {
    for (const [name, weight] of to.namedParameters()) weight.copy_(source.get(name)!);
  });
}

/** Pairs of teacher and student weights of the same name: what the moving average runs over. */
export function averagedWeights({ student, teacher }: TrainState): {
  slow: Tensor[];
  fast: Tensor[];
} {
  const fast = new Map(student.namedParameters());
  const slow = teacher.namedParameters();
  return { slow: slow.map(([, weight]) => weight), fast: slow.map(([name]) => fast.get(name)!) };
}

/**
 * Every tensor of the state by checkpoint name. Where processes share the optimiser's work, a process
 * has only its own moments: see `savedState`.
 */
export function stateTensors(state: TrainState): Map<string, Tensor> {
  const { student, teacher, centers, optimizer } = state;
  return new Map<string, Tensor>([
    ...student.namedParameters().map(([name, weight]) => [`student.${name}`, weight] as const),
    ...teacher.namedParameters().map(([name, weight]) => [`teacher.${name}`, weight] as const),
    ...[...optimizer.state()].flatMap(([name, { mean, square }]) => [
      [`optimizer.mean.${name}`, mean] as const,
      [`optimizer.square.${name}`, square] as const,
    ]),
    ...Object.entries(centers).map(([kind, { value }]) => [`centers.${kind}`, value] as const),
  ]);
}

export function stateNumbers({ optimizer }: TrainState): StateNumbers {
  return {
    optimizerUpdates: Object.fromEntries(
      [...optimizer.state()].map(([name, { updates }]) => [name, updates]),
    ),
  };
}

/** What the first process has read for those that share the optimiser's work with it. */
export interface ForOthers {
  /** moments of weights that others update, by checkpoint name */
  readonly moments: ReadonlyMap<string, Tensor>;
  /** of all weights */
  readonly numbers: StateNumbers;
}

/**
 * Puts a checkpoint's contents into a state built from the same recipe.
 *
 * @param read gives a tensor by checkpoint name, undefined when the checkpoint lacks it
 * @throws RunError naming the first tensor that is missing or of another shape
 */
export function restoreState(
  state: TrainState,
  read: (name: string) => Tensor | undefined,
  numbers: StateNumbers,
): ForOthers {
  const wanted = (name: string, shape: readonly number[]): Tensor => {
    const saved = read(name);
    if (saved && saved.shape.join() === shape.join()) return saved;
    throw new RunError(
      `checkpoint tensor ${name}: got ${saved ? `shape [${saved.shape.join(", ")}]` : "nothing"}, ` +
        `wanted shape [${shape.join(", ")}]. The checkpoint belongs to another model; ` +
        `use its own config or a new run folder.`,
    );
  };
  const own = stateTensors(state);
  noGrad(() => {
    for (const [name, tensor] of own) {
      const saved = wanted(name, tensor.shape);
      tensor.copy_(saved);
      saved.free();
    }
  });
  for (const [name, moments] of state.optimizer.state())
    moments.updates = numbers.optimizerUpdates[name] ?? 0;
  const moments = state.owners
    ? momentsOf(state).flatMap(({ name, weight }) =>
        own.has(name) ? [] : [[name, wanted(name, weight.shape)] as const],
      )
    : [];
  return { moments: new Map(moments), numbers };
}

/** Both moments of every trained weight by checkpoint name, in the order that one process has them in. */
export function momentsOf({ student, recipe }: Pick<TrainState, "student" | "recipe">): readonly {
  readonly name: string;
  readonly of: string;
  readonly moment: "mean" | "square";
  readonly weight: Tensor;
}[] {
  return parameterGroups(student.namedParameters(), recipe)
    .flatMap(({ parameters }) => parameters)
    .flatMap(([of, weight]) =>
      (["mean", "square"] as const).map((moment) => ({
        name: `optimizer.${moment}.${of}`,
        of,
        moment,
        weight,
      })),
    );
}

/**
 * The groups of DINO and iBOT (`utils.get_params_groups`): biases and 1-D weights do not decay,
 * everything else does, tokens and position embeddings included. Weights that are not trained are
 * in none. With `layerDecay` or `patchLr` each depth has groups of its own, with a share of the
 * learning rate (DINOv2 `utils/param_groups.py`).
 */
export function parameterGroups(
  parameters: readonly NamedParameter[],
  { optim, model }: Pick<Recipe, "optim" | "model">,
): ParameterGroup[] {
  const scaleOf = (name: string): number =>
    optim.layerDecay ** (model.depth + 1 - layerOf(name, model.depth)) *
    (name.includes("patch_embed") ? optim.patchLr : 1);
  const groups = new Map<
    string,
    { decay: boolean; lrScale: number; parameters: NamedParameter[] }
  >();
  for (const parameter of parameters.filter(([, weight]) => weight.requiresGrad)) {
    const [decay, lrScale] = [!exempt(parameter), scaleOf(parameter[0])];
    const key = `${decay} ${lrScale}`;
    const group = groups.get(key);
    if (group) group.parameters.push(parameter);
    else groups.set(key, { decay, lrScale, parameters: [parameter] });
  }
  return [...groups.values()].toSorted((a, b) => Number(b.decay) - Number(a.decay));
}

/** 0 for what comes before the first block, then the blocks, and the heads and the last norm above. */
function layerOf(name: string, depth: number): number {
  const block = /\bblocks\.(\d+)\./.exec(name)?.[1];
  if (block !== undefined) return Number(block) + 1;
  return /_token$|pos_embed|patch_embed|masked_embed/.test(name) ? 0 : depth + 1;
}

function exempt([name, weight]: NamedParameter): boolean {
  return name.endsWith(".bias") || weight.shape.length === 1;
}
