import { createHash } from 'node:crypto'
import { equal, notEqual } from 'node:assert/strict'
import { describe, it } from '@jest/globals'
import { leafOf, MerkleTree } from '../../../src/clearing/settlement/merkle.ts'

const hash = (...parts: readonly Uint8Array[]): Buffer => {
  const digest = createHash('sha256')
  for (const part of parts) digest.update(part)
  return digest.digest()
}
/** As RFC 6962, 2.1 defines it: by the largest power of two below the count. */
function rootOf(leaves: readonly Buffer[]): Buffer {
  const [only] = leaves
  if (only === undefined) return hash()
  if (leaves.length === 1) return only
  let split = 1
  while (split * 2 < leaves.length) split *= 2
  return hash(Buffer.from([1]), rootOf(leaves.slice(0, split)), rootOf(leaves.slice(split)))
}
const treeOf = (leaves: readonly Buffer[]): string => {
  const tree = new MerkleTree()
  for (const leaf of leaves) tree.add(leaf)
  equal(tree.count, leaves.length)
  return tree.root()
}
const leaves = (count: number): readonly Buffer[] =>
  Array.from({ length: count }, (_, n) => leafOf(Buffer.from('salt'), String(n)))

describe('a Merkle tree', () => {
  it('EOS-04 has the root that the definition gives, for every number of leaves', () => {
    for (let count = 0; count <= 70; count++) equal(treeOf(leaves(count)), rootOf(leaves(count)).toString('hex'))
  })

  it('EOS-04 has another root when any leaf is changed, added, left out or moved', () => {
    const own = leaves(13)
    const root = treeOf(own)
    for (const n of own.keys()) {
      notEqual(treeOf(own.toSpliced(n, 1)), root)
      notEqual(treeOf(own.with(n, leafOf(Buffer.from('salt'), 'x'))), root)
      notEqual(treeOf(own.toSpliced(n, 0, leafOf(Buffer.from('salt'), 'x'))), root)
    }
    notEqual(treeOf(own.toReversed()), root)
  })

  it('EOS-04 a leaf is that of its salt and its text', () => {
    notEqual(leafOf(Buffer.from('a'), 'b').toString('hex'), leafOf(Buffer.from('b'), 'b').toString('hex'))
    equal(leafOf(Buffer.from('a'), 'b').toString('hex'), hash(Buffer.from([0]), Buffer.from('ab')).toString('hex'))
  })
})
