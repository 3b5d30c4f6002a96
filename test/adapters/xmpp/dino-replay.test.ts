// What Dino 0.4.2 has said in calls (fixtures/dino, recorded behind Prosody), said again to our calls: what we answer.

import { describe, expect, it } from '@jest/globals'
import { readFileSync, readdirSync } from 'node:fs'
import { join } from 'node:path'
import parse from '@xmpp/xml/lib/parse.js'
import type { Element } from '@xmpp/xml'
import type { LegRef, Release } from '../../../src/session/model.ts'
import { openIsland, replied, sdp, settle, shape } from '../../support/xmpp-island.ts'
import type { Island } from '../../support/xmpp-island.ts'

const folder = join(import.meta.dirname, 'fixtures/dino')
const recordings = readdirSync(folder).map(name => name.slice(0, -'.xml'.length))
const dino = 'user@island.example/dino.test'

/** Dino's own stanzas of a recording, in order, with the names that this island has. */
function wordsOf(name: string): readonly Element[] {
  const text = readFileSync(join(folder, `${name}.xml`), 'utf8')
    .replaceAll('bob@ott.test', 'user@island.example')
    .replaceAll('ims.ott.test', 'gw.island.example')
    .replace(/<!--.*?-->/s, '')
    .trim()
  const stanzas = parse(text)
    .getChildElements()
    .filter(each => each.is('client'))
    .flatMap(each => each.getChildElements())
  return stanzas.filter(({ attrs }) => attrs['type'] !== 'result')
}

interface Replay {
  readonly start?: 'A' | 'B'
  /** What the core does after each of Dino's stanzas, the 0th before them. */
  readonly core: Readonly<Record<number, (island: Island, leg: () => LegRef) => void>>
}
const answer = (island: Island, leg: LegRef): void =>
  island.calls.answer(leg, { sdp: sdp({ setup: 'passive' }), connected: null })
const end = (cause: Release['cause']) => (island: Island, leg: () => LegRef) =>
  island.calls.end(leg(), { cause, from: 'callee' })

/** Each stanza, then the core's act; IQs must be taken. */
async function replay(name: string, { start = 'A', core }: Replay) {
  const island = openIsland({ config: { start }, sid: 'id-2' })
  let invited: LegRef | null = null
  const leg = (): LegRef => invited ?? island.inbox.all('offered')[0]!.leg
  const act = async (at: number): Promise<void> => {
    core[at]?.(island, leg)
    await settle()
  }
  if (name.startsWith('called')) invited = island.invite()
  await settle()
  await act(0)
  for (const [at, stanza] of wordsOf(name).entries()) {
    if (stanza.is('iq')) expect(replied(island.calls.onIq(stanza) as Element)).toBe('result')
    else expect(island.calls.onMessage(stanza)).toBe(true)
    await settle()
    await act(at + 1)
  }
  const told = island.inbox.heard.filter(({ type }) => type !== 'learned')
  return {
    island,
    said: island.said(),
    told: told.map(({ type }) => type),
    reason: island.inbox.all('ended')[0]?.reason
  }
}

const played = new Set<string>()
const play = (name: string, how: Replay) => {
  played.add(name)
  return replay(name, how)
}

