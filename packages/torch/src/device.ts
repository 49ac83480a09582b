import { EngineError } from "./errors.js";
import { type DeviceInfo, type DeviceMemory, native } from "./native.js";
import { refusePromise } from "./scope.js";
import type { Tensor } from "./tensor.js";

/**
 * The device that a text from outside means, in LibTorch's spelling: "cpu", "cuda:0", …
 *
 * @throws EngineError that says why there is no such device, and which there are
 */
export function checkDevice(text: string): string {
  const problem = native().deviceProblem(text);
  if (problem !== "") throw new EngineError(problem);
  return text === "cuda" ? "cuda:0" : text;
}

/** Waits until the device has done all that it was given; on the CPU everything is done already. */
export function synchronize(device: string): void {
  native().synchronize(device);
}

/** Name and size of a GPU; undefined for the CPU. */
export function deviceInfo(device: string): DeviceInfo | undefined {
  return native().deviceInfo(device) ?? undefined;
}

/** Memory that tensors take on a GPU; undefined for the CPU, and before LibTorch 2.9. */
export function deviceMemory(device: string): DeviceMemory | undefined {
  return native().deviceMemory(device) ?? undefined;
}

/** Lets `deviceMemory(device).peak` start again. */
export function resetPeakMemory(device: string): void {
  native().resetPeakMemory(device);
}

/**
 * Gives memory that is kept for tensors to come back to a GPU, for other processes there; it is asked for again as
 * it is needed. Nothing on the CPU, and before LibTorch 2.9.
 */
export function releaseMemory(device: string): void {
  native().releaseMemory(device);
}

/**
 * A queue of a device's work beside the one that operators usually go to, so that an upload runs
 * while the device computes. On the CPU, where nothing waits in queues, it changes nothing.
 *
 * @example
 * const uploads = new Stream("cuda");
 * const pixels = uploads.run(() => host.to({ device: "cuda", nonBlocking: true }));
 * uploads.join([pixels]); // what comes after waits for the upload
 */
export class Stream {
  private readonly number: number;

  /** @throws EngineError when there is no such device */
  constructor(readonly device: string) {
    this.number = native().newStream(checkDevice(device));
  }

  /**
   * Runs `fn` with its operators in this queue.
   *
   * @throws ScopeError when `fn` is asynchronous
   */
  run<T>(fn: () => T): T {
    const before = native().useStream(this.number);
    try {
      const result = fn();
      refusePromise(result, "Stream.run");
      return result;
    } finally {
      native().useStream(before);
    }
  }

  /**
   * Lets the operators that follow, in the usual queue, wait for what this queue was given so far.
   *
   * @param tensors those made in this queue that will be used outside it
   */
  join(tensors: readonly Tensor[]): void {
    native().followStream(this.number, tensors);
  }
}
