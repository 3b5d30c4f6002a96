// An engine that does what the test says: the control protocol by hand.

import { createServer } from 'node:net'
import type { AddressInfo, Socket } from 'node:net'
import { FrameReader, frameOf, payloadOf } from '../../src/sip/engine/framing.ts'
import type { Payload } from '../../src/sip/engine/framing.ts'

export class HandEngine {
  readonly sockets: Socket[] = []
  readonly commands: Payload[] = []
  /** Answers a `sip` command, or not. */
  onSip: (command: Payload, id: string) => void = () => {}
  readonly #server = createServer(socket => this.#accept(socket))

  async start(): Promise<number> {
    await new Promise<void>(resolve => void this.#server.listen(0, '127.0.0.1', resolve))
    return (this.#server.address() as AddressInfo).port
  }
  close(): void {
    this.#server.close()
    for (const socket of this.sockets) socket.destroy()
  }
  #accept(socket: Socket): void {
    this.sockets.push(socket)
    const reader = new FrameReader()
    socket.on('error', () => {})
    socket.on('data', chunk => void reader.push(chunk, bytes => this.#command(payloadOf(bytes))))
  }
  #command(payload: Payload): boolean {
    const [id = '', verb] = payload.tokens
    if (verb === 'authenticate') this.send(`x|response|${id}|OK|udp/127.0.0.1:5060|v0.9.10|udp/127.0.0.1:5060`)
    else if (verb === 'sip') {
      this.commands.push(payload)
      this.onSip(payload, id)
    } else this.send(`x|response|${id}|OK`)
    return true
  }
  send(meta: string, message = ''): void {
    this.sockets.at(-1)?.write(frameOf(meta, Buffer.from(message)))
  }
  echo({ message }: Payload, id: string, txn: string): void {
    const sent = message.toString().replace('\r\n', '\r\nVia: SIP/2.0/UDP 127.0.0.1;branch=z9hG4bK1\r\nCSeq: 1 X\r\n')
    this.send(`x|response|${id}|OK|application|1|udp|127.0.0.1|5060|00:00|${txn}|Msg sent:|`, sent)
  }
  heard(txn: string, message: string, address = '127.0.0.1', dialog = ''): void {
    this.send(`x|sip|network|1|udp|${address}|5060|00:00|${txn}|${dialog}|`, message)
  }
}
