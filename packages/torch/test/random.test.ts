import {
  call,
  empty,
  Generator,
  manualSeed,
  randperm,
  type Tensor,
  tensor,
  tensorScope,
} from "@odis/torch";
import { afterEach, beforeEach, expect, test } from "vitest";

let scope: Disposable;
beforeEach(() => {
  scope = tensorScope();
});
afterEach(() => scope[Symbol.dispose]());

const draw = (generator?: Generator): number[] => empty([5]).normal_(0, 1, generator).toNumbers();

test("the same seed gives the same numbers, another seed others", () => {
  expect(draw(new Generator(7))).toEqual(draw(new Generator(7)));
  expect(draw(new Generator(7))).not.toEqual(draw(new Generator(8)));
});

test("a generator is a stream of its own", () => {
  const generator = new Generator(1);
  const expected = [draw(new Generator(1))];
  manualSeed(3);
  const undisturbed = draw();
  manualSeed(3);
  expect(draw(generator)).toEqual(expected[0]);
  expect(draw()).toEqual(undisturbed);
});

test("its state can be saved in the middle and restored elsewhere", () => {
  const generator = new Generator(5);
  // An odd number of normal draws leaves half a pair behind: the state must hold that, too.
  empty([3]).normal_(0, 1, generator);
  const state = generator.getState();
  const next = [draw(generator), draw(generator)];
  const other = new Generator(99);
  other.setState(state);
  expect([draw(other), draw(other)]).toEqual(next);
  generator.setState(state);
  expect(draw(generator)).toEqual(next[0]);
});

test("every random operator takes one", () => {
  const twice = (fn: (generator: Generator) => number[]): void =>
    expect(fn(new Generator(2))).toEqual(fn(new Generator(2)));
  twice((generator) => empty([4]).uniform_(2, 3, generator).toNumbers());
  twice((generator) => empty([20]).bernoulli_(0.5, generator).toNumbers());
  twice((generator) => randperm(10, { generator }).toNumbers());
  const weights = tensor([1, 1, 1]);
  twice((generator) =>
    (call("aten::multinomial", weights, 9, true, generator) as Tensor).toNumbers(),
  );
});

test("draws are where they should be", () => {
  const generator = new Generator(4);
  const uniform = empty([1000]).uniform_(2, 3, generator);
  expect(uniform.min().item()).toBeGreaterThanOrEqual(2);
  expect(uniform.max().item()).toBeLessThan(3);
  expect(uniform.mean().item()).toBeCloseTo(2.5, 1);
  expect(randperm(50, { generator }).sort(0)[0].toNumbers()).toEqual([...Array(50).keys()]);
  const normal = empty([4000]).normal_(10, 2, generator);
  expect(Math.abs(normal.mean().item() - 10)).toBeLessThan(0.2);
  const squares = normal.sub(normal.mean()).pow(2).mean();
  expect(Math.abs(squares.sqrt().item() - 2)).toBeLessThan(0.1);
});

test("a state that is none is refused, and changes nothing", () => {
  const generator = new Generator(6);
  const state = generator.getState();
  expect(() => generator.setState(new Uint8Array(3))).toThrow(
    `setGeneratorState: got uint8[3] as state, wanted uint8[${state.length}] from getState()`,
  );
  expect(() => generator.setState(new Uint8Array(state.length).fill(255))).toThrow(
    /setGeneratorState: /,
  );
  expect(generator.getState()).toEqual(state);
});

test.each([-1, 0.5, Number.NaN, 2 ** 60])("%s is no seed", (seed) => {
  const wanted = "wanted an integer from 0 to 9007199254740991";
  expect(() => new Generator(seed)).toThrow(`newGenerator: seed got ${seed}, ${wanted}`);
  expect(() => manualSeed(seed)).toThrow(`manualSeed: seed got ${seed}, ${wanted}`);
});
