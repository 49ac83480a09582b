/**
 * Whole numbers with commas between them, as an address or a hand has them.
 *
 * @returns undefined when they are not whole, or not so many
 */
export function wholeNumbers(text: string, count: number): readonly number[] | undefined {
  const parts = text.split(",").map((part) => part.trim());
  const areWhole = parts.length === count && parts.every((part) => /^-?\d{1,15}$/.test(part));
  return areWhole ? parts.map(Number) : undefined;
}
