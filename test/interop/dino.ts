// `npm run interop:dino`: Dino, a desktop client that nobody here wrote, on Prosody, calls a phone through the whole hub
// and is called by it, with audio both ways. Outside the default run; needs root and the packages it names.

import { execFileSync } from 'node:child_process'
import { chmodSync, existsSync, mkdtempSync, rmSync } from 'node:fs'
import { networkInterfaces, tmpdir } from 'node:os'
import { join } from 'node:path'
import { parseArgs } from 'node:util'
import { shareAt } from '../../src/sandbox/tone.ts'
import { dinoToneHz, startDino } from '../support/dino.ts'
import type { Dino, DinoCall } from '../support/dino.ts'
import { eventually } from '../support/hub.ts'
import { startProsody } from '../support/prosody.ts'
import { startRtpengine } from '../support/rtpengine.ts'
import { at, openXmppWorld, ottServer, people, phoneHears, phoneNumber } from '../support/xmpp-world.ts'
import type { XmppWorld } from '../support/xmpp-world.ts'
import type { PhoneCall } from '../../src/sandbox/phone-call.ts'

const packages =
  'dino-im xvfb openbox xdotool dbus libglib2.0-bin pulseaudio pulseaudio-utils gstreamer1.0-pulseaudio ' +
  'gstreamer1.0-plugins-good prosody lua-sec lua-event lua-unbound ejabberd rtpengine-daemon'
const programs = ['dino-im', 'Xvfb', 'openbox', 'xdotool', 'dbus-run-session', 'gdbus', 'pulseaudio', 'pactl', 'parec']

const help = `npm run interop:dino [-- --anchor embedded|rtpengine --start A|B]

--start B: the phone is called before Dino may begin.

As root on Debian with: ${packages}`

/** Where only Dino finds its server. */
const serverAddress = '127.0.0.77'
const phoneHz = 1_300
/**
 * While Dino opens its speaker it may end the thread of its microphone, which then stays closed for good, in calls it
 * makes and takes and whatever the anchor: then the call is made again by a fresh Dino, so many times. And as people
 * do, nobody answers at once.
 */
const patience = { ringMs: 2_000, acceptMs: 2_000, callsMax: 4 } as const
const contact = at('bob', phoneNumber)
const say = (text: string): void => void process.stdout.write(`${text}\n`)

function certificate(folder: string): { certificateFile: string; keyFile: string } {
  const [keyFile, certificateFile] = [join(folder, 'xmpp.key'), join(folder, 'xmpp.crt')]
  const { domain } = people.bob
  const subject = ['-subj', `/CN=${domain}`, '-addext', `subjectAltName=DNS:${domain},DNS:*.${domain}`]
  const files = ['-keyout', keyFile, '-out', certificateFile]
  const made = ['req', '-x509', '-newkey', 'rsa:2048', '-nodes', '-days', '2', ...files, ...subject]
  execFileSync('openssl', made, { stdio: 'ignore' })
  // Prosody reads them as a user of its own.
  chmodSync(folder, 0o755)
  chmodSync(keyFile, 0o644)
  return { keyFile, certificateFile }
}

/** Dino's ICE leaves loopback out, where there is anything else. */
const ownAddress = (): string =>
  Object.values(networkInterfaces())
    .flatMap(list => list ?? [])
    .find(({ family, internal }) => family === 'IPv4' && !internal)?.address ?? '127.0.0.1'

const hasSent = (dino: Dino, text: string, before = 0): boolean =>
  dino
    .stanzas('out')
    .slice(before)
    .some(stanza => stanza.includes(text))

/** Until Dino plays this tone. */
const dinoHears = (dino: Dino, hz: number): Promise<true> =>
  eventually(`Dino plays ${hz} Hz`, async () => shareAt(await dino.heard(), hz) > 0.5)

/** Its last words about calls, both ways. */
const jingleOf = (dino: Dino): string =>
  (['in', 'out'] as const)
    .flatMap(way =>
      dino
        .stanzas(way)
        .filter(text => text.includes('jingle'))
        .slice(-4)
        .map(text => `${way}: ${text}`)
    )
    .join('\n')

async function rings(dino: Dino, before: number): Promise<DinoCall> {
  return eventually('Dino rings', () => dino.calls()[before] ?? null)
}

