// The four transaction machines of RFC 3261 section 17 with RFC 6026: state and event to state and actions, pure.

/** Two slots in the runtime: retransmission (A, E, G), deadline (all others); starting one replaces the slot's. */
export type Timer = 'A' | 'B' | 'D' | 'E' | 'F' | 'G' | 'H' | 'I' | 'J' | 'K' | 'L' | 'M' | 'trying' | 'cancel'

/**
 * What a machine asks of its runtime.
 *  send        the request or the last response, again or for the first time (nothing where there is none yet)
 *  trying      100 in the server's own name
 *  ack         ACK to the refusal, again or for the first time
 *  up          this response to the user; `stray`: a 2xx beyond the first; `ack-up`: this ACK
 *  stop        both timers
 *  start.X     timer X from its first interval; `again.X` doubled (E and G up to T2); `slow.E` T2
 *  done, timeout, transport   tell the user how it ended, once, and let go of it
 */
export type Action =
  | 'send'
  | 'trying'
  | 'ack'
  | 'up'
  | 'stray'
  | 'ack-up'
  | 'cancel'
  | 'stop'
  | `start.${Timer}`
  | 'again.A'
  | 'again.E'
  | 'again.G'
  | 'slow.E'
  | 'done'
  | 'timeout'
  | 'transport'

export interface Row<State extends string> {
  readonly next: State
  /** All of them; those that start a timer come last. */
  readonly actions: readonly Action[]
  /** The same for the runtime: what to do, then which timers to start. */
  readonly steps: readonly Exclude<Action, `start.${Timer}`>[]
  readonly timers: readonly Timer[]
}
export type Table<State extends string, Event extends string> = {
  readonly [state in State]: { readonly [event in Event]: Row<State> }
}

const isStart = (action: Action): action is `start.${Timer}` => action.startsWith('start.')

const row = <const State extends string>(next: State, ...actions: readonly Action[]): Row<State> => ({
  next,
  actions,
  steps: actions.filter(action => !isStart(action)),
  timers: actions.filter(isStart).map(action => action.slice('start.'.length) as Timer)
})

export const clientInviteStates = ['calling', 'proceeding', 'completed', 'accepted', 'terminated'] as const
export type ClientInviteState = (typeof clientInviteStates)[number]
export const clientInviteEvents = ['1xx', '2xx', '3-6xx', 'A', 'B', 'D', 'M', 'cancel', 'broken'] as const
export type ClientInviteEvent = (typeof clientInviteEvents)[number]

const ignoredByClientInvite = <const State extends ClientInviteState>(state: State) =>
  ({
    '1xx': row(state),
    '2xx': row(state),
    '3-6xx': row(state),
    A: row(state),
    B: row(state),
    D: row(state),
    M: row(state),
    cancel: row(state),
    broken: row(state)
  }) as const

/** RFC 3261 figure 5 as replaced by RFC 6026 figure 3; `cancel` is the 64*T1 of 9.1 after a CANCEL without effect. */
export const clientInvite: Table<ClientInviteState, ClientInviteEvent> = {
  calling: {
    ...ignoredByClientInvite('calling'),
    '1xx': row('proceeding', 'stop', 'up', 'cancel'),
    '2xx': row('accepted', 'stop', 'up', 'done', 'start.M'),
    '3-6xx': row('completed', 'stop', 'ack', 'up', 'done', 'start.D'),
    A: row('calling', 'send', 'again.A'),
    B: row('terminated', 'stop', 'timeout'),
    broken: row('terminated', 'stop', 'transport')
  },
  proceeding: {
    ...ignoredByClientInvite('proceeding'),
    '1xx': row('proceeding', 'up'),
    '2xx': row('accepted', 'stop', 'up', 'done', 'start.M'),
    '3-6xx': row('completed', 'stop', 'ack', 'up', 'done', 'start.D'),
    cancel: row('terminated', 'stop', 'timeout'),
    broken: row('terminated', 'stop', 'transport')
  },
  completed: {
    ...ignoredByClientInvite('completed'),
    '3-6xx': row('completed', 'ack'),
    D: row('terminated'),
    broken: row('terminated', 'stop')
  },
  accepted: {
    ...ignoredByClientInvite('accepted'),
    '2xx': row('accepted', 'stray'),
    M: row('terminated')
  },
  terminated: ignoredByClientInvite('terminated')
}

export const clientOtherStates = ['trying', 'proceeding', 'completed', 'terminated'] as const
export type ClientOtherState = (typeof clientOtherStates)[number]
export const clientOtherEvents = ['1xx', '2xx', '3-6xx', 'E', 'F', 'K', 'broken'] as const
export type ClientOtherEvent = (typeof clientOtherEvents)[number]

const ignoredByClientOther = <const State extends ClientOtherState>(state: State) =>
  ({
    '1xx': row(state),
    '2xx': row(state),
    '3-6xx': row(state),
    E: row(state),
    F: row(state),
    K: row(state),
    broken: row(state)
  }) as const

