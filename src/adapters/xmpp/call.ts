// One call over XMPP as a small total machine: `step(call, event)` for every phase and every event. Pure.

import { refuse, step } from './call-acts.ts'
import { talking } from './call-change.ts'
import { asking, gathering, offered, proceeded, proposed } from './call-in.ts'
import type { Call, CallEvent, Step } from './call-model.ts'
import { initiated, proposing } from './call-out.ts'

export function stepCall(call: Call, event: CallEvent): Step {
  switch (call.phase) {
    case 'proposing':
      return proposing(call, event)
    case 'initiating':
    case 'pending':
      return initiated(call, event)
    case 'proposed':
      return proposed(call, event)
    case 'asking':
      return asking(call, event)
    case 'proceeded':
      return proceeded(call, event)
    case 'gathering':
      return gathering(call, event)
    case 'offered':
      return offered(call, event)
    case 'active':
      return talking(call, event)
    case 'ended':
      return event.type === 'jingle' ? step(call, refuse('item-not-found', 'unknown-session')) : step(call)
  }
}
