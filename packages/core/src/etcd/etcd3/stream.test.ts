import { Metadata } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { bytes, text } from "../../../test/observe.js";
import type { Connection } from "./connection.js";
import type { Link } from "./first-ready.js";
import type { Member } from "./member.js";
import { EtcdStream } from "./stream.js";

/** A call as grpc-js makes it, which takes a message when the test says so. */
function openStream() {
  const sent: string[] = [];
  let taken = (): void => {};
  const call = {
    start: () => {},
    startRead: () => {},
    cancelWithStatus: () => {},
    sendMessageWithContext: ({ callback }: { callback: () => void }, message: Buffer) => {
      sent.push(text(message));
      taken = callback;
    },
  };
  const connection = { endpoint: "http://a:1", roundTripMs: 1, call: () => call } as unknown as Connection;
  const link: Link = { member: {} as Member, connection };
  const stream = new EtcdStream<string, string>(link, {
    method: {
      path: "/p",
      encode: (request) => Buffer.from(bytes(request)),
      decode: (message) => text(message),
    },
    metadata: new Metadata(),
    handlers: { onMessage: () => {}, onEnd: () => {} },
    toldAs: (error) => error,
    onSilent: () => {},
    onOver: () => {},
  });
  return { stream, sent, take: () => taken() };
}

describe("EtcdStream", () => {
  it("gives grpc-js one message when it has taken the one before, in order", () => {
    const { stream, sent, take } = openStream();
    for (const request of ["a", "b", "c"]) stream.send(request);
    expect(sent).toEqual(["a"]);
    take();
    take();
    expect(sent).toEqual(["a", "b", "c"]);
    take();
    stream.send("d");
    expect(sent).toEqual(["a", "b", "c", "d"]);
  });

  it.each([
    ["is canceled", (stream: EtcdStream<string, string>) => stream.cancel()],
    ["ends", (stream: EtcdStream<string, string>) => stream.end(new Error("lost"))],
  ])("gives grpc-js none of what waits when it %s", (_how, end) => {
    const { stream, sent, take } = openStream();
    for (const request of ["a", "b", "c"]) stream.send(request);
    end(stream);
    take();
    stream.send("d");
    take();
    expect(sent).toEqual(["a"]);
  });
});
