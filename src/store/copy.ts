// COPY ... FROM STDIN over a pg connection, as a query of its own: pg knows the messages and leaves the sending to us.

import { escapeIdentifier } from 'pg'
import type { ClientBase, Connection, Submittable } from 'pg'
import { binaryRows } from './binary-copy.ts'
import type { CopyTable, CopyValue } from './binary-copy.ts'

/** What is sent at once. */
const chunkBytes = 65_536

/** The messages of the protocol that pg's types do not name. */
interface CopyConnection {
  query(text: string): void
  sendCopyFromChunk(chunk: Buffer): void
  endCopyFrom(): void
}

class CopyIn implements Submittable {
  readonly done: Promise<void>
  readonly #text: string
  readonly #data: Buffer
  #resolve: () => void = () => undefined
  #reject: (error: unknown) => void = () => undefined

  constructor(text: string, data: Buffer) {
    this.#text = text
    this.#data = data
    this.done = new Promise((resolve, reject) => {
      this.#resolve = resolve
      this.#reject = reject
    })
  }

  submit(connection: Connection): void {
    asCopy(connection).query(this.#text)
  }

  handleCopyInResponse(connection: Connection): void {
    const copy = asCopy(connection)
    for (let at = 0; at < this.#data.length; at += chunkBytes) {
      copy.sendCopyFromChunk(this.#data.subarray(at, at + chunkBytes))
    }
    copy.endCopyFrom()
  }

  handleCommandComplete(): void {}

  handleError(error: unknown): void {
    this.#reject(error)
  }

  handleReadyForQuery(): void {
    this.#resolve()
  }
}

const asCopy = (connection: unknown): CopyConnection => connection as CopyConnection

/** All rows or none. Throws what the server says, and RangeError for a value that its column cannot hold. */
export async function copyRows(
  client: ClientBase,
  table: CopyTable,
  rows: Iterable<readonly CopyValue[]>
): Promise<void> {
  const columns = table.columns.map(([name]) => escapeIdentifier(name)).join(', ')
  const text = `copy ${escapeIdentifier(table.name)} (${columns}) from stdin (format binary)`
  const copy = new CopyIn(text, binaryRows(table, rows))
  client.query(copy)
  await copy.done
}
