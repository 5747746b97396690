/** An unsigned number of up to 64 bits, or a signed one: protobuf writes both as 64 bits. */
export type Wide = number | bigint;

/**
 * Writes protobuf from its end to its beginning.
 *
 * Backwards, a message within a message is written before its length, which is then known: one pass, no copy.
 */
export class WireWriter {
  #bytes = Buffer.allocUnsafe(256);
  #at = 256;

  /** How many bytes are written. */
  get length(): number {
    return this.#bytes.length - this.#at;
  }

  raw(bytes: Uint8Array): void {
    this.#reserve(bytes.length);
    this.#at -= bytes.length;
    this.#bytes.set(bytes, this.#at);
  }

  varint(value: Wide): void {
    if (typeof value === "bigint") {
      if (value < 0n || value > 0x7fff_ffffn) {
        this.#wide(BigInt.asUintN(64, value));
        return;
      }
      this.#small(Number(value));
    } else if (value < 0 || value > 0x7fff_ffff) {
      this.#wide(BigInt.asUintN(64, BigInt(value)));
    } else {
      this.#small(value);
    }
  }

  /** The message. Do not write on. */
  finish(): Buffer {
    return this.#bytes.subarray(this.#at);
  }

  #small(value: number): void {
    const length =
      value < 0x80 ? 1 : value < 0x4000 ? 2 : value < 0x20_0000 ? 3 : value < 0x1000_0000 ? 4 : 5;
    this.#reserve(length);
    this.#at -= length;
    let rest = value;
    let at = this.#at;
    for (; rest >= 0x80; rest >>>= 7) this.#bytes[at++] = (rest & 0x7f) | 0x80;
    this.#bytes[at] = rest;
  }

  #wide(value: bigint): void {
    const groups: number[] = [];
    let rest = value;
    for (; rest >= 0x80n; rest >>= 7n) groups.push(Number(rest & 0x7fn) | 0x80);
    groups.push(Number(rest));
    this.raw(Uint8Array.from(groups));
  }

  #reserve(count: number): void {
    if (count <= this.#at) return;
    const { length } = this;
    const bigger = Buffer.allocUnsafe(Math.max(length + count, 2 * this.#bytes.length));
    bigger.set(this.#bytes.subarray(this.#at), bigger.length - length);
    this.#bytes = bigger;
    this.#at = bigger.length - length;
  }
}
