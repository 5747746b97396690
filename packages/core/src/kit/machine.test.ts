import { subscribe, unsubscribe } from "node:diagnostics_channel";
import { describe, expect, it, vi } from "vitest";
import { Listeners, Machine, type Transitions } from "./machine.js";

type Door = { readonly status: "open" } | { readonly status: "shut" } | { readonly status: "gone" };
const table: Transitions<Door> = { open: ["shut", "gone"], shut: ["open", "shut", "gone"], gone: [] };
const machine = () => new Machine<Door>({ status: "open" }, table);

describe("Machine", () => {
  it("goes where its table allows", () => {
    const door = machine();
    expect(door.allows("shut")).toBe(true);
    door.enter({ status: "shut" });
    expect(door.state).toEqual({ status: "shut" });
  });

  it("refuses every other way with SD_INVARIANT, and stays", () => {
    const door = machine();
    door.enter({ status: "gone" });
    expect(door.allows("open")).toBe(false);
    expect(() => door.enter({ status: "open" })).toThrow(
      expect.objectContaining({ code: "SD_INVARIANT", message: "no transition from gone to open" }),
    );
    expect(door.state.status).toBe("gone");
  });

  it("tells every listener every state in order, also when one of them enters the next", () => {
    const door = machine();
    const seen: string[] = [];
    const listen = (name: string) =>
      door.subscribe((state, previous) => seen.push(`${name} ${previous.status}>${state.status}`));
    door.subscribe(({ status }) => status === "shut" && door.enter({ status: "gone" }));
    listen("a");
    listen("b");
    door.enter({ status: "shut" });
    expect(seen).toEqual(["a open>shut", "b open>shut", "a shut>gone", "b shut>gone"]);
  });

  it("tells nothing to a listener that has left", () => {
    const door = machine();
    const listener = vi.fn();
    door.subscribe(listener)[Symbol.dispose]();
    door.enter({ status: "shut" });
    expect(listener).not.toHaveBeenCalled();
  });
});

describe("Listeners", () => {
  it("calls the others though one throws, and publishes its error (D14)", () => {
    const listeners = new Listeners<[number]>();
    const error = new Error("mine");
    const calls: number[] = [];
    listeners.add(() => {
      throw error;
    });
    listeners.add((value) => calls.push(value));
    const heard: unknown[] = [];
    const hear = (message: unknown) => heard.push(message);
    subscribe("sd:listener:failed", hear);
    listeners.emit(7);
    unsubscribe("sd:listener:failed", hear);
    expect(calls).toEqual([7]);
    expect(heard).toEqual([{ error }]);
  });

  it("warns of an error that nobody hears", () => {
    const warn = vi.spyOn(process, "emitWarning").mockImplementation(() => {});
    const listeners = new Listeners<[]>();
    const error = new Error("unheard");
    listeners.add(() => {
      throw error;
    });
    listeners.emit();
    expect(warn).toHaveBeenCalledWith(error);
    warn.mockRestore();
  });

  it("counts one function twice if it was added twice, and does not call who came in meanwhile", () => {
    const listeners = new Listeners<[]>();
    const late = vi.fn();
    const listener = vi.fn(() => void listeners.add(late));
    const first = listeners.add(listener);
    listeners.add(listener);
    first[Symbol.dispose]();
    expect(listeners.size).toBe(1);
    listeners.emit();
    expect(listener).toHaveBeenCalledTimes(1);
    expect(late).not.toHaveBeenCalled();
    listeners.clear();
    expect(listeners.size).toBe(0);
  });
});
