import { type Clock, systemClock } from "@sd/core";

/** What goes through states and tells of it: a registration, a discovery, a lease. */
export interface Stateful<State extends { readonly status: string }> {
  readonly state: State;
  subscribe(listener: (state: State) => void): Disposable;
}

/** A state, and when it was entered. */
export interface RecordedState<State> {
  readonly state: State;
  /** Milliseconds of the recording's clock. */
  readonly at: number;
}

export interface RecordOptions {
  /** What tells the time. Default: the machine's. */
  readonly clock?: Clock;
}

/** The states of one subject since the recording began, the one that it was in then first. */
export interface StateRecording<State extends { readonly status: string }> extends Disposable {
  readonly states: readonly RecordedState<State>[];
  /** Their names, repeats left out: the way it went. */
  readonly statuses: readonly State["status"][];
}

/** Begins to record the states of `subject`, every one and in order, until disposed. */
export function recordStates<State extends { readonly status: string }>(
  subject: Stateful<State>,
  { clock = systemClock }: RecordOptions = {},
): StateRecording<State> {
  const states: RecordedState<State>[] = [];
  const record = (state: State): void => void states.push({ state, at: clock.now() });
  record(subject.state);
  const subscription = subject.subscribe(record);
  return {
    states,
    get statuses() {
      const all = states.map(({ state }) => state.status);
      return all.filter((status, index) => status !== all[index - 1]);
    },
    [Symbol.dispose]: () => subscription[Symbol.dispose](),
  };
}
