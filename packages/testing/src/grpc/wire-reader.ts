/** Reads protobuf in place. Throws an `Error` for what is none; never reads beyond its end. */
export class WireReader {
  readonly #bytes: Uint8Array;
  #at = 0;
  #end: number;
  #low = 0;
  #high = 0;

  constructor(bytes: Uint8Array) {
    this.#bytes = bytes;
    this.#end = bytes.length;
  }

  /** The next field's number and wire type (`number << 3 | type`), 0 at the end of the message. */
  tag(): number {
    if (this.#at >= this.#end) return 0;
    this.#varint();
    if (this.#high !== 0 || this.#low < 8) throw new Error("illegal field number");
    return this.#low;
  }

  /** Steps into a field that has a length. Hand the result to `leave()` after it. */
  enter(): number {
    this.#varint();
    if (this.#high !== 0 || this.#low > this.#end - this.#at) throw new Error("message is cut short");
    const outer = this.#end;
    this.#end = this.#at + this.#low;
    return outer;
  }

  leave(outer: number): void {
    this.#at = this.#end;
    this.#end = outer;
  }

  get isAtEnd(): boolean {
    return this.#at >= this.#end;
  }

  /** A signed whole number; rounded beyond 2^53. */
  number(): number {
    this.#varint();
    return (this.#high | 0) * 0x1_0000_0000 + this.#low;
  }

  boolean(): boolean {
    this.#varint();
    return this.#low !== 0 || this.#high !== 0;
  }

  int64(): bigint {
    return BigInt.asIntN(64, this.uint64());
  }

  uint64(): bigint {
    this.#varint();
    return this.#high === 0 ? BigInt(this.#low) : (BigInt(this.#high) << 32n) | BigInt(this.#low);
  }

  /** A copy of the field's bytes. */
  bytes(): Uint8Array {
    const outer = this.enter();
    const bytes = new Uint8Array(this.#end - this.#at);
    bytes.set(this.#bytes.subarray(this.#at, this.#end));
    this.leave(outer);
    return bytes;
  }

  text(): string {
    return Buffer.from(this.bytes()).toString("utf8");
  }

  /** Passes over a field that is not known. */
  skip(tag: number): void {
    const type = tag & 7;
    if (type === 0) this.#varint();
    else if (type === 2) this.leave(this.enter());
    else if (type === 1 || type === 5) this.#at += type === 1 ? 8 : 4;
    else throw new Error(`illegal wireType ${type}`);
    if (this.#at > this.#end) throw new Error("message is cut short");
  }

  #varint(): void {
    let low = 0;
    let high = 0;
    for (let shift = 0; shift < 70; shift += 7) {
      if (this.#at >= this.#end) throw new Error("message is cut short");
      const byte = this.#bytes[this.#at++] as number;
      const bits = byte & 0x7f;
      if (shift < 28) low |= bits << shift;
      else if (shift === 28) {
        low |= bits << 28;
        high = bits >> 4;
      } else high |= bits << (shift - 32);
      if (byte < 0x80) {
        this.#low = low >>> 0;
        this.#high = high >>> 0;
        return;
      }
    }
    throw new Error("integer overflow");
  }
}
