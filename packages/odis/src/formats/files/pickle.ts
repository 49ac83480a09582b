import { PickleMachine } from "./pickle-machine.js";
import { PickleProblem, type PickleValue, type PickleWorld } from "./pickle-values.js";

export {
  PickleGlobal,
  PickleObject,
  PickleProblem,
  PickleRecord,
  type PickleValue,
  type PickleWorld,
  UnknownGlobal,
} from "./pickle-values.js";

// A checkpoint of a very large network has some hundred thousand.
const mostInstructions = 2_000_000;

/**
 * The value that a pickle describes, read as data. Python's pickle is a program for a stack machine
 * that may call anything; this machine has the instructions for containers, numbers and texts only,
 * and a name in the program stands for one of the few things that its caller understands or ends
 * the reading. Nothing is looked up, imported or run.
 *
 * @throws UnknownGlobal, PickleProblem
 */
export function readPickle(program: Uint8Array, world: PickleWorld): PickleValue {
  const machine = new PickleMachine(program, world);
  for (let done = 0; done <= mostInstructions; done += 1) {
    const start = machine.at;
    const code = machine.uint(1);
    if (code === stop) return machine.pop();
    const instruction = instructions.get(code);
    if (!instruction)
      throw new PickleProblem(
        `byte ${start}: instruction 0x${code.toString(16).padStart(2, "0")} is not one of plain data`,
      );
    instruction(machine);
  }
  throw new PickleProblem(`it has more than ${mostInstructions} instructions`);
}

const stop = ".".charCodeAt(0);

/** By Python's opcodes; the names in the comments are those of `pickletools`. */
const instructions: ReadonlyMap<number, (m: PickleMachine) => void> = new Map(
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

      [")", (m) => m.pushNew([])], // EMPTY_TUPLE
      ["\x85", (m) => m.pushNew(m.popMany(1))],
      ["\x86", (m) => m.pushNew(m.popMany(2))],
      ["\x87", (m) => m.pushNew(m.popMany(3))],
      ["t", (m) => m.pushNew(m.popMark())], // TUPLE
      ["]", (m) => m.pushNew([])], // EMPTY_LIST
      ["l", (m) => m.pushNew(m.popMark())],
      ["a", (m) => m.append([m.pop()])], // APPEND
      ["e", (m) => m.append(m.popMark())],
      ["\x8f", (m) => m.pushNew([])], // EMPTY_SET
      ["\x90", (m) => m.append(m.popMark())], // ADDITEMS
      ["\x91", (m) => m.pushNew(m.popMark())], // FROZENSET
      ["}", (m) => m.pushNew(new Map())], // EMPTY_DICT
      ["s", (m) => m.setItems(m.popMany(2))], // SETITEM
      ["u", (m) => m.setItems(m.popMark())],

      ["c", (m) => m.global(`${m.line()}.${m.line()}`)], // GLOBAL
      ["\x93", (m) => m.globalOnStack()], // STACK_GLOBAL
      ["R", (m) => m.call()], // REDUCE
      ["\x81", (m) => m.call()], // NEWOBJ
      ["b", (m) => m.build()],
      ["Q", (m) => m.persistent()], // BINPERSID
    ] as [string, (m: PickleMachine) => void][]
  ).map(([letter, run]) => [letter.charCodeAt(0), run]),
);
