// `isthmus nni check PEER`: probes an operator item by item and says in plain words what it does and what not.

import { existsSync } from 'node:fs'
import { Command, InvalidArgumentError } from 'commander'
import { material } from '../compose-engine.ts'
import { parseConfig, readConfig } from '../config.ts'
import type { Config, OperatorConfig } from '../config.ts'
import { HubError } from '../errors.ts'
import { checkLimits, checkPeer, probes } from '../nni/check/check.ts'
import type { Checked, Report } from '../nni/check/check.ts'
import type { Agreed, CheckTarget, LineOptions, OfferedCodec } from '../nni/check/line.ts'
import { peerOf } from '../nni/peers.ts'
import { isE164 } from '../session/dial-plan.ts'
import { createResolver } from '../sip/resolver.ts'
import { say, sayJson } from './clearing-commands.ts'

const defaultFile = 'isthmus.yaml'

interface Options {
  readonly config?: string
  readonly number?: string
  readonly ringing?: string
  readonly early?: string
  readonly from: string
  readonly host?: string
  readonly wait: number
  readonly item: readonly string[]
  readonly json: boolean
}

const number = (text: string): string => {
  if (!isE164(text)) throw new InvalidArgumentError('a number such as +4930123456')
  return text
}
const milliseconds = (text: string): number => {
  const seconds = Number(text)
  if (!(seconds >= 0.1 && seconds <= 60)) throw new InvalidArgumentError('seconds from 0.1 to 60')
  return Math.round(seconds * 1_000)
}
const known = new Set(probes.map(({ item }) => item))
const items = (text: string, before: readonly string[]): readonly string[] => {
  if (!known.has(text)) throw new InvalidArgumentError(`one of ${[...known].join(', ')}`)
  return [...before, text]
}

/** What a peer is called that the configuration does not know, and what is offered to it. */
const stranger = 'peer'
const offered: Readonly<Record<string, OfferedCodec>> = {
  PCMA: { payloadType: 8, rtpmap: 'PCMA/8000' },
  PCMU: { payloadType: 0, rtpmap: 'PCMU/8000' },
  G722: { payloadType: 9, rtpmap: 'G722/8000' },
  'AMR-WB': { payloadType: 104, rtpmap: 'AMR-WB/16000', fmtp: 'mode-change-capability=2;max-red=0' },
  AMR: { payloadType: 102, rtpmap: 'AMR/8000', fmtp: 'mode-change-capability=2;max-red=0' },
  opus: { payloadType: 111, rtpmap: 'opus/48000/2' },
  'telephone-event': { payloadType: 101, rtpmap: 'telephone-event/8000', fmtp: '0-15' }
}

const words = `
PEER is the id of an operator in the configuration, or an address: HOST, HOST:PORT, or a URI such as
sip:border.operator.example:5061;transport=tls. Of an operator of the configuration the certificates and all
that was agreed on (annex C) count: what was not agreed must be refused.

The probes place calls: --number is one that rings and answers (a test line, an announcement). They come from a
port of their own, so the peer has to know this machine's address, not the hub's port. Each result is
  pass       the peer does what the item asks for
  FAIL       it does not; the words say what it did
  not shown  nothing was learned, and why

Exit codes: 0 nothing failed, 1 something failed or nothing could be sent, 2 bad arguments.`

const checkCommand = (): Command =>
  new Command('check')
    .description('probe an operator, item by item')
    .argument('<peer>', 'an operator of the configuration, or an address')
    .option('--config <file>', `the configuration of the hub; ${defaultFile} if it is there`)
    .option('--number <number>', 'a number of the peer that rings and answers', number)
    .option('--ringing <number>', 'one that rings for long', number)
    .option('--early <number>', 'one that plays something before it answers', number)
    .option('--from <number>', 'the calling number', number, '+49301000000')
    .option('--host <address>', 'the local address; that of the hub unless given')
    .option('--wait <seconds>', 'for each answer', milliseconds, checkLimits.waitMs)
    .option('--item <item>', 'only probes of this item; may be repeated', items, [])
    .option('--json', 'one JSON object instead of words', false)
    .addHelpText('after', words)
    .action(async (name: string, options: Options) => {
      const report = await checkPeer(optionsFor(name, options))
      if (options.json) sayJson(report)
      else say(`\n${sum(report)}`)
      process.exitCode = report.counts.fail === 0 ? 0 : 1
    })

export const nniCommand = (): Command =>
  new Command('nni').description('the border to operators').addCommand(checkCommand())

