import {
  autocast,
  call,
  checkDevice,
  deviceInfo,
  deviceMemory,
  EngineError,
  fromBuffer,
  Generator,
  manualSeed,
  noGrad,
  OperatorError,
  ones,
  releaseMemory,
  resetPeakMemory,
  runtimeInfo,
  ScopeError,
  Stream,
  synchronize,
  tensor,
  tidy,
  zeros,
} from "@odis/torch";
import { describe, expect, it, test } from "vitest";
import { expectValues } from "./check.js";

const { devices, cuda } = runtimeInfo();

describe("a device by its name", () => {
  it("comes back in LibTorch's spelling", () => {
    expect(checkDevice("cpu")).toBe("cpu");
    for (const device of devices) expect(checkDevice(device)).toBe(device);
    if (cuda) expect(checkDevice("cuda")).toBe("cuda:0");
  });

  const wanted = 'wanted "cpu", "cuda" (the first NVIDIA GPU) or "cuda:<number>"';
  test.each([
    ["gpu", `got device "gpu", ${wanted}`],
    ["mps", `got device "mps", ${wanted}`],
    ["cpu:7", `got device "cpu:7", ${wanted}`],
    ["CPU", `got device "CPU", ${wanted}`],
    ["", `got device "", ${wanted}`],
    ["cuda:", `got device "cuda:", ${wanted}`],
    ["cuda:-1", `got device "cuda:-1", ${wanted}`],
    ["cuda:1e3", `got device "cuda:1e3", ${wanted}`],
    ["cuda:99999999999", `got device "cuda:99999999999", ${wanted}`],
    ["\u001b[2J\n", `got device "\\x1b[2J\\x0a", ${wanted}`],
    ["\u009b2J", `got device "\\x9b2J", ${wanted}`],
    ["é".repeat(50), `got device "${"é".repeat(28)}…", ${wanted}`],
  ])("%j is refused in one sentence", (text, message) => {
    expect(() => checkDevice(text)).toThrow(new EngineError(message));
  });

  it("that is not here says why, and what is", () => {
    const last = devices.at(-1);
    const why = cuda
      ? `there ${devices.length === 2 ? "is 1 GPU" : `are ${devices.length - 1} GPUs`}, the last is "${last}"`
      : `(this LibTorch ${runtimeInfo().version} was built without CUDA; use "cpu", or set LIBTORCH to one ` +
        `built with CUDA|this LibTorch sees no NVIDIA GPU \\(does nvidia-smi\\?\\); use "cpu")`;
    expect(() => checkDevice("cuda:99")).toThrow(
      new RegExp(`^device "cuda:99" is not available: ${why}$`),
    );
    if (!cuda)
      expect(() => checkDevice("cuda")).toThrow(/^device "cuda" is not available: this Li/);
  });

  it("is checked wherever one is given", () => {
    for (const act of [
      () => synchronize("gpu"),
      () => deviceMemory("gpu"),
      () => resetPeakMemory("gpu"),
      () => releaseMemory("gpu"),
      () => new Stream("gpu"),
      () => new Generator(1, "gpu"),
      () => fromBuffer(new Float32Array(1), [1], { device: "gpu" }),
      () => autocast("gpu", "bfloat16", () => 1),
    ])
      expect(act).toThrow(`got device "gpu", ${wanted}`);
  });
});

