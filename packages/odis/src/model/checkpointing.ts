import { noGrad, type Scope, type Tensor, tidy } from "@odis/torch";

interface Segment {
  readonly level: number;
  readonly input: Tensor;
  readonly output: Tensor;
  /** computes the output again */
  readonly segment: (input: Tensor) => Tensor;
}

/**
 * Activation checkpointing (Chen et al. 2016): of every segment only its input is kept; what lies
 * inside is computed a second time when its gradient is due. A third more computation, and memory
 * for one segment instead of all of them.
 *
 * After `backward()` of whatever was computed from the last outputs, `backward()` here carries the
 * gradient through the segments, last one first.
 */
export class ActivationCheckpointing {
  private readonly segments: Segment[] = [];

  /** @param scope owns what is kept; it is open until after `backward()` */
  constructor(private readonly scope: Scope) {}

  /**
   * @param level depth of the segment: those of equal depth in several passes share their weights
   * @param segment gives the same for the same input: it is computed twice
   * @returns the segment's output, a leaf whose gradient `backward` reads
   */
  run(level: number, input: Tensor, segment: (x: Tensor) => Tensor): Tensor {
    const output = noGrad(() => tidy(() => segment(input).detach())).requiresGrad_();
    this.scope.claim(input);
    this.scope.claim(output);
    this.segments.push({ level, input, output, segment });
    return output;
  }

  /** A tensor that a segment reads beside its input. */
  keep(tensor: Tensor | undefined): void {
    if (tensor) this.scope.claim(tensor);
  }

  /**
   * Carries the outputs' gradients to all weights and to the first segments' inputs, the deepest
   * level of all passes first.
   *
   * @param onLevel called when no weight of a level will get any more gradient
   */
  backward(onLevel?: (level: number) => void): void {
    this.segments.sort((a, b) => a.level - b.level);
    for (let last = this.segments.pop(); last; last = this.segments.pop()) {
      const { level, input, output, segment } = last;
      const { grad } = output;
      if (grad)
        tidy(() => {
          const leaf = input.detach().requiresGrad_();
          segment(leaf).backward(grad);
          // An output of an earlier segment is a leaf; the first input has a graph of its own.
          if (leaf.grad) input.backward(leaf.grad);
        });
      output.free();
      if (this.segments.at(-1)?.level !== level) onLevel?.(level);
    }
  }
}
