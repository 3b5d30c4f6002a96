// A Merkle tree over the leaves of a statement, with the shape and the domain bytes of RFC 6962: one changed, missing
// or added leaf gives another root. Pure.

import { createHash } from 'node:crypto'

const leafByte = Buffer.from([0])
const nodeByte = Buffer.from([1])

/** The salted hash of what a partner sees of a record: without the salt nobody can guess numbers from it. */
export const leafOf = (salt: Uint8Array, view: string): Buffer =>
  createHash('sha256').update(leafByte).update(salt).update(view).digest()

const nodeOf = (left: Uint8Array, right: Uint8Array): Buffer =>
  createHash('sha256').update(nodeByte).update(left).update(right).digest()

/** Leaves are added in their order; memory grows with the height of the tree only. */
export class MerkleTree {
  readonly #whole: { readonly hash: Uint8Array; readonly leaves: number }[] = []
  #count = 0

  get count(): number {
    return this.#count
  }

  add(leaf: Uint8Array): void {
    this.#count += 1
    let node = { hash: leaf, leaves: 1 }
    for (let last = this.#whole.at(-1); last?.leaves === node.leaves; last = this.#whole.at(-1)) {
      this.#whole.pop()
      node = { hash: nodeOf(last.hash, node.hash), leaves: last.leaves * 2 }
    }
    this.#whole.push(node)
  }

  /** In hexadecimal; of no leaves: the hash of nothing. */
  root(): string {
    const [last, ...before] = this.#whole.toReversed()
    if (last === undefined) return createHash('sha256').digest('hex')
    return Buffer.from(before.reduce((right, { hash }) => nodeOf(hash, right), last.hash)).toString('hex')
  }
}
