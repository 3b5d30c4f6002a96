import { describe, expect, it } from '@jest/globals'
import {
  answerEvent,
  clientInvite,
  clientInviteEvents,
  clientInviteStates,
  clientOther,
  clientOtherEvents,
  clientOtherStates,
  serverInvite,
  serverInviteEvents,
  serverInviteStates,
  serverOther,
  serverOtherEvents,
  serverOtherStates
} from '../../src/sip/transaction.ts'
import type { Row, Table } from '../../src/sip/transaction.ts'

/** The rows that do or change anything, one a line: `state event -> next: actions`. */
function arrows<State extends string, Event extends string>(
  table: Table<State, Event>,
  states: readonly State[],
  events: readonly Event[]
): readonly string[] {
  return states.flatMap(state =>
    events.flatMap(event => {
      const row: Row<State> = table[state][event]
      if (row.next === state && row.actions.length === 0) return []
      return [`${state} ${event} -> ${row.next}: ${row.actions.join(' ')}`]
    })
  )
}

describe('the transaction machines, arrow by arrow', () => {
  it('client INVITE follows RFC 3261 figure 5 with RFC 6026 figure 3, and nothing else', () => {
    expect(arrows(clientInvite, clientInviteStates, clientInviteEvents)).toEqual([
      'calling 1xx -> proceeding: stop up cancel',
      'calling 2xx -> accepted: stop up done start.M',
      'calling 3-6xx -> completed: stop ack up done start.D',
      'calling A -> calling: send again.A',
      'calling B -> terminated: stop timeout',
      'calling broken -> terminated: stop transport',
      'proceeding 1xx -> proceeding: up',
      'proceeding 2xx -> accepted: stop up done start.M',
      'proceeding 3-6xx -> completed: stop ack up done start.D',
      'proceeding cancel -> terminated: stop timeout',
      'proceeding broken -> terminated: stop transport',
      'completed 3-6xx -> completed: ack',
      'completed D -> terminated: ',
      'completed broken -> terminated: stop',
      'accepted 2xx -> accepted: stray',
      'accepted M -> terminated: '
    ])
  })

  it('client non-INVITE follows RFC 3261 figure 6, and nothing else', () => {
    expect(arrows(clientOther, clientOtherStates, clientOtherEvents)).toEqual([
      'trying 1xx -> proceeding: up',
      'trying 2xx -> completed: stop up done start.K',
      'trying 3-6xx -> completed: stop up done start.K',
      'trying E -> trying: send again.E',
      'trying F -> terminated: stop timeout',
      'trying broken -> terminated: stop transport',
      'proceeding 1xx -> proceeding: up',
      'proceeding 2xx -> completed: stop up done start.K',
      'proceeding 3-6xx -> completed: stop up done start.K',
      'proceeding E -> proceeding: send slow.E',
      'proceeding F -> terminated: stop timeout',
      'proceeding broken -> terminated: stop transport',
      'completed K -> terminated: '
    ])
  })

  it('server INVITE follows RFC 6026 figure 5, and nothing else', () => {
    expect(arrows(serverInvite, serverInviteStates, serverInviteEvents)).toEqual([
      'proceeding again -> proceeding: send',
      'proceeding 1xx -> proceeding: stop send',
      'proceeding 2xx -> accepted: stop send done start.L',
      'proceeding 3-6xx -> completed: stop send start.G start.H',
      'proceeding trying -> proceeding: trying',
      'proceeding broken -> terminated: stop transport',
      'completed again -> completed: send',
      'completed ack -> confirmed: stop done start.I',
      'completed G -> completed: send again.G',
      'completed H -> terminated: stop timeout',
      'completed broken -> completed: transport',
      'accepted 2xx -> accepted: send',
      'accepted ack -> accepted: ack-up',
      'accepted L -> terminated: ',
      'accepted broken -> accepted: transport',
      'confirmed I -> terminated: '
    ])
  })

  it('server non-INVITE follows RFC 3261 figure 8, and nothing else', () => {
    expect(arrows(serverOther, serverOtherStates, serverOtherEvents)).toEqual([
      'trying 1xx -> proceeding: send',
      'trying 2xx -> completed: stop send done start.J',
      'trying 3-6xx -> completed: stop send done start.J',
      'trying F -> terminated: stop timeout',
      'trying broken -> terminated: stop transport',
      'proceeding again -> proceeding: send',
      'proceeding 1xx -> proceeding: send',
      'proceeding 2xx -> completed: stop send done start.J',
      'proceeding 3-6xx -> completed: stop send done start.J',
      'proceeding F -> terminated: stop timeout',
      'proceeding broken -> terminated: stop transport',
      'completed again -> completed: send',
      'completed J -> terminated: ',
      'completed broken -> terminated: stop transport'
    ])
  })

  it('an answer is provisional, success or refusal by its hundreds', () => {
    expect([100, 199, 200, 299, 300, 486, 699].map(answerEvent)).toEqual([
      '1xx',
      '1xx',
      '2xx',
      '2xx',
      '3-6xx',
      '3-6xx',
      '3-6xx'
    ])
  })
})
