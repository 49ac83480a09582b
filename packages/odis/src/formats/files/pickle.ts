/**
 * Reads pickles as data. Python's pickle is a program for a stack machine that may call anything;
 * this machine has the instructions for containers, numbers and texts only, and a name in the
 * program stands for one of the few things that its caller understands or ends the reading.
 * Nothing is looked up, imported or run.
 */

/** What a pickle can hold here. Tuples, lists and sets are arrays; dicts are maps, in their order. */
export type PickleValue =
  | null
  | boolean
  | number
  | bigint
  | string
  | Uint8Array
  | readonly PickleValue[]
  | ReadonlyMap<PickleValue, PickleValue>
  | PickleGlobal
  | PickleObject;

/** A name of Python's that the reader understands, such as `collections.OrderedDict`. */
export class PickleGlobal {
  /** @param make what calling it gives; without it, it cannot be called */
  constructor(
    readonly name: string,
    readonly make?: (args: readonly PickleValue[]) => PickleValue,
  ) {}
}

/** The parent of values that a reader's own globals make. */
export abstract class PickleObject {
  abstract readonly kind: string;
}

/** `argparse.Namespace` and its like: attributes by name. */
export class PickleRecord extends Map<PickleValue, PickleValue> {}

/** What the names and references of a pickle mean; `undefined` is for what is not understood. */
export interface PickleWorld {
  global(name: string): PickleGlobal | undefined;
  /** What the program calls a persistent id: a thing kept outside of it. */
  persistent(id: PickleValue): PickleValue | undefined;
}

/** What is wrong with a pickle, and where. Readers put the file's name before it. */
export class PickleProblem extends Error {}

/** A name that the reader does not know. Nothing of it was imported or called. */
export class UnknownGlobal extends PickleProblem {
  constructor(
    readonly global: string,
    readonly place: string,
  ) {
    super(`${place} holds ${global}`);
  }
}

/**
 * The value that a pickle describes.
 *
 * @throws UnknownGlobal, PickleProblem
 */
export function readPickle(program: Uint8Array, world: PickleWorld): PickleValue {
  return new Machine(program, world).run();
}

// Python's own integers have no limit; every number in a checkpoint has far less than this.
const longestInteger = 255;

class Machine {
  private at = 0;
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

  run(): PickleValue {
    for (;;) {
      const start = this.at;
      const code = this.uint(1);
      if (code === stop) break;
      const instruction = instructions.get(code);
      if (!instruction)
        throw new PickleProblem(
          `byte ${start}: instruction 0x${code.toString(16).padStart(2, "0")} is not one of plain data`,
        );
      instruction(this);
    }
    return this.pop();
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

  /** Takes a dict of attributes from the stack. Only records have any; a dict's are of no use. */
  build(): void {
    const state = this.pop();
    const object = this.top();
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
      return key === undefined ? [] : [key.slice(0, 80)];
    });
    return keys.length > 0 ? JSON.stringify(keys.join(".")) : "its top level";
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

const stop = ".".charCodeAt(0);

/** By Python's opcodes; the names in the comments are those of `pickletools`. */
const instructions: ReadonlyMap<number, (m: Machine) => void> = new Map(
  (
    [
      ["\x80", (m) => m.uint(1)], // PROTO
      ["\x95", (m) => m.uint(8)], // FRAME
      ["(", (m) => m.mark()],
      ["0", (m) => m.pop()],
      ["1", (m) => m.popMark()],
      ["2", (m) => m.push(m.top())], // DUP
      ["q", (m) => m.remember(m.uint(1))], // BINPUT
      ["r", (m) => m.remember(m.uint(4))],
      ["\x94", (m) => m.rememberNext()], // MEMOIZE
      ["h", (m) => m.recall(m.uint(1))], // BINGET
      ["j", (m) => m.recall(m.uint(4))],

      ["N", (m) => m.push(null)],
      ["\x88", (m) => m.push(true)],
      ["\x89", (m) => m.push(false)],
      ["J", (m) => m.push(m.take(4).readInt32LE())], // BININT
      ["K", (m) => m.push(m.uint(1))],
      ["M", (m) => m.push(m.uint(2))],
      ["\x8a", (m) => m.push(m.integer(1))], // LONG1
      ["\x8b", (m) => m.push(m.integer(4))],
      ["G", (m) => m.push(m.take(8).readDoubleBE())], // BINFLOAT
      ["X", (m) => m.push(m.text(4))], // BINUNICODE
      ["\x8c", (m) => m.push(m.text(1))],
      ["\x8d", (m) => m.push(m.text(8))],
      ["U", (m) => m.push(m.text(1))], // SHORT_BINSTRING, of Python 2
      ["T", (m) => m.push(m.text(4))],
      ["B", (m) => m.push(m.data(4))], // BINBYTES
      ["C", (m) => m.push(m.data(1))],
      ["\x8e", (m) => m.push(m.data(8))],

      [")", (m) => m.push([])], // EMPTY_TUPLE
      ["\x85", (m) => m.push(m.popMany(1))],
      ["\x86", (m) => m.push(m.popMany(2))],
      ["\x87", (m) => m.push(m.popMany(3))],
      ["t", (m) => m.push(m.popMark())], // TUPLE
      ["]", (m) => m.push([])], // EMPTY_LIST
      ["l", (m) => m.push(m.popMark())],
      ["a", (m) => m.append([m.pop()])], // APPEND
      ["e", (m) => m.append(m.popMark())],
      ["\x8f", (m) => m.push([])], // EMPTY_SET
      ["\x90", (m) => m.append(m.popMark())], // ADDITEMS
      ["\x91", (m) => m.push(m.popMark())], // FROZENSET
      ["}", (m) => m.push(new Map())], // EMPTY_DICT
      ["s", (m) => m.setItems(m.popMany(2))], // SETITEM
      ["u", (m) => m.setItems(m.popMark())],

      ["c", (m) => m.global(`${m.line()}.${m.line()}`)], // GLOBAL
      ["\x93", (m) => m.globalOnStack()], // STACK_GLOBAL
      ["R", (m) => m.call()], // REDUCE
      ["\x81", (m) => m.call()], // NEWOBJ
      ["b", (m) => m.build()],
      ["Q", (m) => m.persistent()], // BINPERSID
    ] as [string, (m: Machine) => void][]
  ).map(([letter, run]) => [letter.charCodeAt(0), run]),
);
