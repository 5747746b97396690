import { describe, expect, it } from "vitest";
import { Unsent } from "./unsent.js";

function recorded() {
  const log: string[] = [];
  const unsent = new Unsent(
    () => log.push("behind"),
    () => log.push("level"),
  );
  const add = (count: number, bytes: number) => Array.from({ length: count }, () => unsent.add(bytes));
  const leave = (messages: (() => void)[]) => {
    for (const left of messages) left();
  };
  return { log, add, leave };
}

describe("Unsent", () => {
  it.each([
    ["messages", 1_001, 10, 750],
    ["bytes", 5, 2 ** 20, 3],
  ])(
    "says once that a client is behind by too many %s, and once that it is level again",
    (_what, count, bytes, almost) => {
      const { log, add, leave } = recorded();
      const messages = add(count - 1, bytes);
      expect(log).toEqual([]);
      messages.push(...add(1, bytes), ...add(1, 0));
      expect(log).toEqual(["behind"]);
      leave(messages.splice(0, almost));
      expect(log).toEqual(["behind"]);
      leave(messages);
      expect(log).toEqual(["behind", "level"]);
    },
  );

  it("says nothing of a client that reads", () => {
    const { log, add, leave } = recorded();
    for (let round = 0; round < 5_000; round += 1) leave(add(3, 2 ** 20));
    expect(log).toEqual([]);
  });
});
