import { once } from "node:events";
import { type AddressInfo, createServer } from "node:net";
import { collectiveBackends, placeFromEnvironment, ProcessGroup, runtimeInfo } from "@odis/torch";
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

/** What torchrun tells a process of its place. */
const rankVariables = (rank: number, size: number, port: number): Record<string, string> => ({
  RANK: String(rank),
  WORLD_SIZE: String(size),
  MASTER_ADDR: "127.0.0.1",
  MASTER_PORT: String(port),
});

/** Runs the same program in `size` real processes that know each other; what each printed. */
async function together(size: number, source: string): Promise<unknown[]> {
  const port = await freePort();
  const ended = await Promise.all(
    Array.from({ length: size }, (_, rank) => runModule(source, rankVariables(rank, size, port))),
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

test("messages under way: sums, parts and wholes, and what was sent", async () => {
  const told = await together(
    2,
    `${join}
    function work(group) {
      const { rank } = group;
      const sums = [t.tensor([1 + rank, 10]), t.tensor([[rank], [2]]).transpose(0, 1), t.tensor([rank], undefined, { dtype: "int64" })];
      const before = group.traffic;
      const sum = group.startAllReduce(sums);
      const mean = group.startAllReduce(t.tensor([4 * rank]), "mean");
      const part = t.zeros([1, 2]);
      const scattered = group.startReduceScatter(t.tensor([[1, 2], [3, 4]]).mul(rank + 1), part);
      const whole = t.zeros([4], { dtype: "float64" });
      const gathered = group.startAllGatherInto(whole, t.tensor(Float64Array.of(rank, rank + 10)));
      for (const transfer of [gathered, scattered, mean, sum, sum]) transfer.wait();
      const { messages, bytes } = group.traffic;
      return {
        sums: sums.map((x) => x.flatten().toNumbers()),
        part: part.toNumbers(),
        whole: whole.toNumbers(),
        sent: [messages - before.messages, bytes - before.bytes],
      };
    }`,
  );
  const common = {
    sums: [[3, 20], [1, 4], [1]],
    whole: [0, 10, 1, 11],
    // float32[2] and [2] together, int64[1]; float32[1]; float32[2, 2]; float64[2]
    sent: [5, 16 + 8 + 4 + 16 + 16],
  };
  expect(told).toEqual([
    { ...common, part: [3, 6] },
    { ...common, part: [9, 12] },
  ]);
});

const network = `
  const weight = (shape, seed) => t.zeros(shape).normal_(0, 1, new t.Generator(seed)).requiresGrad_();
  const weights = [weight([3, 4], 1), weight([4], 2), weight([4, 2], 3), weight([2], 4), weight([5], 5)];
  const [a, b, c, d, unused] = weights;
  const loss = (rows) => rows.matmul(a).add(b).gelu().matmul(c).add(d).pow(2).mean();
  const data = t.zeros([8, 3]).normal_(0, 1, new t.Generator(9));
  const mine = (rank) => data.narrow(0, 4 * rank, 4);
  const gradients = () => weights.map((w) => w.grad?.flatten().toNumbers() ?? null);
  const forget = () => { for (const w of weights) w.grad = undefined; };
`;

interface Gradients {
  readonly got: readonly (readonly number[] | null)[];
  readonly wanted: readonly (readonly number[] | null)[];
  readonly buckets: number;
  readonly sent: number;
}

function expectGradients({ got, wanted }: Gradients): void {
  expect(got.map((one) => one?.length)).toEqual(wanted.map((one) => one?.length));
  for (const [place, one] of got.entries())
    for (const [at, value] of (one ?? []).entries())
      expect(Math.abs(value - wanted[place]![at]!)).toBeLessThan(1e-6);
}

test.each([
  ["one bucket", 1 << 20, 1],
  ["a bucket for each weight", 1, 5],
  ["three buckets", 60, 3],
])("gradients are averaged during backward, in %s", async (_, bytes, buckets) => {
  const told = (await together(
    2,
    `${join}
    function work(group) {
      ${network}
      loss(data).backward();
      const wanted = gradients();
      forget();
      const before = group.traffic.messages;
      const sender = new t.GradientBuckets(group, weights, { bytes: ${bytes} });
      for (let step = 0; step < 3; step += 1) {
        forget();
        sender.reduceDuring(() => loss(mine(group.rank)).backward());
      }
      return { got: gradients(), wanted, buckets: sender.count, sent: group.traffic.messages - before };
    }`,
  )) as readonly Gradients[];
  for (const one of told) {
    expectGradients(one);
    expect(one.wanted[4]).toBeNull(); // the unused weight keeps no gradient
    expect([one.buckets, one.sent]).toEqual([buckets, 3 * buckets]);
  }
});

test("a rank without some gradients, earlier passes, sums, and gradients told by hand", async () => {
  const told = (await together(
    2,
    `${join}
    function work(group) {
      ${network}
      // In process 0 alone the last weight takes part, in process 1 alone the bias d.
      const partial = (rank) => rank === 0
        ? mine(0).matmul(a).add(b).matmul(c).mean().add(unused.mul(2).sum())
        : loss(mine(1));
      loss(mine(0)).backward();
      loss(mine(1)).backward();
      partial(0).backward();
      partial(1).backward();
      const wanted = gradients();
      forget();
      const summing = new t.GradientBuckets(group, weights, { bytes: 40, by: "sum" });
      loss(mine(group.rank)).backward(); // adds up before the last pass
      summing.reduceDuring(() => partial(group.rank).backward());
      const got = gradients();
      forget();
      let sentEarly;
      summing.reduceReady((ready) => {
        loss(mine(group.rank)).backward();
        const before = group.traffic.messages;
        ready([unused, d, c]);
        sentEarly = group.traffic.messages - before;
        ready([a]);
      });
      const told = gradients();
      forget();
      loss(mine(0)).backward();
      loss(mine(1)).backward();
      const whole = gradients();
      const texts = [];
      const attempt = (fn) => { try { fn(); texts.push("no error"); } catch (error) { texts.push(error.message); } };
      attempt(() => summing.reduceReady((ready) => { ready([t.ones([2])]); }));
      attempt(() => new t.GradientBuckets(group, [t.ones([1])]));
      return { got, wanted, told, whole, sentEarly, texts };
    }`,
  )) as readonly (Gradients & {
    readonly told: Gradients["got"];
    readonly whole: Gradients["wanted"];
    readonly sentEarly: number;
    readonly texts: readonly string[];
  })[];
  for (const one of told) {
    expectGradients(one);
    expectGradients({ ...one, got: one.told, wanted: one.whole });
    expect(one.sentEarly).toBe(2); // [unused, d] and [c]; b, which is next, is not ready
    expect(one.texts).toEqual([
      "readyInBuckets: got float32[2], wanted a weight of these buckets",
      "makeBuckets: weight 0, float32[1], has no gradient of its own",
    ]);
  }
});

test.each(runtimeInfo().devices)(
  "all of it alone on %s, by the backend of that device",
  async (device) => {
    const [told] = (await together(
      1,
      `import * as t from "@odis/torch";
    const device = "${device}";
    const group = t.ProcessGroup.join(t.placeFromEnvironment(), { device, patienceSeconds: 60 });
    const there = (values) => t.tensor(values).to({ device });
    const w = there([1, 2, 3]).detach().requiresGrad_();
    const never = there([1]).detach().requiresGrad_();
    const sender = new t.GradientBuckets(group, [never, w]);
    sender.reduceDuring(() => w.mul(w).sum().backward());
    const sums = there([4, 5]);
    group.allReduce([sums, there([1])], "mean");
    group.broadcast([sums]);
    const part = there([0, 0]);
    group.startReduceScatter(sums, part).wait();
    group.barrier();
    const told = {
      backend: group.backend,
      gradient: w.grad.toNumbers(),
      never: never.grad === undefined,
      sums: sums.toNumbers(),
      part: part.toNumbers(),
      all: group.allGather(sums).map((x) => x.toNumbers()),
    };
    group[Symbol.dispose]();
    console.log(JSON.stringify(told));`,
    )) as readonly { readonly backend: string }[];
    expect(told).toEqual({
      backend: device !== "cpu" && collectiveBackends().includes("nccl") ? "nccl" : "gloo",
      gradient: [2, 4, 6],
      never: true,
      sums: [4, 5],
      part: [4, 5],
      all: [[4, 5]],
    });
  },
);

test("a second backward pass among the buckets is an error that leaves them usable", async () => {
  const told = (await together(
    1,
    `${join}
    function work(group) {
      ${network}
      const sender = new t.GradientBuckets(group, weights);
      let text;
      try {
        sender.reduceDuring(() => { loss(data).backward(); loss(data).backward(); });
      } catch (error) { text = error.message; }
      forget();
      sender.reduceDuring(() => loss(data).backward());
      const got = gradients();
      forget();
      sender[Symbol.dispose]();
      loss(data).backward(); // no hook is left
      return { got, wanted: gradients(), text };
    }`,
  )) as readonly (Gradients & { readonly text: string })[];
  expectGradients(told[0]!);
  expect(told[0]!.text).toMatch(
    /^backward: the gradient of weight \d, float32\[.*\], is complete already; send gradients with the last backward pass of a step only/,
  );
});

test("a rank that is killed is named by the others, and soon", async () => {
  const port = await freePort();
  const started = performance.now();
  const ended = await Promise.all(
    [0, 1, 2].map((rank) =>
      runModule(
        `import * as t from "@odis/torch";
         const group = t.ProcessGroup.join(t.placeFromEnvironment(), { patienceSeconds: 60 });
         group.allReduce(t.ones([4]));
         if (group.rank === 1) process.kill(process.pid, "SIGKILL");
         try { group.allReduce(t.ones([4])); console.log("no error"); }
         catch (error) { console.log(JSON.stringify([error.name, error.message])); }`,
        rankVariables(rank, 3, port),
      ),
    ),
  );
  expect(ended[1]!.code).toBe("SIGKILL");
  for (const rank of [0, 2]) {
    const last = ended[rank]!.stdout.trimEnd().split("\n").at(-1)!;
    const [name, message] = JSON.parse(last) as [string, string];
    expect(name).toBe("EngineError");
    expect(message).toMatch(
      new RegExp(
        `^waitTransfer: rank ${rank} of 3 failed in all-reduce 2: rank 1 does not answer \\(.+\\)$`,
      ),
    );
  }
  expect(performance.now() - started).toBeLessThan(55_000); // not the patience of 60 s
});

test("a rank that waits for another one, which has failed, is not taken for gone", async () => {
  const port = await freePort();
  const ended = await Promise.all(
    [0, 1, 2].map((rank) =>
      runModule(
        `import * as t from "@odis/torch";
         const listening = t.listenWhileWaiting({});
         const group = t.ProcessGroup.join(t.placeFromEnvironment(), { patienceSeconds: 60 });
         group.allReduce(t.ones([4]));
         if (group.rank === 1) process.kill(process.pid, "SIGKILL");
         // Rank 0 hears from the one that is gone, rank 2 from rank 0 alone.
         try { group.broadcast(t.ones([4]), group.rank === 0 ? 1 : 0); console.log("no error"); }
         catch (error) { console.log(error.message); }
         process.exit(0);`,
        rankVariables(rank, 3, port),
      ),
    ),
  );
  const [first, , last] = ended.map(({ stdout }) => stdout.trimEnd().split("\n").at(-1));
  expect(first).toMatch(
    /^waitTransfer: rank 0 of 3 failed in broadcast 2: rank 1 does not answer \(.+\)$/,
  );
  expect(last).toMatch(
    /^waitTransfer: rank 2 of 3 failed in broadcast 2: rank 1 does not answer \(another process was the first to find out\)$/,
  );
});

test("a rank that does not come to a message in time is named", async () => {
  const port = await freePort();
  const ended = await Promise.all(
    [0, 1, 2].map((rank) =>
      runModule(
        `import * as t from "@odis/torch";
         const group = t.ProcessGroup.join(t.placeFromEnvironment(), { patienceSeconds: 4 });
         group.barrier();
         if (group.rank === 2) { Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 15000); process.exit(0); }
         try { group.allReduce(t.ones([4])); console.log("no error"); }
         catch (error) { console.log(error.message); }
         process.exit(0);`,
        rankVariables(rank, 3, port),
      ),
    ),
  );
  for (const rank of [0, 1])
    expect(ended[rank]!.stdout.trimEnd().split("\n").at(-1)).toMatch(
      new RegExp(
        `^waitTransfer: rank ${rank} of 3 failed in all-reduce 2: rank 2 does not answer \\(.+\\)$`,
      ),
    );
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
      attempt(() => group.startAllGatherInto(t.ones([3]), t.ones([1])));
      attempt(() => t.ProcessGroup.join(t.placeFromEnvironment()));
      attempt(() => t.ProcessGroup.join(t.placeFromEnvironment(), { device: "gpu" }));
      attempt(() => t.ProcessGroup.join(t.placeFromEnvironment(), { backend: "mpi" }));
      return texts;
    }`,
  );
  const texts = [
    "startBroadcast: source got 2, wanted an integer from 0 to 1",
    "startSum: got 3, wanted a Tensor",
    "startGather: got float32[3] as whole and float32[1] as part, wanted one part for each of 2 processes " +
      "along the first axis, contiguous and of one dtype",
    "joinProcesses: this thread has joined its processes already",
    'got device "gpu", wanted "cpu", "cuda" (the first NVIDIA GPU) or "cuda:<number>"',
    `backend "mpi" is not in this bridge, which has ${collectiveBackends().join(", ")}.`,
  ];
  expect(told).toEqual([texts, texts]);
});

test("waiting for a process that does not come ends with an error that names it", async () => {
  const alone = (rank: number, port: number): ReturnType<typeof runModule> =>
    runModule(
      `import { placeFromEnvironment, ProcessGroup } from "@odis/torch";
       try { ProcessGroup.join(placeFromEnvironment(), { patienceSeconds: 1 }); }
       catch (error) { console.log(error.name, error.message); }`,
      rankVariables(rank, 3, port),
    );
  const port = await freePort();
  const first = await alone(0, port);
  expect([first.code, first.stdout]).toEqual([
    0,
    "EngineError joinProcesses: rank 0 of 3 waited 1 s: ranks 1, 2 did not come\n",
  ]);
  const second = await alone(1, port);
  expect(second.stdout.split("\n").at(-2)).toMatch(
    new RegExp(
      `^EngineError joinProcesses: rank 1 of 3 met nobody at 127\\.0\\.0\\.1:${port} within 1 s, where rank 0 should be \\(.+\\)$`,
    ),
  );
});

test("a port that is taken is named", async () => {
  const server = createServer().listen(0);
  await once(server, "listening");
  const { port } = server.address() as AddressInfo;
  const ended = await runModule(
    `import { placeFromEnvironment, ProcessGroup } from "@odis/torch";
     try { ProcessGroup.join(placeFromEnvironment(), { patienceSeconds: 5 }); }
     catch (error) { console.log(error.message); }`,
    rankVariables(0, 2, port),
  );
  server.close();
  expect(ended.stdout).toMatch(
    new RegExp(
      `^joinProcesses: rank 0 of 2 cannot let the others meet at 127\\.0\\.0\\.1:${port} within 5 s \\(.*(in use|listen).*\\)\n$`,
    ),
  );
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
