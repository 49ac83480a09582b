import { z } from "zod";
import { ConfigError, type ConfigLayer, nearest, resolveConfig } from "../core/index.js";
import { modelNames, recipeNames } from "../recipe/index.js";
import { modes } from "../features/index.js";
import { evaluationOptions, type OptionType, type OptionValue } from "../evaluate/index.js";

const count = z.int().min(1);
/** Names become folders. */
const name = z.string().regex(/^[\w.-]+$/, "wanted letters, digits, points and dashes only");
/** Dotted path -> value, as `--set path=value` takes them. */
const settings = z.record(z.string().min(1), z.unknown());
const seeds = z
  .array(z.int().min(0))
  .min(1, "wanted at least one seed")
  .refine((given) => new Set(given).size === given.length, { error: "wanted each seed once" });

const row = z.strictObject({
  name,
  /** settings to start from; default: the plan's */
  recipe: z.enum(recipeNames).optional(),
  /** over everything else */
  set: settings.prefault({}),
  /** a file of masks: its objects instead of the training data's own (`odis pretrain --masks`) */
  masks: z.string().min(1).optional(),
  /** default: the plan's */
  seeds: seeds.optional(),
  /** what the row is for, one sentence */
  note: z.string().optional(),
  /** why this row may cost more or less than the others */
  unequal: z.string().min(1).optional(),
});

function fieldOf(type: OptionType): z.ZodType<OptionValue, OptionValue> {
  if (type.kind === "texts") return z.array(z.string().min(1)).min(1, "wanted at least one");
  if (type.kind === "choice") {
    const one = z.enum(type.of);
    return type.many ? z.array(one).min(1, "wanted at least one") : one;
  }
  const { whole, many, min = -Infinity, max = Infinity } = type;
  const one = (whole ? z.int() : z.number()).min(min).max(max);
  return many ? z.union([one, z.array(one).min(1, "wanted at least one")]) : one;
}

type Field = z.ZodType<OptionValue | undefined, OptionValue | undefined>;

/** Options of `odis evaluate`; what is left out has that command's default. */
const evaluation: Readonly<Record<string, Field>> = {
  ...Object.fromEntries(
    Object.entries(evaluationOptions)
      // Baselines are the comparison's to choose: they are measured once.
      .filter(([option]) => option !== "baselines")
      .map(([option, { type }]): [string, Field] => [option, fieldOf(type).optional()]),
  ),
  mode: fieldOf(evaluationOptions["mode"]!.type).default([...modes]),
};

/** What is run and what is made of it: plain JSON. */
export const planSchema = z.strictObject({
  name,
  title: z.string().optional(),
  note: z.string().optional(),
  /** data sets as the command line names them */
  data: z.strictObject({ train: z.string().optional(), test: z.string().optional() }).prefault({}),
  /** holds for every row */
  common: z
    .strictObject({
      recipe: z.enum(recipeNames).optional(),
      model: z.enum(modelNames).optional(),
      steps: count.optional(),
      batch: count.optional(),
      set: settings.prefault({}),
    })
    .prefault({}),
  seeds: seeds.default([0, 1, 2]),
  rows: z.array(row).min(1, "wanted at least one row"),
  evaluate: z.strictObject(evaluation).prefault({}),
  /** the row that the others are compared with; default: the first */
  reference: z.string().optional(),
  /** rows with a way of using masks afterwards, as one table; the first is what the others are compared with */
  lines: z
    .array(z.strictObject({ name: z.string(), row: z.string(), inference: z.enum(modes) }))
    .default([]),
});

export type PlanInput = z.input<typeof planSchema>;
export type Plan = ReturnType<typeof resolveConfig<typeof planSchema>>;

/** The row that the others are compared with. */
export function referenceOf({ reference, rows }: Plan): string {
  return reference ?? rows[0]!.name;
}

/** What a command line changes of a plan; rows still differ as the plan says. */
export interface PlanChanges {
  readonly train?: string | undefined;
  readonly test?: string | undefined;
  readonly model?: Plan["common"]["model"];
  readonly steps?: number | undefined;
  readonly batch?: number | undefined;
  /** side of the network's input in evaluation, pixels */
  readonly size?: number | undefined;
  /** images read from each data set in evaluation */
  readonly limit?: number | undefined;
  /** path=value */
  readonly set?: Readonly<Record<string, unknown>> | undefined;
  /** seeds 0..n-1 */
  readonly seeds?: number | undefined;
  /** names of the rows to run; default: all */
  readonly rows?: readonly string[] | undefined;
}

/** @throws ConfigError one line for each problem */
export function checkPlan(layer: ConfigLayer): Plan {
  const plan = resolveConfig(planSchema, [layer]);
  const names = plan.rows.map((row) => row.name);
  const problems = [
    ...names
      .filter((row, index) => names.indexOf(row) !== index)
      .map((row) => `rows: the name ${row} is given twice; wanted another for each row`),
    ...(plan.reference === undefined ? [] : unknownRow(plan.reference, names, "reference")),
    ...plan.lines.flatMap(({ row }, index) => unknownRow(row, names, `lines.${index}.row`)),
  ];
  if (problems.length > 0)
    throw new ConfigError(problems.map((problem) => `${layer.source}: ${problem}`).join("\n"));
  return plan;
}

/**
 * The plan with what the command line says: common settings are replaced, rows are left out, and
 * with them what needs them.
 *
 * @throws ConfigError for a row that the plan does not have
 */
export function changePlan(plan: Plan, changes: PlanChanges): Plan {
  const {
    train,
    test,
    model,
    steps,
    batch,
    size,
    limit,
    set = {},
    seeds: seedCount,
    rows,
  } = changes;
  const names = plan.rows.map((row) => row.name);
  const problems = rows?.flatMap((row) => unknownRow(row, names, "--rows")) ?? [];
  if (problems.length > 0) throw new ConfigError(problems.join("\n"));
  const kept = plan.rows.filter((row) => rows === undefined || rows.includes(row.name));
  const isKept = (row: string): boolean => kept.some((other) => other.name === row);
  const changed = {
    ...plan,
    data: { train: train ?? plan.data.train, test: test ?? plan.data.test },
    common: {
      ...plan.common,
      model: model ?? plan.common.model,
      steps: steps ?? plan.common.steps,
      batch: batch ?? plan.common.batch,
      set: { ...plan.common.set, ...set },
    },
    evaluate: {
      ...plan.evaluate,
      size: size ?? plan.evaluate["size"],
      limit: limit ?? plan.evaluate["limit"],
    },
    seeds: seedCount === undefined ? plan.seeds : Array.from({ length: seedCount }, (_, i) => i),
    rows: seedCount === undefined ? kept : kept.map((row) => ({ ...row, seeds: undefined })),
    reference: plan.reference !== undefined && isKept(plan.reference) ? plan.reference : undefined,
    lines: plan.lines.filter(({ row }) => isKept(row)),
  };
  return resolveConfig(planSchema, [{ source: "command line", values: withoutUndefined(changed) }]);
}

function unknownRow(row: string, names: readonly string[], where: string): readonly string[] {
  if (names.includes(row)) return [];
  const close = nearest(row, names);
  return [
    `${where}: there is no row ${JSON.stringify(row)}; wanted one of ${names.join(", ")}` +
      (close === undefined ? "" : `. Did you mean ${close}?`),
  ];
}

/** As JSON has it: a key without a value is no key. */
function withoutUndefined(value: object): Readonly<Record<string, unknown>> {
  const plain: Readonly<Record<string, unknown>> = JSON.parse(JSON.stringify(value));
  return plain;
}
