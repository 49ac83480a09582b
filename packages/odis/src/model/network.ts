import { type Generator, Module, type Tensor } from "@odis/torch";
import { Backbone, type BackboneConfig, type BackboneOptions } from "./backbone.js";
import { Head, type HeadConfig } from "./head.js";
import type { TokenLayout } from "./tokens.js";

/** Backbone and projection head: what a student is, and what a teacher copies. */
export class Network extends Module {
  readonly backbone: Backbone;
  readonly head: Head;

  constructor(backbone: BackboneConfig, head: HeadConfig, layout: TokenLayout, hides: boolean) {
    super();
    this.backbone = new Backbone(backbone, layout, hides);
    this.head = new Head(backbone.dim, head);
  }

  init(generator: Generator): this {
    this.backbone.init(generator);
    this.head.init(generator);
    return this;
  }

  /** Tokens as `Backbone.forward` gives them; the head is called on those that a loss reads. */
  forward(images: Tensor, options?: BackboneOptions): Tensor {
    return this.backbone.forward(images, options);
  }
}
