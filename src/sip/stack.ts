// The SIP stack: transports below, transactions inside, one handler above (RFC 3261 sections 17 and 18).

import type { SipStack, StackOptions } from './ports.ts'

export type {
  ClientHandler,
  ClientTransaction,
  ServerState,
  ServerTransaction,
  SipStack,
  SipTimers,
  StackCounts,
  StackHandler,
  StackLimits,
  StackOptions,
  TimerPort,
  TransactionEnd
} from './ports.ts'
export { stackLimits } from './ports.ts'

export declare function createStack(options: StackOptions): SipStack
