import { plain } from "../../core/index.js";
import {
  PickleGlobal,
  PickleObject,
  PickleProblem,
  PickleRecord,
  type PickleValue,
  type PickleWorld,
  UnknownGlobal,
} from "./pickle-values.js";

// Python's own integers have no limit; every number in a checkpoint has far less than this.
const longestInteger = 255;
// A checkpoint of a very large network has some ten thousand. Few packed bytes can name millions.
const mostContainers = 500_000;

/** The stack, the memo and the text of a program; what an instruction does is put together from these. */
export class PickleMachine {
  at = 0;
  private containers = 0;
  private stack: PickleValue[] = [];
  /** Stacks that were put aside by MARK, outermost first. */
  private readonly below: PickleValue[][] = [];
  private readonly memo = new Map<number, PickleValue>();
  private readonly bytes: Buffer;

  constructor(
    program: Uint8Array,
    private readonly world: PickleWorld,
  ) {
    this.bytes = Buffer.from(program.buffer, program.byteOffset, program.byteLength);
  }

  // The program's text

  take(count: number): Buffer {
    const end = this.at + count;
    if (!(end <= this.bytes.length))
      throw new PickleProblem(
        `it ends at byte ${this.bytes.length}, in the middle of something that goes to byte ${end}`,
      );
    const piece = this.bytes.subarray(this.at, end);
    this.at = end;
    return piece;
  }

  uint(width: 1 | 2 | 4 | 8): number {
    const piece = this.take(width);
    return width === 8 ? Number(piece.readBigUInt64LE()) : piece.readUIntLE(0, width);
  }

  text(width: 1 | 4 | 8): string {
    return this.take(this.uint(width)).toString("utf8");
  }

  data(width: 1 | 4 | 8): Uint8Array {
    return Uint8Array.from(this.take(this.uint(width)));
  }

  line(): string {
    const end = this.bytes.indexOf(0x0a, this.at);
    const text = this.take((end < 0 ? this.bytes.length + 1 : end) - this.at).toString("utf8");
    this.take(1);
    return text;
  }

  /** Two's complement, lowest byte first. */
  integer(width: 1 | 4): number | bigint {
    const length = this.uint(width);
    if (length > longestInteger)
      throw new PickleProblem(`byte ${this.at}: an integer of ${length} bytes`);
    const digits = Buffer.from(this.take(length).toReversed()).toString("hex");
    if (digits === "") return 0;
    const value = BigInt.asIntN(8 * length, BigInt(`0x${digits}`));
    return Number.isSafeInteger(Number(value)) ? Number(value) : value;
  }

  // The stack

  push(value: PickleValue): void {
    this.stack.push(value);
  }

  pushNew(container: PickleValue[] | Map<PickleValue, PickleValue>): void {
    this.countContainer();
    this.push(container);
  }

  private countContainer(): void {
    this.containers += 1;
    if (this.containers > mostContainers)
      throw new PickleProblem(`it has more than ${mostContainers} containers`);
  }

  pop(): PickleValue {
    const value = this.stack.pop();
    if (value === undefined) throw new PickleProblem(`byte ${this.at}: nothing is on the stack`);
    return value;
  }

  top(): PickleValue {
    const value = this.pop();
    this.push(value);
    return value;
  }

  mark(): void {
    this.countContainer(); // a stack of its own
    this.below.push(this.stack);
    this.stack = [];
  }

  popMark(): PickleValue[] {
    const items = this.stack;
    const stack = this.below.pop();
    if (!stack) throw new PickleProblem(`byte ${this.at}: nothing was marked`);
    this.stack = stack;
    return items;
  }

  popMany(count: number): PickleValue[] {
    return Array.from({ length: count }, () => this.pop()).toReversed();
  }

  remember(index: number): void {
    this.memo.set(index, this.top());
  }

  rememberNext(): void {
    this.remember(this.memo.size);
  }

  recall(index: number): void {
    const value = this.memo.get(index);
    if (value === undefined)
      throw new PickleProblem(`byte ${this.at}: nothing is noted as ${index}`);
    this.push(value);
  }

  // Containers

  setItems(items: readonly PickleValue[]): void {
    const map = this.top();
    if (!(map instanceof Map)) throw this.unlike("a dict", map);
    for (let index = 0; index < items.length; index += 2) {
      const value = items[index + 1];
      if (value === undefined) throw new PickleProblem(`byte ${this.at}: a key without a value`);
      map.set(items[index]!, value);
    }
  }

  append(items: readonly PickleValue[]): void {
    const list = this.top();
    if (!Array.isArray(list)) throw this.unlike("a list", list);
    for (const item of items) list.push(item);
  }

  /** Takes a state from the stack, mostly attributes. Only records have any; a dict's are of no use. */
  build(): void {
    const state = this.pop();
    const object = this.top();
    if (object instanceof PickleObject && object.build(state)) return;
    if (!(object instanceof Map && state instanceof Map)) throw this.unlike("an object", object);
    if (object instanceof PickleRecord) for (const [name, value] of state) object.set(name, value);
  }

  // Names

  global(name: string): void {
    const known = this.world.global(name);
    if (!known) throw new UnknownGlobal(name, this.place());
    this.push(known);
  }

  globalOnStack(): void {
    const [module, name] = this.popMany(2);
    if (typeof module !== "string" || typeof name !== "string")
      throw this.unlike("a name", module ?? null);
    this.global(`${module}.${name}`);
  }

  call(): void {
    const args = this.pop();
    const callee = this.pop();
    if (!(callee instanceof PickleGlobal && callee.make && Array.isArray(args)))
      throw this.unlike("something to call", callee);
    this.push(callee.make(args));
  }

  persistent(): void {
    const value = this.world.persistent(this.pop());
    if (value === undefined)
      throw new PickleProblem(`byte ${this.at}: a reference to something that is not a storage`);
    this.push(value);
  }

  private unlike(wanted: string, got: PickleValue): PickleProblem {
    const name = got instanceof PickleGlobal ? got.name : kindOf(got);
    return new PickleProblem(
      `byte ${this.at}: ${name} at ${this.place()}, where ${wanted} belongs`,
    );
  }

  /** Keys of the dicts that are being filled: where in the whole the reading stands. */
  private place(): string {
    const frames = [...this.below, this.stack];
    const keys = frames.flatMap((frame, index) => {
      // Many entries are put into a dict below the mark, a single one into a dict beside it.
      const filled = frames[index - 1]?.at(-1) instanceof Map;
      const candidates = filled
        ? frame.filter((_, at) => at % 2 === 0)
        : frame.filter((_, at) => frame[at - 1] instanceof Map);
      const key = candidates.findLast((item) => typeof item === "string");
      return key === undefined ? [] : [plain(key)];
    });
    return keys.length > 0 ? `"${keys.slice(0, 8).join(".")}"` : "its top level";
  }
}

function kindOf(value: PickleValue): string {
  if (value === null) return "None";
  if (value instanceof Map) return "a dict";
  if (Array.isArray(value)) return "a list";
  if (value instanceof Uint8Array) return "bytes";
  if (value instanceof PickleObject) return value.kind;
  return `a ${typeof value}`;
}