/** RFC 3261 figure 6. */
export const clientOther: Table<ClientOtherState, ClientOtherEvent> = {
  trying: {
    ...ignoredByClientOther('trying'),
    '1xx': row('proceeding', 'up'),
    '2xx': row('completed', 'stop', 'up', 'done', 'start.K'),
    '3-6xx': row('completed', 'stop', 'up', 'done', 'start.K'),
    E: row('trying', 'send', 'again.E'),
    F: row('terminated', 'stop', 'timeout'),
    broken: row('terminated', 'stop', 'transport')
  },
  proceeding: {
    ...ignoredByClientOther('proceeding'),
    '1xx': row('proceeding', 'up'),
    '2xx': row('completed', 'stop', 'up', 'done', 'start.K'),
    '3-6xx': row('completed', 'stop', 'up', 'done', 'start.K'),
    E: row('proceeding', 'send', 'slow.E'),
    F: row('terminated', 'stop', 'timeout'),
    broken: row('terminated', 'stop', 'transport')
  },
  completed: { ...ignoredByClientOther('completed'), K: row('terminated') },
  terminated: ignoredByClientOther('terminated')
}

export const serverInviteStates = ['proceeding', 'completed', 'accepted', 'confirmed', 'terminated'] as const
export type ServerInviteState = (typeof serverInviteStates)[number]
/** `again` is the request once more; `1xx` to `3-6xx` are the user's answers. */
export const serverInviteEvents = [
  'again',
  '1xx',
  '2xx',
  '3-6xx',
  'ack',
  'G',
  'H',
  'I',
  'L',
  'trying',
  'broken'
] as const
export type ServerInviteEvent = (typeof serverInviteEvents)[number]

const ignoredByServerInvite = <const State extends ServerInviteState>(state: State) =>
  ({
    again: row(state),
    '1xx': row(state),
    '2xx': row(state),
    '3-6xx': row(state),
    ack: row(state),
    G: row(state),
    H: row(state),
    I: row(state),
    L: row(state),
    trying: row(state),
    broken: row(state)
  }) as const

/**
 * RFC 3261 figure 7 as replaced by RFC 6026 figure 5. One departure: an answer that cannot be sent ends `proceeding`
 * (as in RFC 3261 itself), since nothing else would once the user has let go.
 */
export const serverInvite: Table<ServerInviteState, ServerInviteEvent> = {
  proceeding: {
    ...ignoredByServerInvite('proceeding'),
    again: row('proceeding', 'send'),
    '1xx': row('proceeding', 'stop', 'send'),
    '2xx': row('accepted', 'stop', 'send', 'done', 'start.L'),
    '3-6xx': row('completed', 'stop', 'send', 'start.G', 'start.H'),
    trying: row('proceeding', 'trying'),
    broken: row('terminated', 'stop', 'transport')
  },
  completed: {
    ...ignoredByServerInvite('completed'),
    again: row('completed', 'send'),
    ack: row('confirmed', 'stop', 'done', 'start.I'),
    G: row('completed', 'send', 'again.G'),
    H: row('terminated', 'stop', 'timeout'),
    broken: row('completed', 'transport')
  },
  accepted: {
    ...ignoredByServerInvite('accepted'),
    '2xx': row('accepted', 'send'),
    ack: row('accepted', 'ack-up'),
    L: row('terminated'),
    broken: row('accepted', 'transport')
  },
  confirmed: { ...ignoredByServerInvite('confirmed'), I: row('terminated') },
  terminated: ignoredByServerInvite('terminated')
}

export const serverOtherStates = ['trying', 'proceeding', 'completed', 'terminated'] as const
export type ServerOtherState = (typeof serverOtherStates)[number]
export const serverOtherEvents = ['again', '1xx', '2xx', '3-6xx', 'F', 'J', 'broken'] as const
export type ServerOtherEvent = (typeof serverOtherEvents)[number]

const ignoredByServerOther = <const State extends ServerOtherState>(state: State) =>
  ({
    again: row(state),
    '1xx': row(state),
    '2xx': row(state),
    '3-6xx': row(state),
    F: row(state),
    J: row(state),
    broken: row(state)
  }) as const

/** RFC 3261 figure 8, with F for a user that never answers: the client has given up by then (RFC 4320, 4.2). */
export const serverOther: Table<ServerOtherState, ServerOtherEvent> = {
  trying: {
    ...ignoredByServerOther('trying'),
    '1xx': row('proceeding', 'send'),
    '2xx': row('completed', 'stop', 'send', 'done', 'start.J'),
    '3-6xx': row('completed', 'stop', 'send', 'done', 'start.J'),
    F: row('terminated', 'stop', 'timeout'),
    broken: row('terminated', 'stop', 'transport')
  },
  proceeding: {
    ...ignoredByServerOther('proceeding'),
    again: row('proceeding', 'send'),
    '1xx': row('proceeding', 'send'),
    '2xx': row('completed', 'stop', 'send', 'done', 'start.J'),
    '3-6xx': row('completed', 'stop', 'send', 'done', 'start.J'),
    F: row('terminated', 'stop', 'timeout'),
    broken: row('terminated', 'stop', 'transport')
  },
  completed: {
    ...ignoredByServerOther('completed'),
    again: row('completed', 'send'),
    J: row('terminated'),
    broken: row('terminated', 'stop', 'transport')
  },
  terminated: ignoredByServerOther('terminated')
}

/** What an answer's status is to a machine. */
export const answerEvent = (status: number): '1xx' | '2xx' | '3-6xx' =>
  status < 200 ? '1xx' : status < 300 ? '2xx' : '3-6xx'
