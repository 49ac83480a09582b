import { describe, expect, it } from "vitest";
import { ConfigError } from "../../src/core/errors.js";
import { deviceOf, membershipOf } from "../../src/run/place.js";

const torchrun = {
  RANK: "3",
  WORLD_SIZE: "8",
  LOCAL_RANK: "1",
  LOCAL_WORLD_SIZE: "2",
  MASTER_ADDR: "10.0.0.1",
  MASTER_PORT: "29501",
};

describe("the place of a process among others", () => {
  it("is what torchrun's variables say", () => {
    expect(membershipOf(torchrun)).toEqual({
      rank: 3,
      size: 8,
      localRank: 1,
      localSize: 2,
      address: "10.0.0.1",
      port: 29_501,
      masterPort: 29_501,
    });
  });

  it("meets beside the store that torchrun itself keeps at its port", () => {
    const kept = { ...torchrun, TORCHELASTIC_USE_AGENT_STORE: "True" };
    expect(membershipOf(kept)).toMatchObject({ port: 29_502, masterPort: 29_501 });
    expect(membershipOf({ ...kept, MASTER_PORT: "65535" })?.port).toBe(65_534);
    expect(membershipOf({ ...kept, TORCHELASTIC_USE_AGENT_STORE: "False" })?.port).toBe(29_501);
  });

  it("is none without them, and with one process", () => {
    expect(membershipOf({})).toBeUndefined();
    expect(
      membershipOf({ ...torchrun, RANK: "0", WORLD_SIZE: "1", LOCAL_RANK: "0" }),
    ).toBeUndefined();
  });

  it("is SLURM's under srun: the first node meets, jobs do not meet each other", () => {
    const step = {
      SLURM_JOB_ID: "123456",
      SLURM_PROCID: "5",
      SLURM_STEP_NUM_TASKS: "8",
      SLURM_LOCALID: "1",
      SLURM_STEP_TASKS_PER_NODE: "4(x2)",
      SLURM_STEP_NODELIST: "gpu[07-09,12],login1",
    };
    expect(membershipOf(step)).toEqual({
      rank: 5,
      size: 8,
      localRank: 1,
      localSize: 4,
      address: "gpu07",
      port: 23_456,
      masterPort: 23_456,
    });
    expect(membershipOf({ ...step, SLURM_STEP_NODELIST: "a1,a2" })?.address).toBe("a1");
    expect(membershipOf({ ...step, MASTER_ADDR: "b", MASTER_PORT: "99" })).toMatchObject({
      address: "b",
      port: 99,
    });
  });

  it("is none in a batch script that starts one process in an allocation of many", () => {
    expect(membershipOf({ SLURM_PROCID: "0", SLURM_NTASKS: "8" })).toBeUndefined();
  });

  const wrong: readonly (readonly [object, RegExp])[] = [
    [{ WORLD_SIZE: undefined }, /^RANK is set \(3\), but WORLD_SIZE is not; wanted both/],
    [{ RANK: undefined }, /^RANK: got nothing, wanted an integer from 0 to 7/],
    [{ RANK: "8" }, /^RANK: got "8", wanted an integer from 0 to 7/],
    [{ WORLD_SIZE: "many" }, /^WORLD_SIZE: got "many"/],
    [{ MASTER_ADDR: "" }, /^MASTER_ADDR: got nothing/],
    [{ MASTER_PORT: "0" }, /^MASTER_PORT: got "0", wanted an integer from 1 to 65535/],
    [{ LOCAL_RANK: "-1" }, /^LOCAL_RANK: got "-1"/],
  ];
  for (const [change, message] of wrong)
    it(`is refused when half of it is said: ${JSON.stringify(change)}`, () => {
      const place = (): unknown => membershipOf({ ...torchrun, ...change });
      expect(place).toThrow(ConfigError);
      expect(place).toThrow(message);
    });

  it("decides which GPU is meant by cuda", () => {
    expect(deviceOf("cpu", { localRank: 1 })).toBe("cpu");
    expect(() => deviceOf("cuda", { localRank: 7 })).toThrow(/cuda:7/);
  });
});