/** Each answered call: both legs recorded once, nothing wrong with records or money. */
async function settled(world: XmppWorld, since: number): Promise<number> {
  const finals = await world.finals(2, since)
  const faults = await world.faults()
  if (faults.length > 0) throw new Error(faults.join('\n'))
  const [leg] = finals
  const packets = finals.flatMap(({ media }) => media.map(one => `${one.codec} ${one.pkts_received}/${one.pkts_sent}`))
  say(`  recorded: ${finals.length} legs, ${leg?.duration_ms} ms, cause ${leg?.cause}, packets ${packets.join(', ')}`)
  return world.finalCount()
}

/** Each hears the other; false where Dino keeps its microphone closed. */
async function areHeard(dino: Dino, phone: PhoneCall): Promise<boolean> {
  const opened = await eventually('Dino opens its microphone', () => dino.records(), 10_000).catch(() => false)
  if (!opened) return false
  await Promise.all([phoneHears(phone, dinoToneHz), dinoHears(dino, phoneHz)])
  return true
}

async function places(dino: Dino, world: XmppWorld): Promise<boolean> {
  const before = dino.stanzas('out').length
  // The button works once presence and features of the number are known.
  await eventually('Dino proposes a call', async () => {
    if (!hasSent(dino, ':propose ', before)) await dino.placeCall(contact)
    return hasSent(dino, ':propose ', before)
  })
  const phone = await world.phone()
  await phone.answered
  // Not its echo: Dino takes that out of what its microphone hears.
  phone.media.play({ what: 'tone', hz: phoneHz })
  const heard = await areHeard(dino, phone)
  const { packetsReceived, packetsSent } = phone.media.heard
  if (heard) say(`Dino called a phone: each heard the other, the phone got ${packetsReceived} and sent ${packetsSent}`)
  await eventually('the phone hears that Dino has hung up', async () => {
    if (phone.state !== 'over') await dino.hangUp()
    return phone.state === 'over'
  })
  return heard
}

async function accepts(dino: Dino, world: XmppWorld): Promise<boolean> {
  const before = dino.calls().length
  const phone = await world.phoneCalls(people.bob.number, phoneHz)
  const call = await rings(dino, before)
  await new Promise(resolve => setTimeout(resolve, patience.acceptMs))
  dino.accept(call)
  if (!(await phone.answered)) throw new Error('Dino accepted and the phone heard no answer')
  const heard = await areHeard(dino, phone)
  const { packetsReceived, packetsSent } = phone.media.heard
  if (heard) say(`A phone called Dino: each heard the other, the phone got ${packetsReceived} and sent ${packetsSent}`)
  phone.hangUp()
  await phone.ended
  return heard
}

async function rejects(dino: Dino, world: XmppWorld): Promise<void> {
  const before = dino.calls().length
  const phone = await world.phoneCalls(people.bob.number, phoneHz)
  dino.reject(await rings(dino, before))
  const { message } = await phone.ended
  if (message?.kind !== 'response' || message.status !== 486)
    throw new Error('Dino rejected and the phone heard no 486')
  say('A phone called Dino, which rejected: the phone heard 486')
}

async function isGivenUpOn(dino: Dino, world: XmppWorld): Promise<void> {
  const before = dino.calls().length
  const phone = await world.phoneCalls(people.bob.number, phoneHz)
  await rings(dino, before)
  phone.hangUp()
  await phone.ended
  await eventually('Dino has missed the call', () => dino.calls()[before]?.state === 'missed')
  say('A phone called Dino and gave up: Dino shows a missed call')
}

async function reads(dino: Dino, world: XmppWorld): Promise<void> {
  const to = { host: '127.0.0.1', port: world.hub.sipPort('udp'), transport: 'udp' } as const
  const text = `Grüße ${Date.now()}`
  const status = await world.operator.sendText(people.bob.number, text, { to, from: phoneNumber })
  await eventually('the text at Dino', () => dino.stanzas('in').some(stanza => stanza.includes(text)))
  say(`A phone wrote to Dino: ${status}, the text arrived`)
}

interface Setup {
  readonly anchor: 'embedded' | 'rtpengine'
  readonly start: 'A' | 'B'
}

