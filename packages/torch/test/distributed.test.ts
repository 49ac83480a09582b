import { createServer } from "node:net";
import { collectiveBackends, placeFromEnvironment, ProcessGroup } from "@odis/torch";
import { describe, expect, it, test } from "vitest";
import { runModule } from "./node.js";

/** A port that was free a moment ago. */
function freePort(): Promise<number> {
  return new Promise((resolve) => {
    const server = createServer().listen(0, "127.0.0.1", () => {
      const address = server.address();
      server.close(() => resolve(typeof address === "object" && address ? address.port : 0));
    });
  });
}

/** Runs the same program in `size` real processes that know each other; what each printed. */
async function together(size: number, source: string): Promise<unknown[]> {
  const port = await freePort();
  const ended = await Promise.all(
    Array.from({ length: size }, (_, rank) =>
      runModule(source, {
        RANK: String(rank),
        WORLD_SIZE: String(size),
        MASTER_ADDR: "127.0.0.1",
        MASTER_PORT: String(port),
      }),
    ),
  );
  return ended.map(({ code, stdout, stderr }) => {
    expect({ code, stderr }).toEqual({ code: 0, stderr: "" });
    const last = stdout.trimEnd().split("\n").at(-1); // newer versions of gloo print before
    return JSON.parse(last ?? "") as unknown;
  });
}

const join = `
  import * as t from "@odis/torch";
  using_group(t.ProcessGroup.join(t.placeFromEnvironment(), { patienceSeconds: 60 }));
  function using_group(group) {
    const told = work(group);
    group.barrier();
    group[Symbol.dispose]();
    console.log(JSON.stringify(told));
  }
`;

test("two processes sum, average, broadcast and gather", async () => {
  const told = await together(
    2,
    `${join}
    function work(group) {
      const { rank } = group;
      const sums = [t.tensor([1 + rank, 10]), t.tensor([rank], undefined, { dtype: "int64" })];
      group.allReduce(sums);
      const mean = t.tensor([rank, 4]);
      group.allReduce(mean, "mean");
      const sent = t.full([2], rank + 5);
      group.broadcast([sent], 1);
      return {
        sums: sums.map((x) => x.toNumbers()),
        mean: mean.toNumbers(),
        sent: sent.toNumbers(),
        all: group.allGather(t.tensor([rank])).map((x) => x.item()),
        place: [rank, group.size, group.backend],
      };
    }`,
  );
  const common = { sums: [[3, 20], [1]], mean: [0.5, 4], sent: [6, 6], all: [0, 1] };
  expect(told).toEqual([
    { ...common, place: [0, 2, "gloo"] },
    { ...common, place: [1, 2, "gloo"] },
  ]);
});

test("data-parallel gradients equal those of the whole batch", async () => {
  const told = (await together(
    2,
    `${join}
    function work(group) {
      const data = t.arange(8, { dtype: "float32" }).reshape([4, 2]);
      const gradient = (rows) => {
        const w = t.tensor([0.5, -1]).requiresGrad_();
        rows.mul(w).sum(1).pow(2).mean().backward();
        return w.grad;
      };
      const mine = gradient(data.narrow(0, 2 * group.rank, 2));
      group.allReduce(mine, "mean");
      return { mine: mine.toNumbers(), whole: gradient(data).toNumbers() };
    }`,
  )) as readonly { readonly mine: readonly number[]; readonly whole: readonly number[] }[];
  for (const { mine, whole } of told) expect(mine).toEqual(whole);
});

test("a mistake is an error in that process, not a crash", async () => {
  const told = await together(
    2,
    `${join}
    function work(group) {
      const texts = [];
      const attempt = (fn) => { try { fn(); texts.push("no error"); } catch (error) { texts.push(error.message); } };
      attempt(() => group.broadcast(t.ones([1]), 2));
      attempt(() => group.allReduce([3]));
      attempt(() => t.ProcessGroup.join(t.placeFromEnvironment()));
      return texts;
    }`,
  );
  const texts = [
    "broadcast: source got 2, wanted an integer from 0 to 1",
    "sumAcross: got 3, wanted a Tensor",
    "joinProcesses: this thread has joined its processes already",
  ];
  expect(told).toEqual([texts, texts]);
});

test("waiting for a process that does not come ends with an error", async () => {
  const ended = await runModule(
    `import { placeFromEnvironment, ProcessGroup } from "@odis/torch";
     try { ProcessGroup.join(placeFromEnvironment(), { patienceSeconds: 1 }); }
     catch (error) { console.log(error.message); }`,
    { RANK: "0", WORLD_SIZE: "2", MASTER_ADDR: "127.0.0.1", MASTER_PORT: String(await freePort()) },
  );
  expect(ended.stdout).toMatch(/^joinProcesses: .*[Tt]imed? ?out/);
  expect(ended.code).toBe(0);
});

test("nothing can be reduced before joining", () => {
  expect(collectiveBackends()).toContain("gloo");
  const lonely = Object.create(ProcessGroup.prototype) as ProcessGroup;
  expect(() => lonely.barrier()).toThrow("barrier: this thread has not joined its processes");
});

describe("the environment", () => {
  const env = {
    RANK: "1",
    WORLD_SIZE: "4",
    MASTER_ADDR: "host",
    MASTER_PORT: "1234",
    LOCAL_RANK: "0",
  };

  it("tells a process its place", () => {
    expect(placeFromEnvironment({})).toBeUndefined();
    expect(placeFromEnvironment(env)).toEqual({
      rank: 1,
      size: 4,
      localRank: 0,
      address: "host",
      port: 1234,
    });
  });

  test.each([
    ["RANK", undefined, "RANK: got nothing, wanted an integer from 0 to 3"],
    ["RANK", "4", 'RANK: got "4", wanted an integer from 0 to 3'],
    ["WORLD_SIZE", "two", 'WORLD_SIZE: got "two", wanted an integer from 1 to'],
    ["MASTER_PORT", "99999", 'MASTER_PORT: got "99999", wanted an integer from 1 to 65535'],
    ["MASTER_ADDR", "", "MASTER_ADDR: got nothing, wanted the host name or address of rank 0"],
  ])("%s = %s is refused", (name, value, text) => {
    expect(() => placeFromEnvironment({ ...env, [name]: value })).toThrow(text);
  });
});
