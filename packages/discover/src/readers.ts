import { Mailbox, type Queue, type StateListener } from "@sd/core";
import { type Change, type ChangeListener, ChangeQueue, type Keyed } from "./change.js";
import type { Snapshot } from "./snapshot.js";

/** What is read: a discovery. */
export interface Readable<T> {
  readonly state: { readonly status: string };
  readonly snapshot: Snapshot<T>;
  subscribe(listener: StateListener<{ readonly status: string }>): Disposable;
  onChanges(listener: ChangeListener<T>): Disposable;
}

/** See `Discovery.changes()`. */
export function readChanges<T extends Keyed>(
  source: Readable<T>,
  signal: AbortSignal | undefined,
): AsyncIterableIterator<Change<T>> {
  const queue = new ChangeQueue<T>();
  for (const instance of source.snapshot.instances) queue.put({ type: "added", instance });
  return boxOf(source, queue, (box, changes) => {
    for (const change of changes) box.put(change);
  }).read(signal);
}

/** See `Discovery.snapshots()`. */
export function readSnapshots<T>(
  source: Readable<T>,
  signal: AbortSignal | undefined,
): AsyncIterableIterator<Snapshot<T>> {
  let isNew = source.snapshot.revision > 0;
  const queue: Queue<void, Snapshot<T>> = {
    put() {
      isNew = true;
    },
    take: () => {
      if (!isNew) return undefined;
      isNew = false;
      return source.snapshot;
    },
    clear() {
      isNew = false;
    },
  };
  return boxOf(source, queue, (box) => box.put()).read(signal);
}

/** A mailbox that is fed with every change, and ends with its source, whatever it still holds. */
function boxOf<T, News, Item>(
  source: Readable<T>,
  queue: Queue<News, Item>,
  feed: (box: Mailbox<News, Item>, changes: readonly Change<T>[]) => void,
): Mailbox<News, Item> {
  const box = new Mailbox<News, Item>(queue, () => {
    fed[Symbol.dispose]();
    ended[Symbol.dispose]();
  });
  const fed = source.onChanges((changes) => feed(box, changes));
  const end = (): void => {
    queue.clear();
    box.close();
  };
  const ended = source.subscribe(({ status }) => {
    if (status === "closed") end();
  });
  if (source.state.status === "closed") end();
  return box;
}
