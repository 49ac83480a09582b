import type { PlaneView } from "./plane-view.js";

/** Draws the points of a map on a canvas. */
export interface PointPainter {
  /** @param colours [objects × 4] red, green, blue, opacity, 0..255 */
  colour(colours: Uint8Array): void;
  /**
   * @param side of a point, pixels of the canvas
   * @param every draws one of so many, while more would take too long
   */
  paint(view: PlaneView, side: number, every: number): void;
}

/** The bytes of so many points are as far apart as WebGL allows. */
const SPARSEST = 31;

/**
 * Points on the graphics card; on the 2D canvas where there is none.
 *
 * @param places [objects × 2], units
 * @param again told that all has to be painted again
 */
export function pointPainter(
  canvas: HTMLCanvasElement,
  places: Float32Array,
  again: () => void,
): PointPainter {
  const gl = canvas.getContext("webgl", { antialias: false, alpha: true });
  return gl ? cardPainter(gl, places, again) : flatPainter(canvas.getContext("2d")!, places);
}

const vertexShader = `
attribute vec2 place; attribute vec4 colour;
uniform vec2 middle, scale; uniform mediump float side;
varying vec4 shown;
void main() {
  gl_Position = vec4((place - middle) * scale, 0.0, 1.0);
  gl_PointSize = side;
  shown = colour;
}`;

/** Round points with a soft edge of a pixel. */
const fragmentShader = `
precision mediump float;
uniform mediump float side;
varying vec4 shown;
void main() {
  float edge = clamp((0.5 - length(gl_PointCoord - 0.5)) * side + 0.5, 0.0, 1.0);
  float opacity = shown.a * edge;
  gl_FragColor = vec4(shown.rgb * opacity, opacity);
}`;

function cardPainter(
  gl: WebGLRenderingContext,
  places: Float32Array,
  again: () => void,
): PointPainter {
  let ready = prepared(gl, places);
  let colours = new Uint8Array(2 * places.length);
  const { canvas } = gl;
  const colour = (given: Uint8Array): void => {
    colours = new Uint8Array(given);
    gl.bindBuffer(gl.ARRAY_BUFFER, ready.colours);
    gl.bufferData(gl.ARRAY_BUFFER, colours, gl.STATIC_DRAW);
  };
  // A driver that starts again takes everything away.
  canvas.addEventListener("webglcontextlost", (event) => event.preventDefault());
  canvas.addEventListener("webglcontextrestored", () => {
    ready = prepared(gl, places);
    colour(colours);
    again();
  });
  const paint = (view: PlaneView, side: number, wanted: number): void => {
    const every = Math.min(SPARSEST, wanted);
    const { width, height } = canvas;
    const [sx, sy] = view.scale;
    const ratio = devicePixelRatio;
    gl.viewport(0, 0, width, height);
    gl.clear(gl.COLOR_BUFFER_BIT);
    gl.uniform2f(ready.middle, ...view.middle);
    gl.uniform2f(ready.scale, (2 * sx * ratio) / width, (2 * sy * ratio) / height);
    gl.uniform1f(ready.side, side + 1);
    ready.apart(every);
    gl.drawArrays(gl.POINTS, 0, Math.ceil(places.length / 2 / every));
  };
  return { colour, paint };
}

function prepared(gl: WebGLRenderingContext, places: Float32Array) {
  const program = gl.createProgram();
  for (const [kind, source] of [
    [gl.VERTEX_SHADER, vertexShader],
    [gl.FRAGMENT_SHADER, fragmentShader],
  ] as const) {
    const shader = gl.createShader(kind)!;
    gl.shaderSource(shader, source);
    gl.compileShader(shader);
    gl.attachShader(program, shader);
  }
  gl.linkProgram(program);
  // A card that was taken away meanwhile says nothing, and comes back.
  if (!gl.getProgramParameter(program, gl.LINK_STATUS) && !gl.isContextLost())
    throw new Error(
      `the map cannot be drawn: this browser's WebGL refuses its points ` +
        `(${gl.getProgramInfoLog(program) || "it does not say why"}); switch WebGL off, or try another browser`,
    );
  gl.useProgram(program);
  gl.enable(gl.BLEND);
  gl.blendFunc(gl.ONE, gl.ONE_MINUS_SRC_ALPHA);
  const attribute = (name: string) => {
    const buffer = gl.createBuffer();
    const at = gl.getAttribLocation(program, name);
    gl.bindBuffer(gl.ARRAY_BUFFER, buffer);
    gl.enableVertexAttribArray(at);
    return { buffer, at };
  };
  const [colour, place] = [attribute("colour"), attribute("place")];
  const apart = (every: number): void => {
    gl.bindBuffer(gl.ARRAY_BUFFER, colour.buffer);
    gl.vertexAttribPointer(colour.at, 4, gl.UNSIGNED_BYTE, true, 4 * every, 0);
    gl.bindBuffer(gl.ARRAY_BUFFER, place.buffer);
    gl.vertexAttribPointer(place.at, 2, gl.FLOAT, false, 8 * every, 0);
  };
  gl.bufferData(gl.ARRAY_BUFFER, places, gl.STATIC_DRAW);
  const [middle, scale, side] = ["middle", "scale", "side"].map((name) =>
    gl.getUniformLocation(program, name),
  );
  return { colours: colour.buffer, apart, middle: middle!, scale: scale!, side: side! };
}

function flatPainter(drawing: CanvasRenderingContext2D, places: Float32Array): PointPainter {
  let colours = new Uint8Array(2 * places.length);
  const paint = (view: PlaneView, side: number, every: number): void => {
    drawing.clearRect(0, 0, drawing.canvas.width, drawing.canvas.height);
    let before = "";
    for (let row = 0; 2 * row < places.length; row += every) {
      const [r, g, b, a] = colours.subarray(4 * row, 4 * row + 4);
      const style = `rgb(${r} ${g} ${b} / ${a! / 255})`;
      if (style !== before) drawing.fillStyle = before = style;
      const [x, y] = view.pixelsAt([places[2 * row]!, places[2 * row + 1]!]);
      const half = side / 2;
      drawing.fillRect(x * devicePixelRatio - half, y * devicePixelRatio - half, side, side);
    }
  };
  return {
    colour: (given) => {
      colours = new Uint8Array(given);
    },
    paint,
  };
}
