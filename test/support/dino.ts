// Dino, a desktop XMPP client with Jingle calls that nobody here wrote, under Xvfb with a microphone that plays a tone.
// Debian packages: dino-im xvfb openbox xdotool dbus pulseaudio pulseaudio-utils gstreamer1.0-pulseaudio
// gstreamer1.0-plugins-good. Needs root: name resolution and trusted certificates are its own (a mount namespace).

import { execFileSync, spawn } from 'node:child_process'
import { once } from 'node:events'
import { existsSync, mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { DatabaseSync } from 'node:sqlite'

export const dinoLimits = { startMs: 30_000, pollMs: 50, screen: '1200x800x24' } as const

export interface DinoOptions {
  /** Bare. */
  readonly jid: string
  readonly password: string
  /** Where its server listens on port 5222: Dino knows ports from DNS alone, which there is none of. */
  readonly serverAddress: string
  /** PEM of the server's certificate, which must name the domain. */
  readonly certificateFile: string
  /** Bare JIDs it has a conversation with. */
  readonly contacts: readonly string[]
}

/** As the database of Dino says, which calls a live call ended already. */
export const dinoStates = [
  'ringing',
  'establishing',
  'in-progress',
  'other-device',
  'ended',
  'declined',
  'missed',
  'failed'
] as const
export interface DinoCall {
  readonly id: number
  readonly conversation: number
  readonly direction: 'in' | 'out'
  readonly state: (typeof dinoStates)[number] | 'unknown'
}

export interface Dino {
  /** Oldest first. */
  calls(): readonly DinoCall[]
  /** The stanzas it has sent or got so far, as it printed them. */
  stanzas(direction: 'in' | 'out'): readonly string[]
  /** Shows the conversation and presses the audio call button. */
  placeCall(contact: string): Promise<void>
  accept(call: DinoCall): void
  reject(call: DinoCall): void
  /** Presses the call window's hang-up button. A busy machine may miss it: again, until the call ends. */
  hangUp(): Promise<void>
  /** Whether it has its microphone open. */
  records(): boolean
  /** One second of what it plays: 8 kHz samples. */
  heard(): Promise<readonly number[]>
  screenshot(file: string): void
  stop(): Promise<void>
}

/** What its microphone plays, in beeps of uneven length: a steady tone would be filtered out as noise. */
export const dinoToneHz = 620

function beeps(): Int16Array {
  const rate = 16_000
  const lengthsMs = [180, 90, 260, 70, 140, 60, 320, 110, 200, 80]
  const samples: number[] = []
  for (const [index, lengthMs] of lengthsMs.entries()) {
    const count = (rate * lengthMs) / 1_000
    for (let at = 0; at < count; at++) {
      // Soft edges, so that a beep is its tone and nothing else.
      const edge = Math.min(1, at / 160, (count - at) / 160)
      samples.push(index % 2 === 0 ? Math.round(edge * 12_000 * Math.sin((2 * Math.PI * dinoToneHz * at) / rate)) : 0)
    }
  }
  return Int16Array.from(samples)
}

const script = `set -e
mount --bind "$D/hosts" /etc/hosts
mount --bind "$D/ca.crt" /etc/ssl/certs/ca-certificates.crt
Xvfb -displayfd 1 -screen 0 ${dinoLimits.screen} -nolisten tcp >"$D/display" 2>"$D/xvfb.log" &
until [ -s "$D/display" ]; do sleep 0.1; done
export DISPLAY=:$(cat "$D/display")
openbox >"$D/openbox.log" 2>&1 &
pulseaudio -n --exit-idle-time=-1 --use-pid-file=no \\
  -L "module-null-sink sink_name=tone" \\
  -L "module-remap-source master=tone.monitor source_name=mic" -L "module-null-sink sink_name=out" \\
  -L "module-native-protocol-unix auth-anonymous=1 socket=$D/run/pulse.sock" >"$D/pulse.log" 2>&1 &
until [ -S "$D/run/pulse.sock" ]; do sleep 0.1; done
pactl set-default-source mic; pactl set-default-sink out
while cat "$D/beeps.raw"; do :; done | pacat --device=tone --format=s16le --rate=16000 --channels=1 &
# First to run: where the thread of its microphone comes late, Dino ends it for good while it opens its speaker.
exec dbus-run-session -- bash -c 'echo "$DBUS_SESSION_BUS_ADDRESS" >"$D/bus"; exec chrt --rr 1 dino-im --print-xmpp=all >"$D/dino.log" 2>&1'
`

export async function startDino(options: DinoOptions): Promise<Dino> {
  const { jid, serverAddress, certificateFile } = options
  const folder = mkdtempSync(join(tmpdir(), 'isthmus-dino-'))
  const data = join(folder, 'share')
  const file = join(data, 'dino', 'dino.db')
  mkdirSync(join(folder, 'run'), { mode: 0o700 })
  writeFileSync(join(folder, 'hosts'), `127.0.0.1 localhost\n${serverAddress} ${jid.split('@')[1]}\n`)
  writeFileSync(join(folder, 'beeps.raw'), beeps())
  const certificates = ['/etc/ssl/certs/ca-certificates.crt', certificateFile].map(path => readFileSync(path, 'utf8'))
  writeFileSync(join(folder, 'ca.crt'), certificates.join('\n'))
  // The first start makes the database, which is then filled in.
  const first = start(folder)
  await until('its database', () => existsSync(file) && tables(file).includes('conversation'))
  await first.stop()
  fill(file, options)
  const running = start(folder)
  await until('Dino on the bus', () => existsSync(join(folder, 'bus')) && onBus(running.environment()))
  return controls(folder, file, running)
}

interface Running {
  environment(): NodeJS.ProcessEnv
  stop(): Promise<void>
}

function start(folder: string): Running {
  for (const name of ['bus', 'display', 'run/pulse.sock']) rmSync(join(folder, name), { force: true })
  const env = {
    PATH: process.env['PATH'] ?? '/usr/bin:/bin',
    D: folder,
    HOME: folder,
    XDG_RUNTIME_DIR: join(folder, 'run'),
    XDG_DATA_HOME: join(folder, 'share'),
    PULSE_SERVER: `unix:${join(folder, 'run/pulse.sock')}`,
    GDK_BACKEND: 'x11',
    GSK_RENDERER: 'cairo',
    GTK_A11Y: 'none',
    LANG: 'C.UTF-8'
  }
  // In a process namespace of its own: one signal ends them all.
  const child = spawn('unshare', ['--mount', '--pid', '--fork', '--kill-child', '--mount-proc', 'bash', '-c', script], {
    env,
    stdio: ['ignore', 'ignore', 'ignore']
  })
  const left = new Promise<void>(resolve => child.once('exit', () => resolve()))
  return {
    environment: () => ({
      ...env,
      DISPLAY: `:${readFileSync(join(folder, 'display'), 'utf8').trim()}`,
      DBUS_SESSION_BUS_ADDRESS: readFileSync(join(folder, 'bus'), 'utf8').trim()
    }),
    stop: async () => {
      child.kill('SIGKILL')
      await left
    }
  }
}

function tables(file: string): readonly string[] {
  try {
    using database = new DatabaseSync(file, { readOnly: true })
    return database
      .prepare("select name from sqlite_master where type = 'table'")
      .all()
      .map(row => String(row['name']))
  } catch {
    return []
  }
}

function fill(file: string, { jid, password, contacts }: DinoOptions): void {
  using database = new DatabaseSync(file)
  // The Dino that made it may still be writing.
  database.exec('pragma busy_timeout = 10000')
  database
    .prepare(
      `insert into account (id, bare_jid, resourcepart, password, alias, enabled, mam_earliest_synced)
       values (1, ?, 'dino.test', ?, '', 1, 0)`
    )
    .run(jid, password)
  contacts.forEach((contact, index) => {
    database.prepare('insert into jid (id, bare_jid) values (?, ?)').run(index + 1, contact)
    database
      .prepare(
        `insert into conversation (account_id, jid_id, active, active_last_changed, last_active, type, encryption)
         values (1, ?, 1, 1, ?, 0, 0)`
      )
      .run(index + 1, Math.floor(Date.now() / 1_000))
  })
}

const busCall = (env: NodeJS.ProcessEnv, args: readonly string[]): string =>
  execFileSync('gdbus', ['call', '--session', '--dest', 'im.dino.Dino', ...args], {
    env,
    encoding: 'utf8',
    stdio: ['ignore', 'pipe', 'pipe'],
    timeout: 5_000
  })

function onBus(env: NodeJS.ProcessEnv): boolean {
  try {
    const described = busCall(env, ['--object-path', '/im/dino/Dino', '--method', 'org.gtk.Actions.List'])
    return described.includes('accept-call')
  } catch {
    return false
  }
}

function controls(folder: string, file: string, running: Running): Dino {
  const rows = (text: string): readonly Record<string, unknown>[] => {
    using database = new DatabaseSync(file, { readOnly: true })
    database.exec('pragma busy_timeout = 10000')
    return database.prepare(text).all()
  }
  const action = (name: string, values: string): void =>
    void busCall(running.environment(), [
      '--object-path',
      '/im/dino/Dino',
      '--method',
      'org.gtk.Actions.Activate',
      name,
      values,
      '{}'
    ])
  const pointer = (...args: readonly string[]): void =>
    void execFileSync('xdotool', args, { env: running.environment(), timeout: 5_000 })
  const conversationOf = (contact: string): number =>
    Number(
      rows('select c.id, j.bare_jid from conversation c join jid j on j.id = c.jid_id').find(
        row => row['bare_jid'] === contact
      )?.['id']
    )
  const printed = (): string =>
    existsSync(join(folder, 'dino.log')) ? readFileSync(join(folder, 'dino.log'), 'utf8') : ''
  return {
    calls: () =>
      rows(
        'select k.*, c.id as conversation from call k join conversation c on c.jid_id = k.counterpart_id order by k.id'
      ).map(row => ({
        id: Number(row['id']),
        conversation: Number(row['conversation']),
        direction: row['direction'] === 1 ? 'out' : 'in',
        state: dinoStates[Number(row['state'])] ?? 'unknown'
      })),
    stanzas: direction => stanzasOf(printed(), direction),
    placeCall: async contact => {
      action('open-conversation', `[<int32 ${conversationOf(contact)}>]`)
      await pause(1_000)
      pointer('mousemove', '978', '78', 'click', '1')
      await pause(500)
      pointer('key', 'Return')
    },
    accept: ({ conversation, id }) => action('accept-call', `[<(int32 ${conversation}, int32 ${id})>]`),
    reject: ({ conversation, id }) => action('reject-call', `[<(int32 ${conversation}, int32 ${id})>]`),
    hangUp: async () => {
      // The main window may have come to lie over the call's: its title comes first.
      pointer('mousemove', '300', '27', 'click', '1')
      await pause(300)
      pointer('mousemove', '421', '475')
      await pause(200)
      pointer('click', '1')
      await pause(500)
    },
    records: () =>
      execFileSync('pactl', ['list', 'source-outputs'], {
        env: running.environment(),
        encoding: 'utf8',
        timeout: 5_000
      }).includes('application.name = "Dino"'),
    heard: async () => {
      // Left running it never ends: `timeout` ends it.
      const recorder = ['1.2', 'parec', '--device=out.monitor', '--format=s16le', '--rate=8000', '--channels=1']
      const child = spawn('timeout', recorder, { env: running.environment(), stdio: ['ignore', 'pipe', 'ignore'] })
      const chunks: Buffer[] = []
      child.stdout.on('data', (chunk: Buffer) => void chunks.push(chunk))
      await once(child, 'close')
      const raw = Buffer.concat(chunks)
      return Array.from({ length: raw.length >> 1 }, (_, index) => raw.readInt16LE(index * 2))
    },
    screenshot: target =>
      void execFileSync('import', ['-window', 'root', target], { env: running.environment(), timeout: 10_000 }),
    stop: async () => {
      await running.stop()
      rmSync(folder, { recursive: true, force: true })
    }
  }
}

/** Dino prints `XMPP OUT [jid stream:... thread:...]`, then the stanza on lines of its own. */
export function stanzasOf(log: string, direction: 'in' | 'out'): readonly string[] {
  const blocks = log.split(/^(?=XMPP (?:IN|OUT) \[)/m)
  return blocks
    .filter(block => block.startsWith(direction === 'out' ? 'XMPP OUT' : 'XMPP IN'))
    .map(block => block.slice(block.indexOf('\n') + 1).trim())
    .filter(block => block !== '')
}

const pause = (ms: number): Promise<void> => new Promise(resolve => setTimeout(resolve, ms))

async function until(what: string, holds: () => boolean): Promise<void> {
  for (const end = Date.now() + dinoLimits.startMs; !holds(); await pause(dinoLimits.pollMs)) {
    if (Date.now() > end) throw new Error(`Dino: no ${what} in ${dinoLimits.startMs} ms`)
  }
}
