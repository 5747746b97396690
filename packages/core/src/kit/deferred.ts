/** A promise with its two ends outside: Node 20 has no `Promise.withResolvers`. */
export interface Deferred<T> {
  readonly promise: Promise<T>;
  resolve(value: T): void;
  reject(reason: unknown): void;
}

export function deferred<T>(): Deferred<T> {
  let resolve!: (value: T) => void;
  let reject!: (reason: unknown) => void;
  const promise = new Promise<T>((onResolve, onReject) => {
    resolve = onResolve;
    reject = onReject;
  });
  return { promise, resolve, reject };
}

/**
 * Gives `work` to be called any number of times: it runs at the first, and all get its promise. That is known before
 * the work begins: whom it tells of itself may call as well.
 */
export function once<T>(work: () => Promise<T>): () => Promise<T> {
  let result: Promise<T> | undefined;
  return () => {
    if (!result) {
      const { promise, resolve, reject } = deferred<T>();
      result = promise;
      work().then(resolve, reject);
    }
    return result;
  };
}
