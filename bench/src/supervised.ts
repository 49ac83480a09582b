import { existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import {
  AdamW,
  Generator,
  linear,
  setThreads,
  type Tensor,
  tensor,
  tidy,
  zeros,
} from "../../packages/torch/dist/index.js";
import { checkBatch, Order } from "../../packages/odis/dist/batches/index.js";
import {
  ConfigError,
  DataError,
  OdisError,
  Rng,
  RunError,
  settingPaths,
  settingsLayer,
} from "../../packages/odis/dist/core/index.js";
import { type DataSource, openSource, parseDataSpec } from "../../packages/odis/dist/data/index.js";
import { writerOf } from "../../packages/odis/dist/formats/index.js";
import { type Network, normalise } from "../../packages/odis/dist/model/index.js";
import {
  modelNames,
  type Recipe,
  recipeLayers,
  resolveRecipe,
  scheduleValuesAt,
} from "../../packages/odis/dist/recipe/index.js";
import { buildNetwork } from "../../packages/odis/dist/train/index.js";
import { type GlobalSlot, makeViews, newViewSlots } from "../../packages/odis/dist/views/index.js";
import { runStages } from "./stages.js";

const usage = `npm run supervised -- --train PLACE --test PLACE [options]

The ceiling of a comparison: the network of odis, trained on the same global views for as many steps, but told
the class of every object. [OBJ] of a view is classified by a linear layer; the rate rises and falls as in a
run. What it has learned is then measured as a run's features are (odis evaluate). Run again to measure once more;
a training that was interrupted begins anew.

  --train PLACE   data with classes, as odis pretrain takes it
  --test PLACE    other data of the same classes
  --out FOLDER    everything, default runs/supervised
  --model NAME    default vit-mini
  --steps N       default 6000
  --batch N       images in a step, default 64
  --lr RATE       the largest, default 0.001
  --seed N        default 0
  --set PATH=VALUE
                  one setting of the views or the network, as in odis pretrain; repeat for more
  --threads N     of the engine, default all cores
  --size N        side of the network's input in evaluation, default 80
  --limit N       images read of each data set in evaluation, default 2000
  --help`;

const { values } = parseArgs({
  options: {
    train: { type: "string" },
    test: { type: "string" },
    out: { type: "string", default: "runs/supervised" },
    model: { type: "string", default: "vit-mini" },
    steps: { type: "string", default: "6000" },
    batch: { type: "string", default: "64" },
    lr: { type: "string", default: "0.001" },
    seed: { type: "string", default: "0" },
    set: { type: "string", multiple: true, default: [] },
    threads: { type: "string" },
    size: { type: "string", default: "80" },
    limit: { type: "string", default: "2000" },
    help: { type: "boolean", default: false },
  },
});

/** As usual where labels teach (Touvron et al. 2021, DeiT). */
const WEIGHT_DECAY = 0.05;

/** Views of S × S pixels, in N patches. */
interface Labelled {
  /** [B, 3, S, S], 0..255 */
  readonly pixels: Uint8Array;
  /** [B, 1, N], 1 = the patch belongs to the object */
  readonly visible: Uint8Array;
  /** [B] */
  readonly labels: readonly number[];
}

/** Global views that show their object, and its class. */
async function labelledViews(
  source: DataSource,
  { views, model }: Recipe,
  { epoch, position, indices }: ReturnType<Order["step"]>,
  seed: number,
): Promise<Labelled> {
  const shown: { readonly view: GlobalSlot; readonly label: number }[] = [];
  for (const [at, index] of indices.entries()) {
    const slots = newViewSlots(views, model.patch);
    const rng = new Rng("views", seed, epoch, position + at);
    const { objects } = makeViews(await source.read(index), views, model.patch, rng, slots);
    const label = objects[0]?.label ?? -1;
    if (label < 0) continue;
    shown.push(
      ...slots.global.filter(({ present }) => present[0] === 1).map((view) => ({ view, label })),
    );
  }
  const joined = (of: (view: GlobalSlot) => Uint8Array): Uint8Array =>
    Uint8Array.from(Buffer.concat(shown.map(({ view }) => of(view))));
  return {
    pixels: joined(({ pixels }) => pixels),
    visible: joined(({ visible }) => visible),
    labels: shown.map(({ label }) => label),
  };
}

/**
 * Mean cross-entropy of the classes, and the share that is right: a number each.
 *
 * @param classifier [classes, D]
 * @param size S
 */
function classify(
  network: Network,
  classifier: Tensor,
  { pixels, visible, labels }: Labelled,
  size: number,
): { readonly loss: Tensor; readonly right: Tensor } {
  const B = labels.length;
  const images = normalise(pixels, [B, 3, size, size]);
  const seen = tensor(visible, [B, 1, visible.length / B]).bool();
  const { layout } = network.backbone;
  const object = layout.objectsOf(network.forward(images, { visible: seen })).select(1, 0);
  const logits = linear(object, classifier);
  const target = tensor(BigInt64Array.from(labels, BigInt), [B, 1]);
  return {
    loss: logits.logSoftmax(1).gather(1, target).mean().neg(),
    right: logits.argmax(1, true).eq(target).float().mean(),
  };
}

/** @throws DataError when there is nothing to learn from */
async function train(recipe: Recipe, lr: number, data: string, out: string): Promise<void> {
  const { optim, views, seed } = recipe;
  const source = await openSource(parseDataSpec(data));
  if (source.classes.length === 0)
    throw new DataError(`--train: ${data} has no classes; wanted objects of known classes.`);
  checkBatch(optim.batch, source.size);
  const order = new Order(seed, source, optim.batch);
  const length = { stepsPerEpoch: order.stepsPerEpoch, totalSteps: optim.steps! };
  const network = buildNetwork(recipe, "teacher").init(new Generator(seed)).requiresGrad_(true);
  const classifier = zeros([source.classes.length, recipe.model.dim]).requiresGrad_(true);
  const named = [...network.backbone.namedParameters(), ["classifier", classifier] as const];
  const optimizer = new AdamW(
    [true, false].map((decay) => ({
      decay,
      parameters: named.filter(([, weight]) => weight.shape.length > 1 === decay),
    })),
  );
  const rates = Array.from(
    { length: length.totalSteps },
    (_, step) => scheduleValuesAt(recipe, length, step).lr,
  );
  const scale = lr / Math.max(...rates);
  const began = performance.now();
  for (let step = 0; step < length.totalSteps; step += 1) {
    const batch = await labelledViews(source, recipe, order.step(step), seed);
    if (batch.labels.length === 0)
      throw new DataError(
        `step ${step + 1}: none of ${optim.batch} images of ${data} shows an object of a known class; wanted data ` +
          `with classes.`,
      );
    const [loss, right] = tidy(() => {
      const measured = classify(network, classifier, batch, views.globals.size);
      measured.loss.backward();
      optimizer.step({ lr: scale * rates[step]!, weightDecay: WEIGHT_DECAY });
      optimizer.zeroGrad();
      return [measured.loss.item(), measured.right.item()] as const;
    });
    if (step % 100 === 0 || step + 1 === length.totalSteps)
      console.error(
        `step ${step + 1}/${length.totalSteps}  loss ${loss.toFixed(3)}  right ${(100 * right).toFixed(1)} %  ` +
          `${((performance.now() - began) / 1000).toFixed(0)} s`,
      );
  }
  network.requiresGrad_(false);
  const exported = { network, recipe, step: length.totalSteps, side: "teacher" } as const;
  await writerOf("odis")!.write(out, { ...exported, precision: "float32" });
}

/** @throws ConfigError naming the option */
function settings(): { readonly recipe: Recipe; readonly lr: number } {
  const model = modelNames.find((name) => name === values.model);
  if (!model)
    throw new ConfigError(`--model: got ${values.model}; wanted one of ${modelNames.join(", ")}.`);
  const [lr, steps, batch, seed] = [values.lr, values.steps, values.batch, values.seed].map(Number);
  if (!(lr! > 0 && lr! < 1))
    throw new ConfigError(`--lr: got ${values.lr}; wanted a number between 0 and 1.`);
  for (const path of Object.keys(settingPaths(values.set)))
    if (!/^(?:views|model)\./.test(path))
      throw new ConfigError(
        `--set: got ${path}; wanted a setting of views or model, e.g. model.dim.`,
      );
  const own = { seed, optim: { steps, batch }, views: { locals: { count: 0 } } };
  const source = "npm run supervised";
  return {
    recipe: resolveRecipe([
      ...recipeLayers("odis", model),
      settingsLayer(values.set),
      { source, values: own },
    ]),
    lr: lr!,
  };
}

/** @throws RunError when the weights that are there were trained in another way */
function checkSame(file: string, text: string): void {
  if (existsSync(file) && readFileSync(file, "utf8") === text) return;
  throw new RunError(
    `${resolve(values.out)} was made with other options (${file}). Choose another --out, or remove it.`,
  );
}

async function main(): Promise<number> {
  const { train: training, test, help, size, limit, threads } = values;
  if (help || !training || !test) {
    console[help ? "log" : "error"](usage);
    return help ? 0 : 2;
  }
  const { recipe, lr } = settings();
  if (threads) setThreads(Number(threads));
  const out = resolve(values.out);
  const [weights, run] = [join(out, "model.safetensors"), join(out, "run")];
  mkdirSync(out, { recursive: true });
  const [record, how] = [join(out, "trained.json"), JSON.stringify({ training, lr, recipe })];
  if (existsSync(weights)) checkSame(record, how);
  else {
    await train(recipe, lr, training, weights);
    writeFileSync(record, how);
  }
  const engine = threads ? ["--threads", threads] : [];
  return runStages([
    ...(existsSync(run) ? [] : [{ title: "a run of it", words: ["import", weights, run] }]),
    {
      title: "what it knows",
      words: ["evaluate", run, "--train", training, "--test", test, "--suite", "knn,linear"]
        .concat("--mode", "mask,none,crop,crop-mask", "--size", size, "--limit", limit)
        .concat(engine),
    },
  ]);
}

process.exitCode = await main().catch((error: unknown) => {
  if (!(error instanceof OdisError)) throw error;
  console.error(`supervised: ${error.message}`);
  return error.exitCode;
});