describe('Dino calls', () => {
  const ring = (island: Island, leg: () => LegRef): void => {
    island.calls.alert(leg())
    answer(island, leg())
  }

  it('and hangs up: answered in its own shape, without bundle, SDES, packet time or an open setup', async () => {
    const { island, said, told, reason } = await play('calls-and-hangs-up', { core: { 2: ring } })
    expect(said).toEqual(['proceed', 'session-info ringing', 'session-accept', 'finish(success)'])
    expect(island.link.sent[0]!.attrs['to']).toBe(dino)
    expect(told).toEqual(['offered', 'acknowledged', 'ended'])
    expect(reason).toMatchObject({ cause: 'normal' })
    const [offered] = island.inbox.all('offered')
    expect(shape(offered!.call.sdp)).toEqual(['audio sendrecv'])
    expect(offered!.call.sdp).toMatch(/^a=fingerprint:/m)
    expect(offered!.call.sdp).not.toMatch(/^a=(crypto|group)/m)
    const accept = island.jingle('session-accept')
    expect(accept.groups).toEqual([])
    const [content] = accept.contents
    expect([content!.name, content!.creator]).toEqual(['audio', 'initiator'])
    expect(content!.description!.toString()).not.toMatch(/ptime|encryption/)
    expect(content!.transport!.getChild('fingerprint')!.attrs['setup']).toBe('passive')
  })

  it('and hangs up, the hub offering first (start B): proceed comes with the answer', async () => {
    const core = { 1: ring }
    const { said, told, reason } = await play('calls-and-hangs-up', { start: 'B', core })
    expect(said).toEqual(['ringing', 'proceed', 'session-accept', 'finish(success)'])
    expect(told).toEqual(['offered', 'acknowledged', 'ended'])
    expect(reason).toMatchObject({ cause: 'normal' })
  })

  it('and is hung up on: session-terminate, and finish for the devices that heard the proposal', async () => {
    const core = {
      2: (island: Island, leg: () => LegRef): void => {
        ring(island, leg)
        end('normal')(island, leg)
      }
    }
    const { said, told } = await play('calls-and-is-hung-up-on', { core })
    expect(said.slice(-3)).toEqual(['session-accept', 'session-terminate(success)', 'finish(success)'])
    expect(told).toEqual(['offered'])
  })

  it('and the other side is busy: a reject where the hub has asked first, else the end of the session', async () => {
    const asked = await play('calls-and-is-rejected', { start: 'B', core: { 1: end('busy') } })
    expect(asked.said).toEqual(['reject(busy)'])
    const begun = await replay('calls-and-hangs-up', { core: { 2: end('busy') } }).catch((error: unknown) => error)
    // Its own session-terminate comes after ours and is taken without a word.
    expect(begun).toMatchObject({ said: ['proceed', 'session-terminate(busy)', 'finish(busy)'] })
  })

  it.each(['A', 'B'] as const)('and gives up before it begins (start %s): nothing is left', async start => {
    const { island, told, reason } = await play('calls-and-gives-up', { start, core: {} })
    expect(told).toEqual(start === 'A' ? [] : ['offered', 'ended'])
    if (start === 'B') expect(reason).toMatchObject({ cause: 'cancelled' })
    expect([island.calls.count, island.clock.waiting]).toEqual([0, 0])
  })
})

describe('Dino is called', () => {
  it('and accepts, the caller hangs up', async () => {
    const { island, said, told } = await play('called-and-accepts', { core: { 2: end('normal') } })
    expect(said).toEqual(['propose', 'session-initiate', 'session-terminate(success)', 'finish(success)'])
    expect(island.link.sent.map(({ attrs }) => attrs['to'])).toEqual(['user@island.example', dino, dino, dino])
    expect(told).toEqual(['answered'])
    const [answered] = island.inbox.all('answered')
    expect(answered!.party).toMatchObject({ presented: 'tel:+49301' })
    expect(shape(answered!.sdp)).toEqual(['audio sendrecv'])
    expect(answered!.sdp).toMatch(/^a=setup:active/m)
  })

  it('and hangs up itself', async () => {
    const { said, told, reason } = await play('called-and-hangs-up', { core: {} })
    expect(said).toEqual(['propose', 'session-initiate', 'finish(success)'])
    expect(told).toEqual(['answered', 'ended'])
    expect(reason).toMatchObject({ cause: 'normal' })
  })

  it('and says nothing while it rings: taken to ring after a moment', async () => {
    const island = openIsland({ sid: 'id-2' })
    island.invite()
    await island.clock.pass(3_100)
    expect(island.inbox.all('alerting')).toHaveLength(1)
  })

  it('and rejects without a reason: busy', async () => {
    const { said, told, reason } = await play('called-and-rejects', { core: {} })
    expect(said).toEqual(['propose'])
    expect(told).toEqual(['ended'])
    expect(reason).toMatchObject({ cause: 'busy' })
  })

  it('and the caller gives up: retracted', async () => {
    const { said, told } = await play('called-and-retracted', { core: { 0: end('cancelled') } })
    expect(said).toEqual(['propose', 'retract(cancel)'])
    expect(told).toEqual([])
  })

  it('every recording has been played', () => {
    expect([...played].sort()).toEqual([...recordings].sort())
  })
})
