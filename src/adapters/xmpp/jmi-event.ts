// What a message of XEP-0353 means to a call that is there, and who may say it. Pure.

import type { Reason } from '../../session/model.ts'
import type { CallEvent, Identity } from './call-model.ts'
import type { Role } from './jingle.ts'
import type { Jmi } from './jmi.ts'

/** Of the words before a session, the caller says some and the called others. */
const saidBy: Readonly<Record<Role, ReadonlySet<Jmi['kind']>>> = {
  initiator: new Set(['retract', 'finish', 'reject']),
  responder: new Set(['ringing', 'proceed', 'reject', 'finish'])
}

export function mayHear(id: Identity, { kind }: Jmi, from: string): boolean {
  const theirs: Role = id.role === 'initiator' ? 'responder' : 'initiator'
  if (!saidBy[theirs].has(kind)) return false
  // The caller's other devices have no say in a call that one of them makes.
  return id.role === 'initiator' || id.peer === from
}

export function eventOf({ kind, reason, tieBreak }: Jmi, from: string): CallEvent | null {
  switch (kind) {
    case 'ringing':
      return { type: 'jmi.ringing', from }
    case 'proceed':
      return { type: 'jmi.proceed', from }
    case 'reject':
      return tieBreak ? { type: 'jmi.crossed', told: true } : { type: 'jmi.reject', from, reason }
    case 'retract':
      return { type: 'jmi.retract', from, reason }
    case 'finish':
      return { type: 'jmi.finish', from, reason }
    case 'propose':
    case 'accept':
      return null
  }
}

export function mediaRefusal({ media }: Jmi): Reason | null {
  return media.length > 0
    ? null
    : { cause: 'incompatible-media', sip: 501, text: 'only sound and pictures can be called with' }
}
