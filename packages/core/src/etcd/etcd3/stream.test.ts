import { Metadata } from "@grpc/grpc-js";
import { describe, expect, it } from "vitest";
import { bytes, text } from "../../../test/observe.js";
import type { Link } from "./first-ready.js";
import { EtcdStream } from "./stream.js";

/** A call as grpc-js makes it, which takes a message when the test says so. */
function openStream() {
  const sent: string[] = [];
  const done: string[] = [];
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
  const close = async () => void done.push("closed");
  const connection = { endpoint: "http://a:1", roundTripMs: 1, call: () => call, close };
  const member = { suspect: () => done.push("suspect") };
  const link = { member, connection } as unknown as Link;
  const stream = new EtcdStream<string, string>(link, {
    method: {
      path: "/p",
      encode: (request) => Buffer.from(bytes(request)),
      decode: (message) => text(message),
    },
    metadata: new Metadata(),
    handlers: { onMessage: () => {}, onEnd: () => {} },
    toldAs: (error) => error,
    onSilent: () => done.push("silent"),
    onOver: () => done.push("over"),
  });
  return { stream, sent, done, take: () => taken() };
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

  it("doubts the token, the member and the connection if it is left because nothing comes, and only then", () => {
    const [silent, left] = [openStream(), openStream()];
    silent.stream.cancel({ suspect: true });
    silent.stream.cancel({ suspect: true });
    left.stream.cancel();
    expect([silent.done, left.done]).toEqual([["over", "silent", "suspect", "closed"], ["over"]]);
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