describe.each(devices)("on %s", (device) => {
  it("arrays go there and come back, whatever their memory", () => {
    const data = Float32Array.from({ length: 1000 }, (_, index) => index / 7);
    for (const pinned of [false, true]) {
      const host = fromBuffer(data, [10, 100], { pinned });
      expect(host.device).toBe("cpu");
      expect(call("aten::is_pinned", host)).toBe(pinned && cuda);
      const there = host.to({ device, nonBlocking: true });
      host.free(); // the memory must not be given away before the upload is done
      expect(there.device).toBe(device);
      expect(there.toArray()).toEqual(data);
      expect(there.to({ device: "cpu", nonBlocking: true }).toArray()).toEqual(data);
    }
    const direct = fromBuffer(Uint8Array.of(1, 2, 3), [3], { device, dtype: "int64" });
    expect([direct.device, direct.dtype, direct.toNumbers()]).toEqual([device, "int64", [1, 2, 3]]);
  });

  it("a queue of its own carries work that others wait for", () => {
    const stream = new Stream(device);
    const host = fromBuffer(new Float32Array(1 << 20).fill(3), undefined, { pinned: true });
    for (let turn = 0; turn < 20; turn += 1) {
      const moved = stream.run(() => host.to({ device, nonBlocking: true }).mul(turn));
      stream.join([moved]);
      expect(moved.sum().item()).toBe(3 * turn * 2 ** 20);
      moved.free();
    }
    expect(() => stream.run(async () => 1)).toThrow(ScopeError);
    expect(() =>
      stream.run(() => {
        throw new RangeError("mine");
      }),
    ).toThrow("mine");
    synchronize(device);
  });

  it("generators repeat, and go on from a state", () => {
    const draw = (generator: Generator): number[] =>
      zeros([5], { device }).normal_(0, 1, generator).toNumbers();
    const first = new Generator(7, device);
    const one = draw(first);
    expect(draw(new Generator(7, device))).toEqual(one);
    expect(draw(new Generator(8, device))).not.toEqual(one);
    const state = first.getState();
    const next = draw(first);
    expect(next).not.toEqual(one);
    const other = new Generator(1, device);
    other.setState(state);
    expect(draw(other)).toEqual(next);
    const seeded = (): number[] => {
      manualSeed(3);
      return zeros([5], { device }).normal_().toNumbers();
    };
    expect(seeded()).toEqual(seeded());
    expect(() => first.setState(state.slice(1))).toThrow(OperatorError);
  });

  it("mixed precision is on and off where it is said", () => {
    const a = ones([8, 8], { device }).requiresGrad_();
    const product = autocast(device, "bfloat16", () => a.matmul(a));
    expect(product.dtype).toBe("bfloat16");
    product.float().sum().backward();
    expect(a.grad!.dtype).toBe("float32");
    expectValues(a.grad!, Array<number>(64).fill(16));
    expect(a.matmul(a).dtype).toBe("float32");
  });

  it("memory is counted where LibTorch counts it", () => {
    const info = deviceInfo(device);
    const before = deviceMemory(device);
    if (device === "cpu") {
      expect([info, before]).toEqual([undefined, undefined]);
      return;
    }
    expect(info!.name).toMatch(/\w/);
    expect(info!.capability).toMatch(/^\d+\.\d$/);
    expect(info!.bytes).toBeGreaterThan(2 ** 28);
    if (before === undefined) return; // LibTorch before 2.9
    noGrad(() =>
      tidy(() => {
        ones([1 << 20], { device }).add(1);
        const within = deviceMemory(device)!;
        expect(within.allocated - before.allocated).toBeGreaterThanOrEqual(2 ** 23);
      }),
    );
    const after = deviceMemory(device)!;
    expect(after.allocated).toBe(before.allocated);
    expect(after.peak - before.allocated).toBeGreaterThanOrEqual(2 ** 23);
    expect(after.reserved).toBeGreaterThanOrEqual(after.allocated);
    resetPeakMemory(device);
    expect(deviceMemory(device)!.peak).toBe(after.allocated);
    // A piece of the device's memory that no other tensor lies in.
    tidy(() => void ones([1 << 24], { device }));
    const held = deviceMemory(device)!;
    releaseMemory(device);
    const released = deviceMemory(device)!;
    expect(released.allocated).toBe(held.allocated);
    expect(held.reserved - released.reserved).toBeGreaterThanOrEqual(2 ** 26);
  });

  it("numbers can be read at once after work was queued", () => {
    let x = tensor([1, 2]).to({ device });
    for (let turn = 0; turn < 10; turn += 1) x = x.add(1);
    synchronize(device);
    expect(x.toNumbers()).toEqual([11, 12]);
  });
});
