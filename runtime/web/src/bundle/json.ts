/** Strict JSON: no key twice, no number that is not finite, no depth without end. `JSON.parse` accepts repeated keys. */

const DEPTH = 100;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const STRING = /"(?:[^"\\\u0000-\u001f]|\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4}))*"/y;
const SPACE = /[ \t\r\n]*/y;

export type Json = null | boolean | number | string | Json[] | Map<string, Json>;

/** The value of `text`, objects as maps; throws `SyntaxError`. */
export function strictJson(text: string): Json {
  const reader = new Reader(text);
  const value = reader.value(0);
  reader.space();
  if (reader.at < text.length) reader.fail("more than one value");
  return value;
}

class Reader {
  at = 0;
  private readonly text: string;

  constructor(text: string) {
    this.text = text;
  }

  fail(why: string): never {
    throw new SyntaxError(`${why} at character ${this.at}`);
  }

  space(): void {
    this.match(SPACE);
  }

  value(depth: number): Json {
    if (depth > DEPTH) this.fail("too deep");
    this.space();
    const first = this.text[this.at];
    if (first === "{") return this.object(depth);
    if (first === "[") return this.array(depth);
    if (first === '"') return this.string();
    for (const [word, value] of [["true", true], ["false", false], ["null", null]] as const) {
      if (this.text.startsWith(word, this.at)) {
        this.at += word.length;
        return value;
      }
    }
    const number = Number(this.match(NUMBER) ?? this.fail("no value"));
    return Number.isFinite(number) ? number : this.fail("a number too large");
  }

  private object(depth: number): Map<string, Json> {
    const fields = new Map<string, Json>();
    this.items("}", () => {
      this.space();
      const name = this.string();
      if (fields.has(name)) this.fail("a key occurs twice");
      this.take(":");
      fields.set(name, this.value(depth + 1));
    });
    return fields;
  }

  private array(depth: number): Json[] {
    const values: Json[] = [];
    this.items("]", () => values.push(this.value(depth + 1)));
    return values;
  }

  private items(end: string, read: () => void): void {
    this.at += 1;
    this.space();
    if (this.text[this.at] === end) {
      this.at += 1;
      return;
    }
    for (;;) {
      read();
      this.space();
      if (this.text[this.at] === end) break;
      this.take(",");
    }
    this.at += 1;
  }

  private string(): string {
    const raw = this.match(STRING) ?? this.fail("no string");
    const value = JSON.parse(raw) as string;
    return /[\ud800-\udfff]/u.test(value) ? this.fail("half a surrogate pair") : value;
  }

  private take(character: string): void {
    this.space();
    if (this.text[this.at] !== character) this.fail(`no ${character}`);
    this.at += 1;
  }

  private match(pattern: RegExp): string | null {
    pattern.lastIndex = this.at;
    const found = pattern.exec(this.text);
    if (found === null) return null;
    this.at += found[0].length;
    return found[0];
  }
}
