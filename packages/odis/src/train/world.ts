import { setImmediate, setTimeout as sleep } from "node:timers/promises";
import {
  cat,
  empty,
  EngineError,
  fromBuffer,
  GradientBuckets,
  type ProcessGroup,
  type Tensor,
  tidy,
} from "@odis/torch";
import { exitCodes, OdisError, ToldElsewhere } from "../core/index.js";

/** What a process says of its own in {@link World.together}. */
const [busy, ready, failed] = [0, 1, -1];
/** No error. */
const none = Symbol("none");

interface Complaint {
  readonly name: string;
  readonly exitCode: number;
}

const complaintOf = (error: unknown): Complaint => ({
  name: error instanceof Error ? error.name : "Error",
  exitCode:
    error instanceof OdisError
      ? error.exitCode
      : error instanceof EngineError
        ? exitCodes.engine
        : exitCodes.internal,
});

const toldElsewhere = ({ name, exitCode }: Complaint): ToldElsewhere =>
  new ToldElsewhere(name, exitCode);

const reasonOf = (rejected: Promise<unknown>): Promise<unknown> =>
  rejected.then(
    () => none,
    (error: unknown) => error,
  );

/** While it waits for data, a process tells the others this often that it is alive, ms. */
const ROUND = 5000;
/** Who waits for others tells a person this often, ms. */
const REMINDER = 30_000;

/**
 * The processes that train together. What they must agree on is said here and nowhere else; alone, a
 * process sends nothing and nothing is copied. All processes make the same calls in the same order.
 */
export class World implements Disposable {
  /** One process. */
  static readonly alone: World = new World(undefined, "cpu");

  private readonly agreed = new WeakSet<Error>();

  /**
   * @param device where collectives take their tensors
   * @param say tells a person who has been waited for long; default: nobody
   */
  constructor(
    private readonly group: ProcessGroup | undefined,
    private readonly device: string,
    private readonly say: (sentence: string) => unknown = () => undefined,
  ) {}

  /** this process among them, from 0; the first writes files */
  get rank(): number {
    return this.group?.rank ?? 0;
  }

  get size(): number {
    return this.group?.size ?? 1;
  }

  /** Messages that this process has sent so far, and their bytes. */
  get traffic(): { readonly messages: number; readonly bytes: number } {
    return this.group?.traffic ?? { messages: 0, bytes: 0 };
  }

  /**
   * What every process says, in the order of ranks: numbers, as many from each. Waits for all of them.
   */
  share(mine: readonly number[]): readonly (readonly number[])[] {
    const { group, size } = this;
    if (!group) return [mine];
    return tidy(() => {
      const part = fromBuffer(Float64Array.from(mine), [1, mine.length], { device: this.device });
      const all = this.gather(part).toNumbers();
      return Array.from({ length: size }, (_, rank) =>
        all.slice(rank * mine.length, (rank + 1) * mine.length),
      );
    });
  }

  /** The same for bytes, of each process as many as it has. */
  shareBytes(mine: Uint8Array): readonly Uint8Array[] {
    if (!this.group) return [mine];
    const lengths = this.share([mine.length]).map(([length]) => length!);
    const longest = Math.max(1, ...lengths);
    const padded = new Uint8Array(longest);
    padded.set(mine);
    return tidy(() => {
      const part = fromBuffer(padded, [1, longest], { device: this.device });
      const all = this.gather(part).toArray() as Uint8Array;
      return lengths.map((length, rank) => all.slice(rank * longest, rank * longest + length));
    });
  }

  /** The same for texts. */
  shareText(mine: string): readonly string[] {
    if (!this.group) return [mine];
    return this.shareBytes(Buffer.from(mine)).map((bytes) => Buffer.from(bytes).toString());
  }

  /** The same for plain JSON, which has no NaN. Alone, it is what was given itself. */
  shareValues<T>(mine: T): readonly T[] {
    if (!this.group) return [mine];
    return this.shareText(JSON.stringify(mine)).map((text) => JSON.parse(text) as T);
  }

  /** Replaces the tensors by their sums over all processes, in place. */
  sum(tensors: readonly Tensor[]): void {
    if (tensors.length > 0) this.group?.allReduce(tensors);
  }

  /** Sums over all processes by name, in one message of float64. */
  sums(named: Readonly<Record<string, Tensor>>): Readonly<Record<string, Tensor>> {
    const entries = Object.entries(named);
    if (!this.group || entries.length === 0) return named;
    const flat = cat(entries.map(([, tensor]) => tensor.flatten().double()));
    this.sum([flat]);
    let from = 0;
    return Object.fromEntries(
      entries.map(([name, { size, shape, dtype }]) => {
        from += size;
        return [
          name,
          flat
            .narrow(0, from - size, size)
            .reshape(shape)
            .to({ dtype }),
        ];
      }),
    );
  }

