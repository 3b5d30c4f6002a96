// Preloaded into a hub under test (`NODE_OPTIONS=--import=...`): on SIGUSR2 it collects garbage and logs the heap.

import { setFlagsFromString } from 'node:v8'
import { runInNewContext } from 'node:vm'

setFlagsFromString('--expose-gc')
const collect = runInNewContext('gc') as () => void

process.on('SIGUSR2', () => {
  // Twice: what finalisers let go of is only then free.
  collect()
  setImmediate(() => {
    collect()
    const { heapUsed: usedBytes, external: externalBytes, rss: rssBytes } = process.memoryUsage()
    process.stderr.write(`${JSON.stringify({ probe: 'heap', usedBytes, externalBytes, rssBytes })}\n`)
  })
})
