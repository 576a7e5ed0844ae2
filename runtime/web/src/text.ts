/** Numbers in messages, written as Python writes them, so that both runtimes refuse in the same words. */

/** A number as `str` writes it: nan, inf, 12.5. */
export function plain(value: number): string {
  if (Number.isNaN(value)) return "nan";
  return Number.isFinite(value) ? String(value) : value > 0 ? "inf" : "-inf";
}

/** A number in `digits` significant digits without trailing zeros, as Python's format `g` writes it. */
export function general(value: number, digits = 6): string {
  if (!Number.isFinite(value)) return plain(value);
  const [mantissa, power] = value.toExponential(digits - 1).split("e") as [string, string];
  const exponent = Number(power);
  if (exponent >= -4 && exponent < digits) return trimmed(value.toFixed(digits - 1 - exponent));
  const sign = exponent < 0 ? "-" : "+";
  return `${trimmed(mantissa)}e${sign}${String(Math.abs(exponent)).padStart(2, "0")}`;
}

function trimmed(text: string): string {
  return text.includes(".") ? text.replace(/\.?0+$/, "") : text;
}

const SHOWN = 8; // names in a message

/** The first names, and how many more there are. */
export function listed(names: readonly string[]): string {
  const shown = names.slice(0, SHOWN).map((name) => [...name].slice(0, 60).join(""));
  return shown.join(", ") + (names.length > SHOWN ? ` and ${names.length - SHOWN} more` : "");
}

/** A value as Python's `repr` writes it, for strings and numbers. */
export function shown(value: unknown): string {
  if (typeof value === "string") return `'${value}'`;
  if (typeof value === "number") return plain(value);
  if (value === null || value === undefined) return "None";
  if (typeof value === "boolean") return value ? "True" : "False";
  return typeof value === "bigint" ? String(value) : JSON.stringify(value) ?? typeof value;
}
