/** As much protobuf as the benchmarks need: etcd's messages, written and read by hand. */

function varint(value) {
  const bytes = [];
  let rest = value;
  for (; rest > 127; rest = Math.floor(rest / 128)) bytes.push((rest % 128) | 128);
  return Buffer.from([...bytes, rest]);
}

/** A field that has a length. */
export function field(number, ...content) {
  const value = Buffer.concat(content.map((each) => Buffer.from(each)));
  return Buffer.concat([varint(number * 8 + 2), varint(value.length), value]);
}

/** A `PutRequest`. */
export const put = (key, value) => Buffer.concat([field(1, key), field(2, value)]);

/** A `TxnRequest` of puts. */
export const txn = (puts) => Buffer.concat(puts.map((each) => field(2, field(2, each))));

/** A `WatchRequest` for all keys, from now on. */
export const watchAll = () => field(1, field(1, [0]), field(2, [0]));

/** A `RangeRequest` for keys from `from` on. */
export const page = (from, limit) =>
  Buffer.concat([field(1, from), field(2, [0]), varint(24), varint(limit)]);

/** The fields with the number `wanted` of a message, each as bytes. */
export function fields(message, wanted) {
  const found = [];
  let at = 0;
  const number = () => {
    let value = 0;
    for (let factor = 1; ; factor *= 128) {
      const byte = message[at++];
      value += (byte & 127) * factor;
      if (byte < 128) return value;
    }
  };
  while (at < message.length) {
    const tag = number();
    if (tag % 8 !== 2) {
      number();
      continue;
    }
    const end = number() + at;
    if (Math.floor(tag / 8) === wanted) found.push(message.subarray(at, end));
    at = end;
  }
  return found;
}
