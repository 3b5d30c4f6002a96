// XMPP on bare sockets, without a library and without parsing XML: a component that echoes, a client that asks much.

import { createHash } from 'node:crypto'
import { connect } from 'node:net'
import type { Socket } from 'node:net'

const waitMs = 20_000

async function open(host: string, port: number): Promise<Socket> {
  const socket = connect({ host, port, noDelay: true })
  socket.setEncoding('utf8')
  await new Promise<void>((done, failed) => socket.once('connect', done).once('error', failed))
  return socket
}

/** Everything up to and with the first thing that matches. */
function read(socket: Socket, pattern: RegExp): Promise<RegExpExecArray> {
  return new Promise((done, failed) => {
    let text = ''
    const timer = setTimeout(() => end(() => failed(new Error(`no ${pattern} in ${text}`))), waitMs)
    const heard = (chunk: string): void => {
      text += chunk
      const found = pattern.exec(text)
      if (found !== null) end(() => done(found))
    }
    const closed = (): void => end(() => failed(new Error(`closed after ${text}`)))
    const end = (then: () => void): void => {
      clearTimeout(timer)
      socket.off('data', heard).off('close', closed)
      then()
    }
    socket.on('data', heard).on('close', closed)
  })
}

const attribute = (tag: string, name: string): string => new RegExp(`\\s${name}=["']([^"']*)["']`).exec(tag)?.[1] ?? ''

export interface EchoOptions {
  readonly port: number
  readonly domain: string
  readonly secret: string
}

/** XEP-0114: answers every IQ that wants something with an empty result, by searching the text for its start tag. */
export async function openEcho({ port, domain, secret }: EchoOptions): Promise<Socket> {
  const socket = await open('127.0.0.1', port)
  const namespaces = `xmlns="jabber:component:accept" xmlns:stream="http://etherx.jabber.org/streams"`
  socket.write(`<stream:stream ${namespaces} to="${domain}">`)
  const [, id = ''] = await read(socket, /<stream:stream[^>]*\sid=["']([^"']+)["']/)
  socket.write(`<handshake>${createHash('sha1').update(`${id}${secret}`).digest('hex')}</handshake>`)
  await read(socket, /<handshake\s*\/>/)
  let rest = ''
  socket.on('data', (chunk: string) => {
    rest += chunk
    let out = ''
    for (;;) {
      const start = rest.indexOf('<iq ')
      const end = start < 0 ? -1 : rest.indexOf('</iq>', start)
      if (end < 0) break
      const tag = rest.slice(start, rest.indexOf('>', start))
      rest = rest.slice(end + 5)
      if (!/\stype=["'](get|set)["']/.test(tag)) continue
      const [id, from, to] = ['id', 'from', 'to'].map(name => attribute(tag, name))
      out += `<iq type="result" id="${id}" from="${to}" to="${from}"/>`
    }
    if (out !== '') socket.write(out)
  })
  return socket
}

export interface RawClient {
  /** An IQ of type set; settles with its answer. Throws where that is an error. */
  request(to: string, payload: string, id: string): Promise<void>
  send(xml: string): void
  close(): void
}

export interface RawClientOptions {
  /** `xmpp://host:port`, where PLAIN is allowed without TLS. */
  readonly url: string
  readonly user: string
  readonly password: string
  readonly domain: string
}

export async function connectRaw({ url, user, password, domain }: RawClientOptions): Promise<RawClient> {
  const { hostname, port } = new URL(url)
  const socket = await open(hostname, Number(port))
  const header = `<stream:stream xmlns="jabber:client" xmlns:stream="http://etherx.jabber.org/streams" version="1.0" to="${domain}">`
  const ask = async (text: string, pattern: RegExp): Promise<void> => {
    const answer = read(socket, pattern)
    socket.write(text)
    await answer
  }
  await ask(header, /<\/stream:features>/)
  const proof = Buffer.from(`\0${user}\0${password}`).toString('base64')
  await ask(`<auth xmlns="urn:ietf:params:xml:ns:xmpp-sasl" mechanism="PLAIN">${proof}</auth>`, /<success/)
  await ask(header, /<\/stream:features>/)
  await ask(
    '<iq type="set" id="bind"><bind xmlns="urn:ietf:params:xml:ns:xmpp-bind"><resource>raw</resource></bind></iq>',
    /<\/bind>/
  )
  const waiting = new Map<string, { done(): void; failed(error: Error): void }>()
  let rest = ''
  socket.on('data', (chunk: string) => {
    rest += chunk
    let taken = 0
    for (const tag of rest.matchAll(/<iq [^>]*>/g)) {
      taken = tag.index + tag[0].length
      const [id, type] = ['id', 'type'].map(name => attribute(tag[0], name))
      if (type === 'result') waiting.get(id ?? '')?.done()
      else if (type === 'error')
        waiting.get(id ?? '')?.failed(new Error(`refused: ${rest.slice(tag.index, taken + 300)}`))
      else continue
      waiting.delete(id ?? '')
    }
    rest = rest.slice(Math.max(taken, rest.lastIndexOf('<')))
  })
  socket.on('close', () => {
    for (const pending of waiting.values()) pending.failed(new Error('the server closed the stream'))
  })
  return {
    request: (to, payload, id) =>
      new Promise((done, failed) => {
        waiting.set(id, { done, failed })
        socket.write(`<iq type="set" id="${id}" to="${to}">${payload}</iq>`)
      }),
    send: xml => void socket.write(xml),
    close: () => socket.destroy()
  }
}
