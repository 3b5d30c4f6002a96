import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { afterEach, describe, expect, it } from '@jest/globals'
import { poolLimits, RtpenginePool } from '../../src/media/rtpengine-pool.ts'
import { HandClock, silentLog } from '../support/media.ts'
import { eventually } from '../support/until.ts'

const endings: (() => unknown)[] = []
afterEach(async () => {
  for (const end of endings.splice(0)) await end()
})

/** Answers pings while `deaf` is false. */
async function daemon() {
  const state = { deaf: false, pings: 0, port: 0 }
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  state.port = socket.address().port
  endings.push(() => new Promise<void>(resolve => void socket.close(() => resolve())))
  socket.on('message', (message, { port, address }) => {
    state.pings++
    if (!state.deaf) socket.send(`${message.toString().split(' ')[0]} d6:result4:ponge`, port, address)
  })
  return state
}

async function poolOf(...daemons: readonly { port: number }[]) {
  const clock = new HandClock()
  const gone: string[] = []
  const addresses = daemons.map(({ port }) => ({ host: '127.0.0.1', port }))
  const pool = new RtpenginePool(addresses, { log: silentLog, clock })
  endings.push(() => pool.close())
  await pool.start(node => gone.push(node.name))
  return { pool, clock, gone }
}

describe('the pool of rtpengine daemons', () => {
  it('takes the one with the fewest calls, and among equals always the same for a session', async () => {
    const { pool } = await poolOf(await daemon(), await daemon(), await daemon())
    const first = pool.pick('session')
    expect(pool.pick('session')).toBe(first)
    expect(pool.pick('session', first === null ? [] : [first])).not.toBe(first)
    for (const node of pool.nodes) if (node !== first) node.calls = 1
    for (let i = 0; i < 10; i++) expect(pool.pick(`other ${i}`)).toBe(first)
    if (first !== null) first.calls = 2
    expect(pool.pick('session')).not.toBe(first)
  })

  it('spreads sessions over equals', async () => {
    const { pool } = await poolOf(await daemon(), await daemon())
    expect(new Set(Array.from({ length: 50 }, (_, i) => pool.pick(`session ${i}`)?.name)).size).toBe(2)
  })

  it('leaves out a daemon that does not answer, tells when it is gone for good, and takes it back', async () => {
    const [well, ill] = [await daemon(), await daemon()]
    ill.deaf = true
    const { pool, clock, gone } = await poolOf(well, ill)
    const name = `127.0.0.1:${ill.port}`
    expect(pool.nodes.map(({ alive }) => alive)).toEqual([true, false])
    for (let i = 0; i < 10; i++) expect(pool.pick(`session ${i}`)?.name).not.toBe(name)
    expect(gone).toEqual([])
    clock.move(poolLimits.goneAfterMs)
    await eventually('it is given up', () => gone.includes(name), 10_000)
    ill.deaf = false
    await eventually('it is back', () => (clock.move(poolLimits.pingMs), pool.nodes[1]?.alive === true), 10_000)
  }, 30_000)

  it('has nobody to offer when all are dead, and starts all the same', async () => {
    const ill = await daemon()
    ill.deaf = true
    const { pool } = await poolOf(ill)
    expect(pool.pick('session')).toBeNull()
    expect(ill.pings).toBe(poolLimits.pingTries)
  })

  it('asks a suspect again at once', async () => {
    const well = await daemon()
    const { pool } = await poolOf(well)
    const [node] = pool.nodes
    if (node === undefined) throw new Error('no node')
    pool.suspect(node)
    expect(node.alive).toBe(false)
    await eventually('it has answered', () => node.alive)
  })
})
