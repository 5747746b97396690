import { once } from "node:events";
import { type AddressInfo, connect, createServer } from "node:net";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { afterEach, describe, expect, it, onTestFinished, vi } from "vitest";
import { liveTimers } from "../../test/observe.js";
import { holdProcess, systemClock, type Timer } from "./clock.js";

describe("systemClock", () => {
  afterEach(() => void vi.useRealTimers());

  it("never holds the process", () => {
    const before = liveTimers();
    using _timer = systemClock.setTimer(2 ** 40, () => {});
    expect(liveTimers()).toBe(before);
  });

  it("fires after months, once and not before, though Node's timers end after 24.8 days", () => {
    vi.useFakeTimers();
    const fire = vi.fn();
    const day = 86_400_000;
    using _fired = systemClock.setTimer(60 * day, fire);
    const disposed = systemClock.setTimer(60 * day, fire);
    vi.advanceTimersByTime(59 * day);
    expect(fire).not.toHaveBeenCalled();
    disposed[Symbol.dispose]();
    vi.advanceTimersByTime(day);
    expect(fire).toHaveBeenCalledTimes(1);
    expect(vi.getTimerCount()).toBe(0);
  });

  it("fires no moment early where a little is left after Node's longest timer", () => {
    vi.useFakeTimers();
    const fire = vi.fn();
    const delayMs = 2 ** 31 + 900;
    using _timer = systemClock.setTimer(delayMs, fire);
    vi.advanceTimersByTime(delayMs - 1);
    expect(fire).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(fire).toHaveBeenCalledTimes(1);
  });

  it("fires no fraction of a millisecond early, which Node's timers leave out", () => {
    vi.useFakeTimers();
    const fire = vi.fn();
    using _timer = systemClock.setTimer(99.5, fire);
    vi.advanceTimersByTime(99);
    expect(fire).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(fire).toHaveBeenCalledTimes(1);
  });

  it("fires where a test fakes the timers and not `performance`", () => {
    vi.useFakeTimers({ toFake: ["setTimeout", "clearTimeout"] });
    const fire = vi.fn();
    using _timer = systemClock.setTimer(5_000, fire);
    vi.advanceTimersByTime(5_000);
    expect(fire).toHaveBeenCalledTimes(1);
  });

  /** Has a byte sent through a socket, and holds the event loop for `heldMs`. */
  async function held(heldMs: number, timerMs: number, onByte: (timer: Timer) => void): Promise<string[]> {
    const order: string[] = [];
    const server = createServer();
    onTestFinished(() => void server.close());
    await once(server.listen(0, "127.0.0.1"), "listening");
    const socket = connect((server.address() as AddressInfo).port, "127.0.0.1");
    onTestFinished(() => void socket.destroy());
    const [[peer]] = await Promise.all([once(server, "connection"), once(socket, "connect")]);
    const fired = new Promise<void>((resolve) => {
      const timer = systemClock.setTimer(timerMs, () => {
        order.push("timer");
        resolve();
      });
      socket.on("data", () => {
        order.push("byte");
        onByte(timer);
      });
    });
    // After this turn timers are what comes next.
    await new Promise((resolve) => setImmediate(resolve));
    peer.write("x");
    const until = systemClock.now() + heldMs;
    while (systemClock.now() < until);
    await Promise.race([fired, new Promise((resolve) => setTimeout(resolve, 100))]);
    return order;
  }

  it("lets what has come in go before a timer that the process has held up", async () => {
    expect(await held(150, 50, () => {})).toEqual(["byte", "timer"]);
  });

  it("fires no timer that was disposed because of what has come in", async () => {
    expect(await held(150, 50, (timer) => timer[Symbol.dispose]())).toEqual(["byte"]);
  });

  it("keeps nothing of other timers that were held up with it, as long as it is kept itself", async () => {
    setFlagsFromString("--expose-gc");
    const gc = runInNewContext("gc") as () => void;
    const fired: string[] = [];
    const after = (name: string): { timer: Timer; content: WeakRef<object> } => {
      const content = { name };
      const timer = systemClock.setTimer(1, () => fired.push(content.name));
      return { timer, content: new WeakRef(content) };
    };
    const { timer } = after("kept");
    const { content } = after("dropped");
    const until = systemClock.now() + 50;
    while (systemClock.now() < until);
    await vi.waitFor(() => expect(fired).toEqual(["kept", "dropped"]));
    await new Promise((resolve) => setTimeout(resolve, 5));
    gc();
    expect(content.deref()).toBe(undefined);
    timer[Symbol.dispose]();
  });

  it("never decreases", () => {
    const first = systemClock.now();
    expect(systemClock.now()).toBeGreaterThanOrEqual(first);
  });
});

describe("holdProcess", () => {
  it("holds the process until disposed", () => {
    const before = liveTimers();
    const hold = holdProcess();
    expect(liveTimers()).toBe(before + 1);
    hold[Symbol.dispose]();
    expect(liveTimers()).toBe(before);
  });
});