async function run({ anchor, start }: Setup, after: AsyncDisposableStack): Promise<void> {
  const folder = mkdtempSync(join(tmpdir(), 'isthmus-certificate-'))
  after.defer(() => rmSync(folder, { recursive: true, force: true }))
  const files = certificate(folder)
  const rtpengine = anchor === 'rtpengine' ? await startRtpengine({ address: ownAddress() }) : null
  if (rtpengine !== null) after.defer(() => rtpengine.stop())
  const ott = await startProsody({ ...ottServer, desktop: { address: serverAddress, ...files } })
  const relay = rtpengine === null ? {} : { rtpengine }
  const operator = { limits: { ringMs: patience.ringMs } }
  const island = { start }
  const world = await openXmppWorld({ anchor, ott, portMin: 47_000, address: ownAddress(), operator, island, ...relay })
  after.defer(async () => void (await world.close()))
  // Another client of the same user makes the contact, which the server keeps.
  const first = await world.person('bob', { jingle: false })
  await first.subscribe(contact)
  await first.close()
  const fresh = async (): Promise<Dino> => {
    const account = { jid: `bob@${people.bob.domain}`, password: 'pw-bob', contacts: [contact] }
    const started = await startDino({ ...account, serverAddress, certificateFile: files.certificateFile })
    const isThere = (stanza: string): boolean => stanza.includes(':presence ') && stanza.includes(`${contact}/`)
    await eventually('Dino sees that the phone is there', () => started.stanzas('in').some(isThere), 60_000)
    return started
  }
  let dino = await fresh()
  after.defer(() => dino.stop())
  try {
    let seen = 0
    for (const scene of [places, accepts]) {
      for (let calls = 1; ; calls++) {
        const heard = await scene(dino, world)
        seen = await settled(world, seen)
        // Dino is busy with the end of a call for a while, and refuses the next one so long.
        await eventually('Dino is done with the call', () => hasSent(dino, ':finish ') || dino.calls().length > 0)
        if (heard) break
        if (calls === patience.callsMax) throw new Error(`Dino kept its microphone closed in ${calls} calls`)
        say('  Dino kept its microphone closed (nothing records at its sound server): once more, with a fresh one')
        await dino.stop()
        dino = await fresh()
      }
    }
    for (const scene of [rejects, isGivenUpOn, reads]) await scene(dino, world)
    const faults = await world.faults()
    if (faults.length > 0) throw new Error(faults.join('\n'))
  } catch (error) {
    const file = join(tmpdir(), 'isthmus-dino.png')
    dino.screenshot(file)
    say(`Dino's screen: ${file}; its microphone is ${dino.records() ? 'open' : 'closed'}`)
    say(jingleOf(dino))
    const calls = [...world.operator.calls, ...world.operator.history]
    say(`phones: ${calls.map(({ state, media }) => `${state} ${JSON.stringify(media.heard)}`).join('; ')}`)
    throw error
  }
  say(`Dino ${anchor}, start ${start}: everything above passed, every call recorded and charged once`)
}

async function main(): Promise<void> {
  const { values } = parseArgs({
    options: {
      anchor: { type: 'string', default: 'embedded' },
      start: { type: 'string', default: 'A' },
      help: { type: 'boolean', short: 'h', default: false }
    }
  })
  const { anchor, start } = values
  if (values.help) return say(help)
  if (anchor !== 'embedded' && anchor !== 'rtpengine') throw new Error(`--anchor: embedded or rtpengine, not ${anchor}`)
  if (start !== 'A' && start !== 'B') throw new Error(`--start: A or B, not ${start}`)
  const missing = programs.filter(name => !['/usr/bin', '/bin', '/usr/sbin'].some(path => existsSync(join(path, name))))
  if (missing.length > 0) throw new Error(`not installed: ${missing.join(', ')}. Debian packages: ${packages}`)
  if (process.getuid?.() !== 0) throw new Error('needs root: Dino gets name resolution and certificates of its own')
  await using after = new AsyncDisposableStack()
  await run({ anchor, start }, after)
}

main().then(
  () => process.exit(0),
  (error: unknown) => {
    say(error instanceof Error ? (error.stack ?? error.message) : String(error))
    process.exit(1)
  }
)
