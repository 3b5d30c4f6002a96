// Debian's baresip: a phone nobody here wrote, with one codec, that plays a tone and keeps what it hears.

import { mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { connect } from 'node:net'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { startProgram } from './child.ts'
import { freePorts } from './free-port.ts'
import { freePort } from './sipp.ts'
import { eventually } from './until.ts'

/** What one call sounded like at its phone. */
export interface Recording {
  readonly sampleRate: number
  readonly samples: readonly number[]
}

export interface Baresip {
  readonly host: string
  readonly port: number
  dial(uri: string): Promise<void>
  /** What each ended call brought, decoded, the first first. */
  recordings(): readonly Recording[]
  /** Everything it has printed, the last of it. */
  log(): string
  stop(): Promise<void>
}

export interface BaresipOptions {
  readonly host: string
  readonly port?: number
  readonly number: string
  /** As baresip calls it; AMR-WB only with its clock rate: `AMR-WB/16000`. */
  readonly codec: string
  /** Where calls go. */
  readonly proxy: { readonly host: string; readonly port: number }
  readonly toneHz: number
}

/** Answers whoever calls. Asked for where a test file says `// needs: baresip`. */
export async function startBaresip(options: BaresipOptions): Promise<Baresip> {
  const { host, port: given, number, codec, proxy, toneHz } = options
  const port = given ?? (await freePort(host))
  const [control = 0] = await freePorts(1)
  const home = mkdtempSync(join(tmpdir(), 'isthmus-baresip-'))
  const sounds = join(home, 'sounds')
  mkdirSync(sounds)
  writeFileSync(join(home, 'config'), config({ host, port, control, sounds, toneHz }))
  writeFileSync(join(home, 'contacts'), '')
  const how = `regint=0;answermode=auto;audio_codecs=${codec};outbound="sip:${proxy.host}:${proxy.port}"`
  writeFileSync(
    join(home, 'accounts'),
    `<sip:${number}@${host}>;${how}
`
  )
  const child = startProgram('/usr/bin/baresip', ['-f', home])
  const stop = async (): Promise<void> => {
    if (child.process.exitCode === null) child.process.kill('SIGTERM')
    await child.ended
    rmSync(home, { recursive: true, force: true })
  }
  const log = (): string => `${child.lines.slice(-60).join('\n')}\n${child.errors}`
  const say = (command: string, params: string): Promise<string> => {
    const text = JSON.stringify({ command, params, token: 'test' })
    return new Promise((done, failed) => {
      const socket = connect({ host, port: control }, () => socket.write(`${Buffer.byteLength(text)}:${text},`))
      let heard = ''
      socket.on('data', part => {
        heard += part.toString()
        // Events of the call may come before the answer.
        const answer = /\{"response".*/.exec(heard)?.[0]
        if (answer === undefined) return
        socket.destroy()
        done(answer)
      })
      socket.once('error', failed)
    })
  }
  try {
    await eventually('baresip is ready', () => {
      if (child.process.exitCode !== null) throw new Error(`baresip left:\n${log()}`)
      return child.lines.some(line => line.includes('baresip is ready'))
    })
  } catch (error) {
    await stop()
    throw error
  }
  return {
    host,
    port,
    log,
    stop,
    dial: async uri => {
      const answer = await say('dial', uri)
      if (!answer.includes('"ok":true')) throw new Error(`baresip does not dial: ${answer}`)
    },
    recordings: () =>
      readdirSync(sounds)
        .filter(name => name.endsWith('-dec.wav'))
        .sort()
        .flatMap(name => recordingOf(readFileSync(join(sounds, name))))
  }
}

/** 16-bit PCM; nothing where the file is still being written. */
function recordingOf(wav: Buffer): readonly Recording[] {
  const data = wav.indexOf('data')
  if (data < 0 || wav.toString('latin1', 0, 4) !== 'RIFF') return []
  const samples: number[] = []
  for (let at = data + 8; at + 1 < wav.length; at += 2) samples.push(wav.readInt16LE(at))
  return [{ sampleRate: wav.readUInt32LE(24), samples }]
}

/** ausine plays 48 kHz in stereo and nothing else; baresip makes of it what the codec wants. */
const config = (at: { host: string; port: number; control: number; sounds: string; toneHz: number }): string =>
  `poll_method epoll
sip_listen ${at.host}:${at.port}
call_local_timeout 120
call_max_calls 8
audio_source ausine,${at.toneHz}
audio_player aubridge,null
audio_alert aubridge,null
ausrc_srate 48000
ausrc_channels 2
auplay_srate 48000
auplay_channels 1
ausrc_format s16
auplay_format s16
auenc_format s16
audec_format s16
audio_buffer 20-160
jitter_buffer_delay 2-5
net_interface ${at.host}
module_path /usr/lib/baresip/modules
module g711.so
module amr.so
module ausine.so
module aubridge.so
module sndfile.so
module_tmp uuid.so
module_tmp account.so
module_app menu.so
module_app ctrl_tcp.so
ctrl_tcp_listen ${at.host}:${at.control}
snd_path ${at.sounds}
`
