// What is often known at once and sometimes later: a promise that nobody needs costs more than most answers.

/** The value where it is known already, a promise of it where somebody has to be asked. */
export type Soon<T> = T | Promise<T>

/** Goes on with the value: at once where it is there. */
export const whenKnown = <T, R>(soon: Soon<T>, go: (value: T) => Soon<R>): Soon<R> =>
  soon instanceof Promise ? soon.then(go) : go(soon)
