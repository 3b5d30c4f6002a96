// The sandbox command: reads its arguments, runs an operator or a user, says what happened.

import { setTimeout as wait } from 'node:timers/promises'
import { parseArgs } from 'node:util'
import { secretOf } from '../config.ts'
import { HubError, messageOf } from '../errors.ts'
import type { SipMessage } from '../sip/message.ts'
import type { Flow } from '../sip/transport/transport.ts'
import { hostPort } from '../sip/transport/transport.ts'
import type { IslandUser } from './island-user.ts'
import { numberRules } from './numbers.ts'
import { createOperator } from './operator.ts'
import type { Operator, Towards } from './operator.ts'
import type { PhoneCall } from './phone-call.ts'
import { codecNames, standardToneHz } from './tone.ts'
import type { CodecName } from './tone.ts'

const help = `npm run sandbox -- operator [OPTIONS]      a mobile operator's SIP endpoint
npm run sandbox -- user [OPTIONS]          a user of an island, SIP over a WebSocket

Both run until Ctrl-C, or until their call is over where --call is given.

  --call NUMBER      place a call, play a tone, say what was heard
  --text TEXT        with --call: send a text message instead
  --seconds N        length of that call once it is answered (default 5)
  --tone HZ          what it plays (default ${standardToneHz}; 0 echoes; Opus plays ${standardToneHz} only)
  --host ADDRESS     bound for signalling and media (default 127.0.0.1)
  --codecs LIST      of ${codecNames.join(', ')}
  --trace            every SIP message, one line each
  --help             this text

operator:
  --port N           UDP and TCP (default 5070; 0: any free one)
  --to HOST:PORT     where --call goes: the hub
  --tcp              --call by TCP
  --from NUMBER      the calling number
  Calls that come in are answered with an echo, save for numbers that end with
${numberRules.map(({ ending, about }) => `    ${ending}   ${about}`).join('\n')}

user:
  --url URL          ws://127.0.0.1:8080 unless given
  --name NAME --domain DOMAIN
  --password TEXT    or in the environment variable SANDBOX_PASSWORD
  --origin ORIGIN    sent with the WebSocket handshake
  --media KIND       webrtc (default) or rtp
  Calls that come in are answered, with a tone.

Exit codes: 0 done, 1 the call failed or the other side refused, 2 bad arguments.`

const text = { type: 'string' } as const
const flag = { type: 'boolean' } as const
const options = {
  call: text,
  text,
  seconds: text,
  tone: text,
  host: text,
  codecs: text,
  port: text,
  to: text,
  from: text,
  url: text,
  name: text,
  domain: text,
  password: text,
  origin: text,
  media: text,
  trace: flag,
  tcp: flag,
  help: { type: 'boolean', short: 'h' }
} as const

/** What the caller has to write differently. */
class Usage extends Error {}

function read(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options, allowPositionals: true })
  } catch (error) {
    throw new Usage(messageOf(error))
  }
}
type Values = ReturnType<typeof read>['values']

/** Takes one line, without its end. */
export interface Output {
  readonly say: (line: string) => void
  readonly complain: (line: string) => void
}
type Say = Output['say']

function numberFrom(values: Values, name: 'seconds' | 'tone' | 'port', fallback: number, max: number): number {
  const given = values[name]
  const value = given === undefined ? fallback : Number(given)
  if (given === '' || !Number.isFinite(value) || value < 0 || value > max) {
    throw new Usage(`--${name} ${given} is no number from 0 to ${max}`)
  }
  return value
}

function codecsFrom({ codecs }: Values): { readonly codecs?: readonly CodecName[] } {
  if (codecs === undefined) return {}
  const list = codecs.split(',').map(one => {
    const known = codecNames.find(name => name.toLowerCase() === one.trim().toLowerCase())
    if (known === undefined) throw new Usage(`--codecs: ${one} is none of ${codecNames.join(', ')}`)
    return known
  })
  return { codecs: list }
}

function towards({ to, tcp }: Values): Towards {
  const match = /^(\[[0-9a-f:.]+\]|[^:]+):(\d{1,5})$/i.exec(to ?? '')
  if (match === null) throw new Usage('--call needs --to HOST:PORT')
  const host = (match[1] ?? '').replaceAll(/[[\]]/g, '')
  return { host, port: Number(match[2]), transport: tcp === true ? 'tcp' : 'udp' }
}

const toneFrom = (values: Values): number | null => numberFrom(values, 'tone', standardToneHz, 3_800) || null

function tapFor(
  { trace }: Values,
  say: Say
): { readonly tap?: (way: 'in' | 'out', message: SipMessage, flow: Flow) => void } {
  if (trace !== true) return {}
  return {
    tap: (way, message, { transport, remote }) => {
      const what =
        message.kind === 'request' ? `${message.method} ${message.uri}` : `${message.status} ${message.reason}`
      say(`${new Date().toISOString()} ${way === 'in' ? '<-' : '->'} ${transport} ${hostPort(remote)} ${what}`)
    }
  }
}

/** The other side's own words, where it gave some (RFC 3326). */
function plainReason(message: SipMessage | null): string {
  const [, text] = /text="((?:[^"\\]|\\.)*)"/.exec(message?.headers.get('Reason') ?? '') ?? []
  return text === undefined ? '' : ` (${text})`
}

