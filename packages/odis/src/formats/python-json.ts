/**
 * A number that Python shall read as a float: `1.0`, which JSON of JavaScript writes as `1`. Strict
 * readers (transformers 5) refuse an integer in its place.
 */
export class Float {
  constructor(readonly value: number) {}
}

/** JSON of two levels at most, a name a line; finite numbers only. */
export function pythonJson(values: Readonly<Record<string, unknown>>): string {
  const lines = Object.entries(values).map(
    ([name, value]) => `  ${JSON.stringify(name)}: ${text(value)}`,
  );
  return `{\n${lines.join(",\n")}\n}\n`;
}

function text(value: unknown): string {
  if (!(value instanceof Float)) return JSON.stringify(value);
  const shortest = String(value.value);
  return /^-?\d+$/.test(shortest) ? `${shortest}.0` : shortest;
}
