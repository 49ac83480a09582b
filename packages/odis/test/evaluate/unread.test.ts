import { expect, it } from "vitest";
import {
  defaultValue,
  evaluationOptions,
  suiteNames,
  unreadOptions,
} from "../../src/evaluate/settings.js";

it("an option that no measured suite reads is named, with what would read it", () => {
  expect(unreadOptions({ suite: ["knn"], transfer: ["a::b"], k: 5, limit: 10 })).toEqual([
    "--transfer has no effect: transfer would read it; wanted, for example, --suite knn,transfer",
  ]);
  expect(unreadOptions({ suite: ["knn"], epochs: 5 })).toEqual([
    expect.stringMatching(/^--epochs has no effect: .*linear.* would read it; /),
  ]);
  expect(unreadOptions({ suite: ["transfer"], epochs: 5, transfer: ["a::b"] })).toEqual([]);
});

it("modes that a suite does not measure are named", () => {
  const asked = (...suite: readonly string[]) =>
    unreadOptions({ suite, mode: ["mask", "crop", "blackout"] });
  expect(asked("knn", "linear")).toEqual([
    "--mode crop,blackout is left out by linear, which measures mask",
  ]);
  expect(asked("knn")).toEqual([]);
  expect(unreadOptions({ suite: ["linear"], mode: ["crop"] })).toEqual([]);
  expect(unreadOptions({ suite: ["linear"], mode: ["none", "mask"] })).toEqual([]);
  expect(unreadOptions({ suite: ["transfer"], mode: ["mask"] })).toEqual([]);
  expect(unreadOptions({ suite: ["transfer"], mode: ["crop"] })).toEqual([
    "--mode crop is left out by transfer, which measures none",
  ]);
  // The first of those that it knows: as it is measured.
  expect(unreadOptions({ suite: ["transfer"], mode: ["none", "mask"] })).toEqual([
    "--mode mask is left out by transfer, which measures none",
  ]);
});

it("options that nobody gave are not", () => {
  const names = Object.keys(evaluationOptions);
  const values = Object.fromEntries(names.map((name) => [name, defaultValue(name)]));
  for (const suite of suiteNames)
    expect(unreadOptions({ ...values, suite: [suite], transfer: [], landmarks: [] })).toEqual([]);
});
