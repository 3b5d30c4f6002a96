// User agents: a stack with calls on it, each message routed to the call whose dialog it belongs to.

import type { UserAgent, UserAgentOptions } from './call-model.ts'

export type {
  CallEnd,
  CallHandler,
  CallLimits,
  CallState,
  PlaceOptions,
  ProgressOptions,
  Provisional,
  Reoffer,
  ReofferResult,
  RequestResult,
  SipCall,
  UserAgent,
  UserAgentOptions
} from './call-model.ts'
export { callLimits } from './call-model.ts'

export declare function createUserAgent(options: UserAgentOptions): UserAgent