const sum = ({ counts }: Report): string =>
  `${counts.pass} passed, ${counts.fail} failed, ${counts['not shown']} not shown`

const printed = ({ verdict, item, expects, said }: Checked): string =>
  `${(verdict === 'fail' ? 'FAIL' : verdict).padEnd(9)}  ${item.padEnd(7)}  ${expects}: ${said}`

function optionsFor(name: string, options: Options): Parameters<typeof checkPeer>[0] {
  const config = configuration(options.config)
  const operator = config.operators.find(({ id }) => id === name) ?? null
  if (operator === null && options.config !== undefined && !/[.:\d]/.test(name)) {
    throw new HubError('HUB_CONFIG', `no operator is called ${name} in ${options.config}`)
  }
  const target = targetOf(name, operator, options)
  if (!options.json) say(`${target.name} at ${target.nextHop}`)
  return {
    target,
    domain: config.hub.domain,
    waitMs: options.wait,
    ...local(config, operator, target, options),
    ...(options.item.length === 0 ? {} : { only: ({ item }) => options.item.includes(item) }),
    ...(options.json ? {} : { onResult: result => say(printed(result)) })
  }
}

function configuration(file: string | undefined): Config {
  if (file !== undefined) return readConfig(file)
  return existsSync(defaultFile) ? readConfig(defaultFile) : parseConfig('')
}

function targetOf(name: string, operator: OperatorConfig | null, options: Options): CheckTarget {
  const { number: answers = null, ringing: rings = null, early = null, from } = options
  const numbers = { from, answers, rings, early }
  if (operator !== null) {
    const { nextHop, domain } = peerOf(operator)
    return { name, nextHop, domain, numbers, agreed: agreedWith(operator) }
  }
  const match = /^(?:sips?:)?(\[[0-9a-f:.]+\]|[^:;@\s]+)(:\d{1,5})?(;transport=(?:udp|tcp|tls))?$/i.exec(name)
  if (match === null) throw new HubError('HUB_CONFIG', `${name} is neither an operator nor an address`)
  const [, host = '', port = '', transport = ''] = match
  const codecs = codecsOf(['PCMA', 'PCMU', 'telephone-event'])
  const agreed = { message: null, info: null, telUri: null, ioi: null, codecs }
  return { name: stranger, nextHop: `sip:${host}${port}${transport}`, domain: host, numbers, agreed }
}

const codecsOf = (names: readonly string[]): readonly OfferedCodec[] => names.flatMap(name => offered[name] ?? [])

function agreedWith({ methods, uris, charging, trust, codecs }: OperatorConfig): Agreed {
  return {
    message: methods.includes('MESSAGE'),
    info: methods.includes('INFO'),
    telUri: uris.includes('tel') ? null : false,
    ioi: charging.ioi && trust === 'network' ? true : null,
    codecs: codecsOf(codecs)
  }
}

/** Listeners of our own on free ports, with the certificate that the hub has towards the peer. */
function local(
  { nni }: Config,
  operator: OperatorConfig | null,
  { nextHop }: CheckTarget,
  { host: given }: Options
): Pick<LineOptions, 'agent' | 'mediaHost'> {
  const transport = /;transport=(\w+)/i.exec(nextHop)?.[1]?.toLowerCase() ?? operator?.address.transport ?? 'udp'
  const listener = nni.listen.find(one => one.transport === transport) ?? nni.listen[0]
  const host = given ?? listener?.host ?? '127.0.0.1'
  const files = operator?.tls ?? nni.listen.find(({ tls }) => tls !== undefined)?.tls
  const own = files === undefined ? null : material(files)
  const plain = (['udp', 'tcp'] as const).map(one => ({ transport: one, host, port: 0 }))
  const domains = (operator?.certificateNames ?? []).map(one => one.replace(/^sip:/i, ''))
  const hosts =
    operator === null ? [] : [operator.address.host, ...(operator.domain === undefined ? [] : [operator.domain])]
  return {
    mediaHost: host === '0.0.0.0' ? '127.0.0.1' : host,
    agent: {
      listen: own === null ? plain : [...plain, { transport: 'tls', host, port: 0, tls: own }],
      resolver: createResolver({ servers: nni.dnsServers }),
      ...(own?.ca === undefined ? {} : { tlsCa: own.ca }),
      ...(operator === null ? {} : { tlsPeers: [{ hosts, own: null, ca: own?.ca ?? null, domains }] })
    }
  }
}
