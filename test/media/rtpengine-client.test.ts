import { createSocket } from 'node:dgram'
import { once } from 'node:events'
import { afterEach, describe, expect, it, jest } from '@jest/globals'
import { ngLimits, RtpengineClient } from '../../src/media/rtpengine-client.ts'
import { eventually } from '../support/until.ts'

const endings: (() => unknown)[] = []
afterEach(async () => {
  for (const end of endings.splice(0)) await end()
})

type Reply = (request: string, send: (text: string) => void) => void

/** A daemon played by hand: hears `cookie body`, sends what it is told to. */
async function daemon(reply: Reply) {
  const heard: string[] = []
  const socket = createSocket('udp4').bind(0, '127.0.0.1')
  await once(socket, 'listening')
  endings.push(() => new Promise<void>(resolve => void socket.close(() => resolve())))
  socket.on('message', (message, { port, address }) => {
    const [cookie = '', ...rest] = message.toString().split(' ')
    heard.push(rest.join(' '))
    reply(rest.join(' '), text => socket.send(`${cookie} ${text}`, port, address))
  })
  const client = new RtpengineClient({ host: '127.0.0.1', port: socket.address().port }, 150)
  endings.push(() => client.close())
  return { client, heard, socket }
}

describe('the strict rtpengine client', () => {
  it('sends lists as lists and gives the reply back', async () => {
    const { client, heard } = await daemon((_, send) => send('d6:result2:oke'))
    expect(await client.ask('offer', { 'rtcp-mux': ['demux'], TOS: 184 })).toEqual({ result: 'ok' })
    expect(heard[0]).toContain('8:rtcp-muxl5:demuxe')
    expect(heard[0]).toContain('7:command5:offer')
  })

  it("turns a refusal into an error with the daemon's words", async () => {
    const { client } = await daemon((_, send) => send('d12:error-reason15:Unknown call-id6:result5:errore'))
    await expect(client.ask('query')).rejects.toMatchObject({
      code: 'HUB_RTPENGINE_REFUSED',
      retryable: false,
      facts: { why: 'Unknown call-id' }
    })
  })

  it('takes pong for a ping only', async () => {
    const { client } = await daemon((_, send) => send('d6:result4:ponge'))
    expect(await client.ask('ping')).toEqual({ result: 'pong' })
    await expect(client.ask('offer')).rejects.toMatchObject({ code: 'HUB_RTPENGINE_REFUSED' })
  })

  it('gives up in time when nobody answers', async () => {
    const { client } = await daemon(() => {})
    await expect(client.ask('ping')).rejects.toMatchObject({ code: 'HUB_RTPENGINE_TIMEOUT', retryable: true })
  })

  it('survives late, foreign and broken replies, and says nothing on the console', async () => {
    const spoken = jest.spyOn(console, 'log').mockImplementation(() => {})
    endings.push(() => spoken.mockRestore())
    let late: (() => void) | null = null
    const { client, socket, heard } = await daemon((_, send) => {
      if (late === null) late = () => send('d6:result2:oke')
      else send('d6:result2:oke')
    })
    await expect(client.ask('ping')).rejects.toMatchObject({ code: 'HUB_RTPENGINE_TIMEOUT' })
    ;(late as (() => void) | null)?.()
    expect(await client.ask('offer')).toEqual({ result: 'ok' })
    expect(heard).toHaveLength(2)
    expect(socket.address().port).toBeGreaterThan(0)
    const broken = await daemon((_, send) => {
      send('not bencode')
      send('i42e')
    })
    await expect(broken.client.ask('offer')).rejects.toMatchObject({ code: expect.stringMatching(/^HUB_RTPENGINE_/) })
    expect(spoken).not.toHaveBeenCalled()
  })

  it('refuses what no datagram carries, before sending it', async () => {
    const { client, heard } = await daemon((_, send) => send('d6:result2:oke'))
    await expect(client.ask('offer', { sdp: 'x'.repeat(ngLimits.datagramBytesMax) })).rejects.toMatchObject({
      code: 'HUB_LIMIT'
    })
    await client.ask('offer', { sdp: 'small' })
    await eventually('only the small one arrives', () => heard.length === 1)
  })

  it('settles for a host that does not exist, and after it was closed', async () => {
    const client = new RtpengineClient({ host: 'rtpengine.invalid', port: 9 }, 150)
    await expect(client.ask('ping')).rejects.toMatchObject({ code: 'HUB_RTPENGINE_TIMEOUT' })
    client.close()
    client.close()
    await expect(client.ask('ping')).rejects.toMatchObject({ code: 'HUB_MEDIA' })
  })
})
