import { describe, expect, it } from "vitest";
import { cosineAt, temperatureAt } from "../../src/recipe/schedules.js";
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
    readonly generic: {
      base: number;
      final: number;
      warmup_epochs: number;
      start_warmup_value: number;
    };
  };
  readonly arrays_float64: Record<"lr" | "wd" | "momentum" | "teacher_temp" | "generic", number[]>;
}

const { configs } = golden("schedules").info as { configs: Reference[] };

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
    it(`config ${index}: teacher temperature`, () => {
      const schedule = {
        start: config.warmup_teacher_temp,
        end: config.teacher_temp,
        warmup: config.warmup_teacher_temp_epochs,
      };
      for (const [epoch, value] of arrays_float64.teacher_temp.entries())
        expect(Math.abs(temperatureAt(schedule, epoch) - value)).toBeLessThanOrEqual(1e-12 * value);
    });
  }
});
