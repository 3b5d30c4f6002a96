import { describe, expect, it } from '@jest/globals'
import {
  anonymous,
  connectedFields,
  connectedOf,
  endingFields,
  identityFields,
  partyOf,
  plainWords,
  refusalFields,
  toldIn
} from '../../src/nni/headers.ts'
import { shownTo } from '../../src/session/privacy.ts'
import type { Release, Shown } from '../../src/session/model.ts'
import { createHeaders } from '../../src/sip/message.ts'
import { hubFace, trustedPeer, untrustedPeer } from '../support/nni.ts'

const number = 'tel:+441632960083'
const shown = (over: Partial<Shown> = {}): Shown => ({
  asserted: [number],
  presented: number,
  display: null,
  privacy: [],
  ...over
})

describe('text of a peer', () => {
  it('leaves its control characters at the border', () => {
    const headers = createHeaders([['From', '"A\u001b[2J\0n\u0085n\ta" <sip:+441632960083@op.example>;tag=1']])
    expect(partyOf(headers, trustedPeer).display).toBe('A [2J n n a')
    expect(toldIn(['SIP;cause=486;text="a\u0007b"'])[0]?.text).toBe('a b')
  })
})

describe('identities towards a peer', () => {
  it.each(['id', 'user', 'header', 'session'])('a caller with Privacy %s is anonymous to everybody', word => {
    for (const peer of [trustedPeer, untrustedPeer]) {
      const fields = identityFields(shown({ privacy: [word] }), peer, hubFace)
      expect(fields.From).toBe(anonymous)
      expect(fields['Privacy']).toContain('id')
      expect('P-Asserted-Identity' in fields).toBe(peer.trusted)
    }
  })

  it('Privacy none restricts nothing', () => {
    expect(identityFields(shown({ privacy: ['none'] }), trustedPeer, hubFace).From).toContain('+441632960083')
  })

  it('an untrusted peer never sees an asserted identity', () => {
    expect(identityFields(shown(), untrustedPeer, hubFace)).toEqual({
      From: '<sip:+441632960083@hub.example;user=phone>'
    })
    expect(connectedFields(shown(), untrustedPeer, hubFace)).toEqual({})
  })

  it('who answered goes to a trusted caller, with the restriction that came with it', () => {
    expect(connectedFields(shown({ privacy: ['id'] }), trustedPeer, hubFace)).toEqual({
      'P-Asserted-Identity': '<sip:+441632960083@hub.example;user=phone>',
      Privacy: 'id'
    })
  })

  it('a display name cannot break out of its quotes', () => {
    const { From } = identityFields(shown({ display: 'x" <sip:evil@evil>\r\nEvil: 1' }), trustedPeer, hubFace)
    expect(From).toBe('"x\\" <sip:evil@evil> Evil: 1" <sip:+441632960083@hub.example;user=phone>')
  })
})

describe('identities of a peer', () => {
  const headers = createHeaders([
    ['From', '"A" <sip:+441632960083@op;user=phone>;tag=1'],
    ['P-Asserted-Identity', '<sip:+15551234567@op;user=phone>, <tel:+1-555-123-4567>, <sip:ann@op>'],
    ['Privacy', 'ID; critical']
  ])

  it('an assertion of an untrusted peer is nothing', () => {
    expect(partyOf(headers, untrustedPeer)).toEqual({
      asserted: [],
      presented: number,
      display: 'A',
      privacy: ['critical', 'id'],
      trust: 'user'
    })
  })

  it('a trusted peer asserts at most one number and one user, the number first', () => {
    expect(partyOf(headers, trustedPeer).asserted).toEqual(['tel:+15551234567', 'sip:ann@op'])
  })

  it('a withheld number reaches no other side: what the core shows of it has no number for an untrusted viewer', () => {
    const party = partyOf(headers, trustedPeer)
    expect(JSON.stringify(shownTo('user', party))).not.toMatch(/[0-9]{4}|ann/)
  })

  it('who has answered is read without the caller in From', () => {
    const answer = createHeaders([
      ['From', '<sip:anonymous@anonymous.invalid>;tag=1'],
      ['P-Asserted-Identity', '<tel:+4930901820>']
    ])
    expect(connectedOf(answer, trustedPeer)).toMatchObject({ presented: 'tel:+4930901820', privacy: [] })
    expect(connectedOf(answer, untrustedPeer)).toBeNull()
  })
})

describe('Reason', () => {
  it('is read for what we know, garbage ignored', () => {
    expect(
      toldIn(['SIP ;cause=486 ;text="Busy, here"', 'Q.850;cause=17', 'X;cause=1', 'Q.850', 'SIP;cause=abc'])
    ).toEqual([
      { protocol: 'SIP', cause: 486, text: 'Busy, here' },
      { protocol: 'Q.850', cause: 17, text: null }
    ])
  })

  it('is told in a refusal to trusted peers, in BYE and CANCEL to all', () => {
    const release = { cause: 'busy', sip: 486, q850: 17, from: 'callee' } as const
    expect(refusalFields(release, trustedPeer)).toEqual({ Reason: 'Q.850;cause=17' })
    expect(refusalFields(release, untrustedPeer)).toEqual({})
    expect(endingFields(release)).toEqual({ Reason: 'SIP;cause=486, Q.850;cause=17' })
    expect(endingFields({ cause: 'answered-elsewhere', from: 'hub' }).Reason).toMatch(/^SIP;cause=200/)
  })

  it.each([
    'alice@island.example',
    'see matrix.island.example',
    '10.0.0.1 is down',
    '/etc/passwd',
    'a\r\nb',
    'é',
    'x'.repeat(101)
  ])('words that could name somebody or some place stay at home: %s', text => {
    expect(plainWords({ cause: 'internal', text })).toBeNull()
  })

  it('words of the other side that hold a number stay at home', () => {
    for (const text of ['33145678900', 'call me at +33 1-45 (67)'])
      expect(plainWords({ cause: 'normal', text, from: 'caller' } as Release)).toBeNull()
    expect(
      plainWords({ cause: 'normal', text: 'back in 15 minutes, room 12345', from: 'caller' } as Release)
    ).not.toBeNull()
  })

  it('plain words cross', () => {
    expect(plainWords({ cause: 'not-found', text: 'nobody has the number +4930901820' })).not.toBeNull()
  })
})