/** One finished call in words; true where it was answered and audio came. */
async function report(call: PhoneCall, values: Values, say: Say): Promise<boolean> {
  const tone = toneFrom(values) ?? 0
  const seconds = numberFrom(values, 'seconds', 5, 86_400)
  if (!(await call.answered)) {
    const { how, message } = await call.ended
    const status = message?.kind === 'response' ? ` ${message.status} ${message.reason}` : ''
    say(`${call.number} was not answered: ${how}${status}${plainReason(message)}`)
    return false
  }
  say(`${call.number} answered`)
  const enough = new AbortController()
  const talking = wait(seconds * 1_000, undefined, { signal: enough.signal }).catch(() => undefined)
  await Promise.race([call.ended, talking])
  enough.abort()
  const { path, packetsSent, packetsReceived, packetsLost, codec } = call.media.heard
  const heard = tone > 0 && call.media.hears(tone) ? `, and the tone of ${tone} Hz is among them` : ''
  call.hangUp()
  const { how, by } = await call.ended
  if (path !== 'open') say(path === 'failed' ? 'no way for the audio was found' : 'the way for the audio never opened')
  say(`sent ${packetsSent} packets, received ${packetsReceived} (${codec ?? 'no codec'}, ${packetsLost} lost)${heard}`)
  say(`ended: ${how} by ${by === 'local' ? 'us' : 'the other side'}`)
  return packetsReceived > 0
}

async function sendText(endpoint: Operator | IslandUser, values: Values, say: Say): Promise<boolean> {
  const [number, body] = [values.call ?? '', values.text ?? '']
  const result =
    'listening' in endpoint
      ? await endpoint.sendText(number, body, { to: towards(values), ...fromOf(values) })
      : await endpoint.sendText(number, body)
  say(`${number}: ${result}`)
  return typeof result === 'number' && result < 300
}

const fromOf = ({ from }: Values): { readonly from?: string } => (from === undefined ? {} : { from })

async function runOperator(values: Values, say: Say): Promise<boolean> {
  const operator = createOperator({
    host: values.host ?? '127.0.0.1',
    port: numberFrom(values, 'port', values.call === undefined ? 5_070 : 0, 65_535),
    onCall: call => void announce(call, say),
    ...codecsFrom(values),
    ...tapFor(values, say)
  })
  // Read before anything is opened, so that a bad argument ends at once.
  const place = values.call === undefined ? null : { to: towards(values), toneHz: toneFrom(values), ...fromOf(values) }
  await operator.start()
  try {
    if (place === null || values.call === undefined) {
      const stopped = interrupted()
      const places = operator.listening.map(one => `${one.transport} ${hostPort(one)}`).join(', ')
      say(`operator on ${places}; Ctrl-C ends it`)
      await stopped
      return true
    }
    if (values.text !== undefined) return await sendText(operator, values, say)
    return await report(await operator.call(values.call, place), values, say)
  } finally {
    await operator.close()
  }
}

async function runUser(values: Values, say: Say): Promise<boolean> {
  const { url = 'ws://127.0.0.1:8080', name, domain, origin, media = 'webrtc' } = values
  if (name === undefined || domain === undefined) throw new Usage('--name and --domain are needed; --help explains')
  if (media !== 'webrtc' && media !== 'rtp') throw new Usage(`--media ${media} is neither webrtc nor rtp`)
  if (!URL.canParse(url) || !/^wss?:/.test(url)) throw new Usage(`--url ${url} is no ws:// or wss:// address`)
  const secret = values.password ?? secretOf({ env: 'SANDBOX_PASSWORD' })
  const toneHz = toneFrom(values)
  // Late, since WebRTC takes a second to load and nobody else here needs it.
  const { createIslandUser } = await import('./island-user.ts')
  const user = createIslandUser({
    url,
    name,
    domain,
    password: secret,
    media,
    host: values.host ?? '127.0.0.1',
    ...(origin === undefined ? {} : { origin }),
    ...codecsFrom(values),
    ...tapFor(values, say)
  })
  try {
    await user.connect()
    if (values.call === undefined) {
      const stopped = interrupted()
      say(`registered as ${user.address}; Ctrl-C ends it`)
      await stopped
      return true
    }
    say(`registered as ${user.address}`)
    if (values.text !== undefined) return await sendText(user, values, say)
    return await report(await user.call(values.call, { toneHz }), values, say)
  } finally {
    await user.close()
  }
}

async function announce(call: PhoneCall, say: Say): Promise<void> {
  if (call.direction === 'out') return
  say(`call to ${call.number}`)
  const { how, by } = await call.ended
  const { packetsReceived, packetsSent } = call.media.heard
  say(`call to ${call.number} ended: ${how} by ${by}, ${packetsReceived} packets in, ${packetsSent} out`)
}

/** To be asked before anybody is told that there is something to interrupt. */
const interrupted = (): Promise<void> =>
  new Promise(resolve => {
    for (const signal of ['SIGINT', 'SIGTERM'] as const) process.once(signal, () => resolve())
  })

/** The exit code: 0 done, 1 the call failed or the other side refused, 2 bad arguments. Never rejects. */
export async function sandbox(args: readonly string[], { say, complain }: Output): Promise<number> {
  try {
    const { values, positionals } = read(args)
    if (values.help === true || positionals.length === 0) {
      say(help)
      return values.help === true ? 0 : 2
    }
    const [who, ...more] = positionals
    if ((who !== 'operator' && who !== 'user') || more.length > 0) {
      throw new Usage(`${positionals.join(' ')} is neither operator nor user`)
    }
    return (await (who === 'operator' ? runOperator(values, say) : runUser(values, say))) ? 0 : 1
  } catch (error) {
    const usage = error instanceof Usage || (error instanceof HubError && error.code === 'HUB_CONFIG')
    const stack = error instanceof Error && !usage && !(error instanceof HubError) ? error.stack : undefined
    complain(stack ?? messageOf(error))
    return usage ? 2 : 1
  }
}
