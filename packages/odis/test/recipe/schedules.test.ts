import { describe, expect, it } from "vitest";
import { cosineAt, scheduleValuesAt } from "../../src/recipe/schedules.js";
import { recipeSchema } from "../../src/recipe/schema.js";
import { golden } from "../golden.js";

interface Reference {
  readonly config: {
    readonly lr: number;
    readonly batch_total: number;
    readonly min_lr: number;
    readonly epochs: number;
    readonly niter_per_epoch: number;
    readonly warmup_epochs: number;
    readonly weight_decay: number;
    readonly weight_decay_end: number;
    readonly momentum_teacher: number;
    readonly warmup_teacher_temp: number;
    readonly teacher_temp: number;
    readonly warmup_teacher_temp_epochs: number;
    readonly mim_start_epoch: number;
    readonly generic: {
      base: number;
      final: number;
      warmup_epochs: number;
      start_warmup_value: number;
    };
  };
  readonly arrays_float64: Record<
    "lr" | "wd" | "momentum" | "teacher_temp" | "teacher_patch_temp" | "generic",
    number[]
  >;
}

const reference = golden<{ readonly configs: readonly Reference[] }>("schedules");
const { configs } = reference.info;

describe("schedules against the published arrays", () => {
  for (const [index, { config, arrays_float64 }] of configs.entries()) {
    const steps = config.epochs * config.niter_per_epoch;
    const warmup = (epochs: number): number => epochs * config.niter_per_epoch;
    const schedules = {
      lr: {
        base: (config.lr * config.batch_total) / 256,
        final: config.min_lr,
        warmupSteps: warmup(config.warmup_epochs),
      },
      wd: { base: config.weight_decay, final: config.weight_decay_end },
      momentum: { base: config.momentum_teacher, final: 1 },
      generic: {
        base: config.generic.base,
        final: config.generic.final,
        warmupSteps: warmup(config.generic.warmup_epochs),
        start: config.generic.start_warmup_value,
      },
    };
    for (const [name, schedule] of Object.entries(schedules))
      it(`config ${index}: ${name} to a relative 1e-12`, () => {
        const wanted = arrays_float64[name as keyof typeof schedules];
        expect(wanted).toHaveLength(steps);
        for (const [step, value] of wanted.entries())
          expect(Math.abs(cosineAt(schedule, step, steps) - value)).toBeLessThanOrEqual(
            1e-12 * Math.abs(value),
          );
      });
    it(`config ${index}: a recipe has all of them at every step, as the published arrays in both precisions`, () => {
      const temperature = {
        start: config.warmup_teacher_temp,
        end: config.teacher_temp,
        warmupEpochs: config.warmup_teacher_temp_epochs,
      };
      const recipe = recipeSchema.parse({
        loss: {
          teacherTemperature: temperature,
          patchTemperature: temperature,
          patchFromEpoch: config.mim_start_epoch,
        },
        optim: {
          batch: config.batch_total,
          epochs: config.epochs,
          lr: config.lr,
          minLr: config.min_lr,
          warmupEpochs: config.warmup_epochs,
          weightDecay: { start: config.weight_decay, end: config.weight_decay_end },
        },
        teacher: { momentum: { start: config.momentum_teacher, end: 1 } },
      });
      const length = { stepsPerEpoch: config.niter_per_epoch, totalSteps: steps };
      const arrays = {
        lr: "lr",
        wd: "weightDecay",
        momentum: "teacherMomentum",
        teacher_temp: "teacherTemperature",
        teacher_patch_temp: "patchTemperature",
      } as const;
      for (const [name, key] of Object.entries(arrays)) {
        const exact = arrays_float64[name as keyof typeof arrays];
        const rounded = reference.floats(`config${index}/${name}`);
        const stride = steps / exact.length; // temperatures have a value an epoch
        for (let step = 0; step < steps; step += 1) {
          const got = scheduleValuesAt(recipe, length, step)[key];
          const at = Math.floor(step / stride);
          expect(Math.abs(got - exact[at]!), `${name} ${step}`).toBeLessThanOrEqual(1e-12 * got);
          expect(Math.abs(got - rounded[at]!), `${name} ${step}`).toBeLessThanOrEqual(1e-6 * got);
        }
      }
      const generic = reference.floats(`config${index}/generic`);
      for (const [step, value] of generic.entries())
        expect(Math.abs(cosineAt(schedules.generic, step, steps) - value)).toBeLessThanOrEqual(
          1e-6 * Math.abs(value),
        );
    });
  }
});