  /** Rows of all processes, [n, ...] of each, in the order of ranks: [N * n, ...]. */
  gather(rows: Tensor): Tensor {
    if (!this.group) return rows;
    const [n, ...rest] = rows.shape;
    const { dtype, device } = rows;
    const whole = empty([this.size * n!, ...rest], { dtype, device });
    this.group.startAllGatherInto(whole, rows.contiguous()).wait();
    return whole;
  }

  /** Overwrites the tensors by those of one process. */
  broadcast(tensors: readonly Tensor[], rank: number): void {
    if (tensors.length > 0) this.group?.broadcast(tensors, rank);
  }

  /** Sums gradients over all processes while backward goes on; undefined alone. */
  buckets(weights: readonly Tensor[]): GradientBuckets | undefined {
    return this.group && new GradientBuckets(this.group, weights, { by: "sum" });
  }

  /**
   * Waits until every process has its own. Somebody who is slow says so again and again, so that
   * the others can tell that from somebody who is gone. `own` must exchange nothing itself.
   *
   * @throws what failed, in the process where it did; ToldElsewhere in all others
   */
  async together<T>(own: Promise<T>): Promise<T> {
    if (!this.group) return own;
    const outcome = own.then(
      () => ready,
      () => failed,
    );
    for (const waited = this.reminder(); ; await setImmediate()) {
      const patience = new AbortController();
      const late = sleep(ROUND, busy, { signal: patience.signal }).catch(() => busy);
      const mine = await Promise.race([outcome, late]);
      patience.abort();
      const all = this.share([mine]).map(([one]) => one);
      if (all.includes(failed)) throw this.complaint(mine === failed ? await reasonOf(own) : none);
      if (all.every((one) => one === ready)) return own;
      waited(all.map((one) => one === ready));
    }
  }

  /**
   * What only the first process does; the others wait for it.
   *
   * @param work calls its argument now and then
   * @returns undefined in the others
   * @throws what it throws; ToldElsewhere in the others
   */
  first<T>(work: (alive: () => void) => T): T | undefined {
    if (!this.group) return work(() => undefined);
    if (this.rank > 0) {
      let state: number = busy;
      for (const waited = this.reminder(); state === busy; ) {
        state = this.share([busy])[0]![0]!;
        waited(Array.from({ length: this.size }, (_, rank) => rank > 0));
      }
      if (state === failed) throw this.complaint(none);
      return undefined;
    }
    let last = performance.now();
    let result: T;
    try {
      result = work(() => {
        if (performance.now() - last < ROUND) return;
        this.share([busy]);
        last = performance.now();
      });
    } catch (error) {
      if (this.failed) throw error;
      this.share([failed]);
      throw this.complaint(error);
    }
    this.share([ready]);
    return result;
  }

  /** What the first process has, in all of them. */
  fromFirst<T>(value: T): T {
    if (!this.group) return value;
    return this.shareValues(this.rank === 0 ? value : null)[0]!;
  }

  /** For an error that all processes find at once: the first one's is told. */
  everywhere(error: Error): Error {
    if (!this.group) return error;
    this.agreed.add(error);
    return this.rank === 0 ? error : toldElsewhere(complaintOf(error));
  }

  /** What all processes work out alike; an error of it is found by all at once. */
  agree<T>(work: () => T): T {
    try {
      return work();
    } catch (error) {
      throw error instanceof Error ? this.everywhere(error) : error;
    }
  }

  /** Whether the others know of an error already. */
  isKnown(error: unknown): boolean {
    return error instanceof Error && this.agreed.has(error);
  }

  /** Once the others cannot be reached as they should: who does not answer, and who gave up. */
  get failed(): ProcessGroup["failed"] {
    return this.group?.failed;
  }

  /** Ends this process's part because of an error of its own, which it will tell. */
  giveUp(): void {
    this.group?.giveUp();
  }

  /** @returns what tells a person now and then who is not ready; the first that is tells it */
  private reminder(): (ready: readonly boolean[]) => void {
    const begun = performance.now();
    let last = begun;
    return (isReady) => {
      const now = performance.now();
      if (now - last < REMINDER) return;
      last = now;
      if (isReady.indexOf(true) !== this.rank) return;
      const others = isReady.flatMap((one, rank) => (one ? [] : [rank]));
      const shown = others.length > 8 ? [...others.slice(0, 8), "others"] : others;
      const who = `${others.length > 1 ? "ranks" : "rank"} ${shown.join(", ")}`;
      const waited = Math.round((now - begun) / 1000);
      this.say(
        `rank ${this.rank} of ${this.size} has waited ${waited} s for ${who}, still at work`,
      );
    };
  }

  /** Tells all of what failed in some. @returns what to throw here */
  private complaint(own: unknown): Error {
    const text = own === none ? "" : JSON.stringify(complaintOf(own));
    const said = this.shareText(text);
    const first = said.findIndex((one) => one !== "");
    if (first !== this.rank) return toldElsewhere(JSON.parse(said[first]!) as Complaint);
    const error = own instanceof Error ? own : new Error(String(own));
    this.agreed.add(error);
    return error;
  }

  [Symbol.dispose](): void {
    this.group?.[Symbol.dispose]();
  }
}
